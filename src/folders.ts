/** Making the folders that bootshare keeps its state in. */
import { chmodSync, mkdirSync, statSync } from "node:fs";
import { workMode } from "./mode.ts";

/**
 * Makes a folder of bootshare's own, with those above it, unless it is there. Its permissions are those of the mode whatever
 * the umask: a service that systemd started with a tight one may be the first to come, and QEMU's user has to pass.
 */
export function makeStateFolder(folder: string): void {
  const { folderMode } = workMode();
  mkdirSync(folder, { recursive: true, mode: folderMode });
  if ((statSync(folder).mode & 0o777) !== folderMode) chmodSync(folder, folderMode);
}
