/** Putting files and links into a boot share from the host's side, never through what a guest left there. */
import * as fs from "node:fs";
import { UserError } from "../errors.ts";
import { oneFileName } from "../kernel/names.ts";
import { printable } from "../text.ts";
import { pathIn } from "./open.ts";

/** @throws {UserError} `SHARE_BAD_NAME` */
export function checkedName(text: string, what: string): string {
  const { name, problem } = oneFileName(text);
  if (name !== undefined) return name;
  throw new UserError("SHARE_BAD_NAME", `The ${what} for the boot share ${problem}.`, {
    hint: "It must be one file name, without a slash.",
  });
}

/**
 * Makes a new, empty regular file in an open folder, in place of what has the name, owned like the folder.
 *
 * @param mode permissions on the host, whatever the umask is
 * @returns a descriptor for writing that the caller closes
 * @throws {UserError} `SHARE_NAME_TAKEN` when a folder has the name
 */
export function createFile(folder: number, name: string, mode: number): number {
  const path = pathIn(folder, name);
  clear(path, name);
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = fs.constants;
  const fd = fs.openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    if (isRoot()) fs.fchownSync(fd, fs.fstatSync(folder).uid, fs.fstatSync(folder).gid);
    // After the owner, for chown(2) clears bits of the mode.
    fs.fchmodSync(fd, mode);
    return fd;
  } catch (error) {
    fs.closeSync(fd);
    throw error;
  }
}

/** Makes a real symbolic link in an open folder, in place of what has the name, owned like the folder. */
export function createSymlink(folder: number, name: string, target: string): void {
  const path = pathIn(folder, name);
  clear(path, name);
  fs.symlinkSync(target, path);
  if (isRoot()) fs.lchownSync(path, fs.fstatSync(folder).uid, fs.fstatSync(folder).gid);
}

/** Takes away a file or link of this name; a folder stays, and is an error. */
function clear(path: string, name: string): void {
  if (fs.lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true) {
    throw new UserError(
      "SHARE_NAME_TAKEN",
      `A folder is in the place of ${printable(name)} in the boot share.`,
      {
        hint: "Remove it in the guest, or on the host while the guest is off.",
      },
    );
  }
  fs.rmSync(path, { force: true });
}

export function isRoot(): boolean {
  return process.geteuid?.() === 0;
}
