/** Free room on a disk, asked for before something large is written to it. */
import { existsSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import { EXIT, UserError } from "../errors.ts";
import { printable } from "../text.ts";

/** What an ordinary user may still write to the file system of a folder that is there. */
export function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/**
 * @param folder where it is to be written; one that is not there yet counts as the nearest one that is
 * @param bytes that it will take at most
 * @param what it is, before "needs": `a clone`
 * @throws {UserError} `NO_SPACE`
 */
export function requireFree(folder: string, bytes: number, what: string): void {
  const free = freeBytes(existing(folder));
  if (free >= bytes) return;
  throw new UserError(
    "NO_SPACE",
    `There are only ${Math.floor(free / 2 ** 20)} MiB free in ${printable(folder)}; ${what} needs ${Math.ceil(bytes / 2 ** 20)} MiB.`,
    { exitCode: EXIT.unusable, hint: "Free some space, or mount a larger file system there." },
  );
}

function existing(folder: string): string {
  return existsSync(folder) ? folder : existing(dirname(folder));
}
