/** Reading a log as it grows. virtlogd begins a new file when one is large, and calls the old one FILE.0. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";

/** Read at once, in bytes. */
const PIECE = 256 * 1024;

export class LogFollower {
  readonly #file: string;
  #inode: number | undefined;
  #at = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** What was written since the last call, as Latin-1; empty where there is no file yet. */
  next(): string {
    const now = inodeOf(this.#file);
    if (now === undefined) return "";
    let text = "";
    if (this.#inode !== undefined && now !== this.#inode) {
      // Its last bytes are in the old file, unless that has gone by, too.
      if (inodeOf(`${this.#file}.0`) === this.#inode) text = this.#read(`${this.#file}.0`);
      this.#at = 0;
    }
    this.#inode = now;
    return text + this.#read(this.#file);
  }

  #read(file: string): string {
    const fd = open(file);
    if (fd === undefined) return "";
    try {
      const pieces: Buffer[] = [];
      for (;;) {
        const piece = Buffer.alloc(PIECE);
        const count = readSync(fd, piece, 0, PIECE, this.#at);
        if (count === 0) return Buffer.concat(pieces).toString("latin1");
        this.#at += count;
        pieces.push(piece.subarray(0, count));
      }
    } finally {
      closeSync(fd);
    }
  }
}

function open(file: string): number | undefined {
  try {
    return openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
}

function inodeOf(file: string): number | undefined {
  const fd = open(file);
  if (fd === undefined) return undefined;
  try {
    const stats = fstatSync(fd);
    return stats.isFile() ? stats.ino : undefined;
  } finally {
    closeSync(fd);
  }
}
