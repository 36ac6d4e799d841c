/** The place on the host for what is copied out of a guest: whether it can be had, and what its file system refuses. */
import { accessSync, constants, lstatSync, realpathSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { isDiskTrouble, onDisk } from "../boot/disk.ts";
import { EXIT, errnoOf, UserError } from "../errors.ts";
import { printable } from "../text.ts";

/** What a system's error says of a place, in words. */
const REFUSED: Readonly<Record<string, string>> = {
  EACCES: "you may not write there",
  EPERM: "you may not write there",
  ENOTDIR: "something above it is no folder",
  EEXIST: "something above it is no folder",
  ENOENT: "a link above it leads nowhere",
  ELOOP: "a link above it leads in a circle",
  ENAMETOOLONG: "its name is too long",
};
const ELSEWHERE = "Name another place for it.";

/**
 * Where something comes to lie.
 *
 * @param to path on the host, where nothing may be. A path that ends in a slash, or is a folder: in it under its own name
 * @param name its own name
 * @throws {UserError} `COPY_TARGET_EXISTS`, and what {@link atTarget} throws. That it could be written to is found out as far
 *   as that is possible without writing: what is not there yet is made
 */
export function copyTarget(to: string, name: string): string {
  return atTarget(resolve(to), () => {
    const target = to.endsWith("/") || isFolder(to) ? join(resolve(to), name) : resolve(to);
    if (lstatSync(target, { throwIfNoEntry: false }) !== undefined) {
      throw new UserError(
        "COPY_TARGET_EXISTS",
        `${printable(target)} is there already, and nothing is written over it.`,
        {
          exitCode: EXIT.conflict,
          hint: "Move it away, or name another place.",
        },
      );
    }
    accessSync(nearestFolder(target), constants.W_OK | constants.X_OK);
    return target;
  });
}

/**
 * Does something to files at a target, or on the way to it.
 *
 * @throws {UserError} `COPY_TARGET` where it may not be written to, or is below something that is no folder; `DISK_FULL`,
 *   `DISK_QUOTA`, `DISK_READ_ONLY`, `DISK_FAILING`; everything else as it is
 */
export function atTarget<T>(target: string, act: () => T): T {
  try {
    return onDisk(printable(dirname(target)), act);
  } catch (error) {
    if (isDiskTrouble(error))
      throw new UserError(error.code, error.message, { hint: ELSEWHERE, cause: error });
    const why = REFUSED[errnoOf(error) ?? ""];
    if (error instanceof UserError || why === undefined) throw error;
    const sentence = `${printable(target)} cannot be written: ${why}.`;
    throw new UserError("COPY_TARGET", sentence, { hint: ELSEWHERE, cause: error });
  }
}

/** The folder that is there already, of those above a path. A path below something that is none is refused by the system. */
function nearestFolder(path: string): string {
  const above = dirname(path);
  try {
    // The slash: it must be a folder.
    statSync(`${above}/.`);
    return above;
  } catch (error) {
    if (errnoOf(error) !== "ENOENT" || above === path) throw error;
    // A link that leads nowhere is there, and no folder can be made of it.
    if (lstatSync(above, { throwIfNoEntry: false }) !== undefined) throw error;
    return nearestFolder(above);
  }
}

function isFolder(path: string): boolean {
  try {
    return lstatSync(realpathSync(path)).isDirectory();
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}
