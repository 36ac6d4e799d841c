/** The folder that the results of builds go to: whether anything can be put there, and a build's own folder in it. */
import { mkdirSync, mkdtempSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { onDisk } from "../boot/disk.ts";
import { errnoOf, UserError } from "../errors.ts";
import { printable } from "../text.ts";

/** What a person can have got wrong about a folder, by the system's error; the end of a sentence. */
const WHY: Readonly<Record<string, string>> = {
  EACCES: "it is not yours to write in",
  EPERM: "nothing may be made in it",
  EROFS: "its file system can only be read",
  EEXIST: "it is no folder",
  ENOTDIR: "something on the way to it is no folder",
  ENOENT: "it cannot be made there",
  ELOOP: "there is a loop of symbolic links on the way to it",
  ENAMETOOLONG: "its name is too long",
};

/**
 * Makes the folder where it is not there, and sees whether builds can put anything in it: before a guest is made for them.
 *
 * @param folder absolute path
 * @throws {UserError} `OUTPUT_UNWRITABLE`, and those of {@link onDisk}
 */
export function requireOutput(folder: string): void {
  inOutput(folder, () => mkdirSync(folder, { recursive: true }));
  // What permissions say is not all: a network's file system may refuse even root.
  rmdirSync(makeBuildFolder(folder));
}

/**
 * Makes a folder for a build in the one that the results go to, so that they are renamed into their place.
 *
 * @throws as {@link requireOutput}
 */
export function makeBuildFolder(output: string): string {
  return inOutput(output, () => mkdtempSync(join(output, ".bootshare-build-")));
}

function inOutput<T>(folder: string, act: () => T): T {
  try {
    return onDisk(folder, act);
  } catch (error) {
    const cause = error instanceof UserError ? error.cause : error;
    const why = WHY[errnoOf(cause) ?? ""];
    if (why === undefined) throw error;
    throw new UserError("OUTPUT_UNWRITABLE", `Nothing can be written to ${printable(folder)}: ${why}.`, {
      hint: "Take another folder: --output",
      cause,
    });
  }
}
