/** Reading and appending a guest's boot events on disk. */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  writeSync,
} from "node:fs";
import { errnoOf, UserError } from "../errors.ts";
import type { GuestPaths } from "../paths.ts";
import { onDisk } from "./disk.ts";
import { type BootEvent, eventLine, type NewEvent, parseEvents, stamp } from "./events.ts";
import { type BootState, deriveState } from "./state.ts";

/** Above this many bytes the log is cut at the next start: two files of this size are kept at most. */
const CUT_AT_BYTES = 1024 * 1024;

/**
 * Appends events with one write and forces them to disk. A line is far below the size up to which Linux keeps appending
 * writes of several processes apart. A torn last line, left by a crash or a full disk, is closed first so that it spoils
 * no other.
 *
 * @throws {UserError} `BOOTS_NOT_A_FILE`, and what {@link onDisk} throws: then the events may be on disk, or not
 */
export function appendEvents(paths: GuestPaths, events: readonly NewEvent[], now: Date = new Date()): void {
  if (events.length === 0) return;
  const text = events.map((event) => eventLine(stamp(event, now))).join("");
  onDisk(paths.dir, () => {
    const fd = asFile(paths.boots, () => openSync(paths.boots, "a+", 0o600));
    try {
      const bytes = Buffer.from(endsTorn(fd) ? `\n${text}` : text);
      // A disk that fills up takes a part, and says so at the next write only.
      for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  });
}

function endsTorn(fd: number): boolean {
  const { size } = fstatSync(fd);
  const last = Buffer.alloc(1);
  return size > 0 && readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== 0x0a;
}

/** All events that are kept, oldest first. A guest without a log has none. */
export function readEvents(paths: GuestPaths): BootEvent[] {
  return [paths.oldBoots, paths.boots].flatMap((file) => parseEvents(readIfThere(file)));
}

/** The state that the events come to. */
export function readState(paths: GuestPaths): BootState {
  return deriveState(readEvents(paths));
}

/**
 * Cuts a log that has grown long: it becomes the old one, and the new one begins with what it came to. Called in
 * *prepare* alone, where libvirt, or without a hook the guest's lock, lets one start of a domain run at a time. Somebody who appends at that very
 * moment writes into the old file, which is still read. So is what the old file says, when the new one cannot be begun: no
 * trouble here keeps a guest from starting.
 */
export function cutLog(paths: GuestPaths, now: Date = new Date()): void {
  if (!existsSync(paths.boots) || statSync(paths.boots).size < CUT_AT_BYTES) return;
  const state = readState(paths);
  try {
    renameSync(paths.boots, paths.oldBoots);
    appendEvents(paths, [checkpointOf(state)], now);
  } catch {
    // The next start cuts it.
  }
}

function checkpointOf({ desired, good, goodBefore, provided, badAttempts, silent }: BootState): NewEvent {
  return {
    e: "checkpoint",
    desired,
    ...(good === undefined ? {} : { good }),
    ...(goodBefore === undefined ? {} : { goodBefore }),
    ...(provided === undefined ? {} : { provided }),
    ...(silent ? { silent } : {}),
    ...(badAttempts.size === 0 ? {} : { bad: Object.fromEntries(badAttempts) }),
  };
}

function readIfThere(file: string): string {
  try {
    return asFile(file, () => readFileSync(file, "utf8"));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return "";
    throw error;
  }
}

function asFile<T>(file: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (errnoOf(error) !== "EISDIR") throw error;
    throw new UserError("BOOTS_NOT_A_FILE", `${file}, the record of the guest's boots, is a folder.`, {
      hint: "Move it away and restore the file from a backup; without it the guest's last good kernel is not known.",
      cause: error,
    });
  }
}
