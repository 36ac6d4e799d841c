/**
 * Opening what a guest put into its boot share, so that it can do nothing to the host: the one way in.
 *
 * Node.js has no openat(2), so a name in the folder is reached as `/proc/self/fd/FOLDER/NAME`: the kernel resolves the
 * part before the name to the very folder that is open, whatever its path has become meanwhile.
 *
 * A name is first opened with O_PATH and O_NOFOLLOW, which opens nothing but the place itself: a FIFO does not block, a
 * device's driver is not called (opening a watchdog or a tape acts), a symbolic link is not followed. What it is, is then
 * asked of that descriptor, and only a regular file is opened for reading, by `/proc/self/fd/PINNED`. So a guest that
 * swaps a file for a FIFO between look and open achieves nothing: what is opened is what was looked at.
 */
import {
  closeSync,
  constants,
  type Dir,
  fstatSync,
  opendirSync,
  openSync,
  readSync,
  type Stats,
} from "node:fs";
import { errnoOf, UserError } from "../errors.ts";
import { INITRD_MAX_BYTES } from "../kernel/limits.ts";
import { oneFileName } from "../kernel/names.ts";
import { printable } from "../text.ts";

// Node.js does not name O_PATH. It is this number on all Linux architectures that Debian has a Node.js for
// (include/uapi/asm-generic/fcntl.h; only alpha, parisc and sparc differ).
const O_PATH = 0o10000000;
const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_NOCTTY, O_RDONLY } = constants;

/**
 * The names in an open folder, as bytes and in no order; undefined when there are more than `maxNames`.
 *
 * @param folder a descriptor of a folder, of `withFolder()` or a pin
 * @throws the system error
 */
export function namesIn(folder: number, maxNames: number): Buffer[] | undefined {
  let opened: Dir | undefined;
  try {
    // Streamed: a guest may have made millions of names. The path is resolved to the folder that is already open.
    // The encoding "buffer" is right and only missing in the types; names then are bytes.
    opened = opendirSync(`/proc/self/fd/${folder}`, { encoding: "buffer" as BufferEncoding });
    const names: Buffer[] = [];
    for (let entry = opened.readSync(); entry !== null; entry = opened.readSync()) {
      if (names.length >= maxNames) return undefined;
      names.push(Buffer.from(entry.name));
    }
    return names;
  } finally {
    opened?.closeSync();
  }
}

/** The path of a name in an open folder. The name must have passed `oneFileName()`. */
export function pathIn(folder: number, name: string): string {
  return `/proc/self/fd/${folder}/${name}`;
}

/**
 * Opens a boot folder, hands its descriptor to `fn`, and closes it.
 *
 * @param dir path of the folder. The path is trusted (the host made it), what it leads to is not
 * @throws {UserError} `SHARE_MISSING`, `SHARE_NOT_A_FOLDER` (a symbolic link is none), `SHARE_UNREADABLE`
 */
export function withFolder<T>(dir: string, fn: (folder: number) => T): T {
  const folder = openFolder(dir);
  try {
    return fn(folder);
  } finally {
    closeSync(folder);
  }
}

function openFolder(dir: string): number {
  try {
    return openSync(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT") {
      throw new UserError("SHARE_MISSING", `There is no boot share at ${dir}.`, {
        hint: "It is made when the guest is created; restore it from a backup, or create the guest anew.",
        cause: error,
      });
    }
    if (errno === "ENOTDIR" || errno === "ELOOP") {
      throw new UserError("SHARE_NOT_A_FOLDER", `The boot share ${dir} is not a folder.`, {
        hint: "Its path must lead to the folder itself: a symbolic link is not followed.",
        cause: error,
      });
    }
    throw unreadable(dir, error);
  }
}

/** The error for a folder or a file in it that the host cannot read. */
export function unreadable(path: string, error: unknown): UserError {
  return new UserError("SHARE_UNREADABLE", `${path} cannot be read (${errnoOf(error) ?? "unknown error"}).`, {
    hint: "Look at its owner and mode, and at the health of the file system below it.",
    cause: error,
  });
}

/** A place in a folder, pinned: neither read nor followed. */
export interface Pinned {
  /** Open with O_PATH; good for {@link openPinned}, and as a folder where it is one. The caller closes it. */
  readonly fd: number;
  readonly stats: Stats;
}

