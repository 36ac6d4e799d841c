/** Copying a whole boot share on the host, while the guest is off, with what each way of sharing keeps beside a file's bytes. */
import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { runOk } from "../process.ts";
import { printable } from "../text.ts";

/** Most names in a share that is copied. A /boot has some tens. */
const MAX_NAMES = 20_000;

export interface TreeSize {
  readonly files: number;
  /** What they take on the disk. */
  readonly bytes: number;
}

/**
 * What a share holds, itself not counted. No link is followed.
 *
 * @param dir path of the folder, trusted; what is in it is not
 * @throws {UserError} `SHARE_TOO_MANY_ENTRIES`
 */
export function treeSize(dir: string): TreeSize {
  let files = 0;
  let bytes = 0;
  const folders = [dir];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const { name } of readdirSync(folder, { withFileTypes: true })) {
      if (++files > MAX_NAMES) {
        throw new UserError("SHARE_TOO_MANY_ENTRIES", `${dir} holds more than ${MAX_NAMES} names.`, {
          hint: "Remove what does not belong into the guest's /boot.",
        });
      }
      const path = join(folder, name);
      const stats = lstatSync(path);
      bytes += stats.blocks * 512;
      if (stats.isDirectory()) folders.push(path);
    }
  }
  return { files, bytes };
}

/**
 * Copies what is in one share into another, and forces it to disk: owners, modes, times, links as links, and the extended
 * attributes in which 9p's mapped mode keeps the guest's view. What has the name of something copied is replaced, and never
 * written through; the rest stays. May be killed and run again.
 *
 * @param from absolute path of a folder, trusted; what is in it is not. The guest is off
 * @param to absolute path of a folder, which exists
 * @throws {UserError} `SHARE_NO_XATTRS`, `SHARE_NOT_COPIED`
 */
export async function copyShare(from: string, to: string): Promise<void> {
  await copy(["--no-target-directory", "--", from, to], from, to);
}

/** The same for some of what is in it; the folder that it goes to keeps its own owner and mode. @param names in `from` */
export async function copyNames(from: string, names: readonly string[], to: string): Promise<void> {
  for (let first = 0; first < names.length; first += NAMES_AT_ONCE) {
    const paths = names.slice(first, first + NAMES_AT_ONCE).map((name) => join(from, name));
    await copy([`--target-directory=${to}`, "--", ...paths], from, to);
  }
}

/** Names that one command line has room for, at 255 bytes each. */
const NAMES_AT_ONCE = 500;

async function copy(what: readonly string[], from: string, to: string): Promise<void> {
  try {
    await runOk("cp", [
      "--archive",
      // What --archive only tries, it must do then.
      "--preserve=mode,ownership,timestamps,links,xattr",
      "--one-file-system",
      "--remove-destination",
      ...what,
    ]);
    await runOk("sync", ["--file-system", "--", to]);
  } catch (error) {
    if (!(error instanceof UserError) || error.code !== "PROGRAM_FAILED") throw error;
    const detail = printable(error.detail ?? "", 1000);
    if (/not supported/i.test(detail)) {
      throw new UserError(
        "SHARE_NO_XATTRS",
        `The file system of ${to} does not keep extended attributes of users.`,
        {
          hint: "A share by 9p needs them: put bootshare's folder on ext4, xfs or btrfs.",
          cause: error,
        },
      );
    }
    throw new UserError("SHARE_NOT_COPIED", `${printable(from)} could not be copied to ${printable(to)}.`, {
      detail,
      hint: "Nothing else was changed; look whether the disk is full or fails.",
      cause: error,
    });
  }
}
