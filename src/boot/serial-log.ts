/** The console of boots that went wrong, kept when the next boot begins a new log. */
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "../errors.ts";
import { makeFolderIn } from "../folders.ts";
import type { GuestPaths } from "../paths.ts";
import { everRan } from "./attempt.ts";
import { replaceFile } from "./replace-file.ts";
import type { BootState } from "./state.ts";

/** Of each log so many bytes are kept, from its end. */
const KEPT_BYTES = 256 * 1024;
/** So many logs are kept, the newest. */
const KEPT_LOGS = 5;

/**
 * Keeps the end of the serial log of the present attempt, unless that was good, or never ran: then the log is an earlier
 * attempt's. Without a log nothing is done.
 */
export function keepSerialLog(paths: GuestPaths, { current, attempts }: BootState): void {
  if (current === undefined || current.good !== undefined || !everRan(current)) return;
  const text = readEnd(paths.serialLog);
  if (text === undefined) return;
  makeFolderIn(paths.badLogs);
  replaceFile(paths.badLog(current.id), text);
  // In the order of the attempts: the names tell nothing, and a clock may have jumped.
  const order = attempts.map(({ id }) => paths.badLog(id));
  const kept = readdirSync(paths.badLogs).map((name) => join(paths.badLogs, name));
  const oldest = kept.sort((a, b) => order.indexOf(a) - order.indexOf(b));
  for (const file of oldest.slice(0, -KEPT_LOGS)) rmSync(file, { force: true });
}

/** The last bytes of a file that libvirt writes; undefined where there is none. */
function readEnd(file: string): Buffer | undefined {
  let fd: number;
  try {
    fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    const { size } = fstatSync(fd);
    const bytes = Buffer.alloc(Math.min(size, KEPT_BYTES));
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, Math.max(0, size - KEPT_BYTES)));
  } finally {
    closeSync(fd);
  }
}
