/** Making the folders that bootshare keeps its state in. */
import { chmodSync, chownSync, mkdirSync, statSync } from "node:fs";
import { errnoOf } from "./errors.ts";
import { workMode } from "./mode.ts";
import type { GuestPaths } from "./paths.ts";

/**
 * Makes a folder of bootshare's own, with those above it, unless it is there. Its permissions are those of the mode whatever
 * the umask: a service that systemd started with a tight one may be the first to come, and QEMU's user has to pass.
 */
export function makeStateFolder(folder: string): void {
  const { folderMode } = workMode();
  mkdirSync(folder, { recursive: true, mode: folderMode });
  if ((statSync(folder).mode & 0o777) !== folderMode) chmodSync(folder, folderMode);
}

/**
 * Makes a folder in one of a guest's, unless it is there. Without those above it: nobody may make anew what a deletion has
 * just taken away.
 */
export function makeFolderIn(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
}

/**
 * Makes the folders in a new guest's own, and closes that one to everybody but root and QEMU's group, which passes through it
 * to the share and to what the domain boots. On a virtiofs share a guest's root makes set-uid files of the host's root: this
 * is what keeps the host's users from them.
 *
 * @param paths of a guest whose folder was just made, by this process
 * @param qemuGid QEMU's group. In session mode QEMU is this user, to whom all is open
 */
export function makeGuestFolders(paths: GuestPaths, qemuGid: number): void {
  for (const folder of [paths.run, paths.share, paths.pairs, paths.ssh]) mkdirSync(folder, { mode: 0o700 });
  if (workMode().name !== "system") return;
  for (const folder of [paths.dir, paths.run]) {
    chownSync(folder, 0, qemuGid);
    chmodSync(folder, 0o710);
  }
}
