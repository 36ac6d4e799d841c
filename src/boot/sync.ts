/** Forcing to disk what was written, so that a crash does not take it back (fsync(2)). */
import { closeSync, fsyncSync, openSync } from "node:fs";

/** A file's bytes. */
export function syncFile(file: string): void {
  syncOpened(file, "r+");
}

/** The names in a folder: of what was made, renamed or linked there. */
export function syncFolder(folder: string): void {
  syncOpened(folder, "r");
}

function syncOpened(path: string, flags: "r" | "r+"): void {
  const fd = openSync(path, flags);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