/**
 * Pins the place of a name, whatever it is: file, link, device, folder.
 *
 * @param name must have passed `oneFileName()`
 * @throws the system error, `ENOENT` when it has gone
 */
export function pin(folder: number, name: string): Pinned {
  const fd = openSync(pathIn(folder, name), O_PATH | O_NOFOLLOW);
  try {
    return { fd, stats: fstatSync(fd) };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Opens a pinned regular file for reading; the caller closes the result, and the pin. */
export function openPinned(pinned: Pinned): number {
  if (!pinned.stats.isFile()) throw new Error("only a regular file may be opened");
  // O_NONBLOCK: not even another process's lease on the file makes us wait.
  return openSync(`/proc/self/fd/${pinned.fd}`, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

/** The first bytes of a pinned regular file, fewer where it is shorter. */
export function readHead(pinned: Pinned, limit: number): Buffer {
  const fd = openPinned(pinned);
  try {
    const bytes = Buffer.alloc(limit);
    let length = 0;
    while (length < limit) {
      const read = readSync(fd, bytes, length, limit - length, length);
      if (read === 0) break;
      length += read;
    }
    // A copy: a slice would keep all of the buffer alive.
    return Buffer.from(bytes.subarray(0, length));
  } finally {
    closeSync(fd);
  }
}

/**
 * Opens one file of a boot share for copying it.
 *
 * The guest may write to the file while it is read: read `size` bytes at most, and check the copy, not the file.
 *
 * @param dir path of the folder, trusted
 * @param name file name in it, not trusted
 * @param maxBytes largest size that is accepted, in bytes
 * @returns a descriptor that the caller closes, and the size in bytes when it was opened
 * @throws {UserError} `SHARE_BAD_NAME`, `SHARE_GONE`, `SHARE_NOT_REGULAR`, `SHARE_TOO_BIG`, `SHARE_UNREADABLE`, and
 *   those of {@link withFolder}
 */
export function openBootFile(
  dir: string,
  name: string,
  maxBytes = INITRD_MAX_BYTES,
): { fd: number; size: number } {
  const shown = `${printable(name)} in the boot share ${dir}`;
  const checked = oneFileName(name);
  if (checked.problem !== undefined) {
    throw new UserError(
      "SHARE_BAD_NAME",
      `A file of the boot share ${dir} has a name that ${checked.problem}.`,
      {
        hint: "Rename it in the guest.",
      },
    );
  }
  return withFolder(dir, (folder) => {
    let pinned: Pinned | undefined;
    try {
      pinned = pin(folder, checked.name);
      if (!pinned.stats.isFile()) {
        throw new UserError("SHARE_NOT_REGULAR", `${shown} ${whatItIs(pinned.stats)}, not a regular file.`, {
          hint: "Reinstall the kernel package in the guest.",
        });
      }
      if (pinned.stats.size > maxBytes) {
        throw new UserError(
          "SHARE_TOO_BIG",
          `${shown} has ${pinned.stats.size} bytes, more than ${maxBytes}.`,
          {
            hint: "Make it smaller in the guest: for an initrd, MODULES=dep or MODULES=list in initramfs.conf.",
          },
        );
      }
      return { fd: openPinned(pinned), size: pinned.stats.size };
    } catch (error) {
      if (error instanceof UserError) throw error;
      if (errnoOf(error) === "ENOENT") {
        throw new UserError("SHARE_GONE", `${shown} is not there any more.`, {
          hint: "The guest changed its /boot just now; try again.",
          cause: error,
        });
      }
      throw unreadable(shown, error);
    } finally {
      if (pinned !== undefined) closeSync(pinned.fd);
    }
  });
}

/** Why a place could not be looked at or read, as a phrase after its name. */
export function cannotOpen(error: unknown): string {
  const errno = errnoOf(error);
  if (errno === "ENOENT") return "vanished while it was read";
  return `could not be read (${errno ?? "unknown error"})`;
}

/** What a thing is that is no regular file and no link, as a phrase after its name. */
export function whatItIs(stats: Stats): string {
  if (stats.isSymbolicLink()) return "is a symbolic link";
  if (stats.isDirectory()) return "is a folder";
  if (stats.isFIFO()) return "is a FIFO";
  if (stats.isSocket()) return "is a socket";
  if (stats.isBlockDevice() || stats.isCharacterDevice()) return "is a device";
  return "is of an unknown kind";
}
