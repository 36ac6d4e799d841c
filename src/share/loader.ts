/** Reads what a guest has in its /boot for a boot loader of its own, under the rules of open.ts. */
import { closeSync } from "node:fs";
import { errnoOf } from "../errors.ts";
import { isBlsName } from "../kernel/bls.ts";
import { utf8 } from "../kernel/bytes.ts";
import type { BootEntry } from "../kernel/catalogue.ts";
import { LOADER_FILE_MAX_BYTES, MAX_LOADER_ENTRIES } from "../kernel/limits.ts";
import { BLS_FOLDER, EXTLINUX_FILE } from "../kernel/loader.ts";
import { oneFileName } from "../kernel/names.ts";
import { cannotOpen, namesIn, type Pinned, pin, readHead, whatItIs } from "./open.ts";

/** Called with each path before it is looked at. */
type BeforeLook = ((path: string) => void) | undefined;

/**
 * Reads the files of `loader/entries` and `extlinux/extlinux.conf`: 33 files of at most 64 KiB each. Folders are entered
 * one by one, by descriptors, and never through a link; what is in the way is an entry with a `problem`.
 *
 * @param folder descriptor of the boot folder
 * @returns entries whose names are paths below the boot folder; none where the guest has no such folders
 */
export function readLoaderFiles(folder: number, beforeLook?: BeforeLook): BootEntry[] {
  const entries = BLS_FOLDER.join("/");
  const [extlinux, conf] = EXTLINUX_FILE;
  return [
    ...enter(folder, BLS_FOLDER, entries, beforeLook, (at) => readEntries(at, entries, beforeLook)),
    ...enter(folder, [extlinux], EXTLINUX_FILE.join("/"), beforeLook, (at) =>
      readWhole(at, conf, EXTLINUX_FILE.join("/"), beforeLook),
    ),
  ];
}

function unread(name: string, problem: string): BootEntry {
  return { name, kind: "other", size: 0, mtimeMs: 0, problem };
}

/** Goes down into folders. @param whole what is looked for, for the problem that it cannot be reached */
function enter(
  folder: number,
  [first, ...rest]: readonly string[],
  whole: string,
  beforeLook: BeforeLook,
  fn: (folder: number) => BootEntry[],
): BootEntry[] {
  if (first === undefined) return fn(folder);
  beforeLook?.(first);
  let pinned: Pinned | undefined;
  try {
    pinned = pin(folder, first);
    // In 9p's mapped mode a link that the guest made is a file.
    if (!pinned.stats.isDirectory())
      return [
        unread(
          whole,
          `was not looked at: ${first} ${pinned.stats.isFile() ? "is a file" : whatItIs(pinned.stats)}`,
        ),
      ];
    return enter(pinned.fd, rest, whole, beforeLook, fn);
  } catch (error) {
    return errnoOf(error) === "ENOENT" ? [] : [unread(whole, cannotOpen(error))];
  } finally {
    if (pinned !== undefined) closeSync(pinned.fd);
  }
}

function readEntries(folder: number, path: string, beforeLook: BeforeLook): BootEntry[] {
  const names = namesIn(folder, MAX_LOADER_ENTRIES);
  // Which of them count would hang on the order of the file system, which the guest does not choose alone.
  if (names === undefined) return [unread(path, `holds more than ${MAX_LOADER_ENTRIES} names`)];
  return names
    .map((bytes) => oneFileName(utf8(bytes) ?? "").name)
    .filter((name) => name !== undefined)
    .filter(isBlsName)
    .flatMap((name) => readWhole(folder, name, `${path}/${name}`, beforeLook));
}

/** A file as a whole; nothing where there is none. */
function readWhole(folder: number, name: string, path: string, beforeLook: BeforeLook): BootEntry[] {
  beforeLook?.(path);
  let pinned: Pinned | undefined;
  try {
    pinned = pin(folder, name);
    const { stats } = pinned;
    if (!stats.isFile()) return [unread(path, whatItIs(stats))];
    if (stats.size > LOADER_FILE_MAX_BYTES)
      return [unread(path, `is larger than ${LOADER_FILE_MAX_BYTES / 1024} KiB`)];
    const head = readHead(pinned, LOADER_FILE_MAX_BYTES);
    return [{ name: path, kind: "file", size: stats.size, mtimeMs: stats.mtimeMs, head }];
  } catch (error) {
    return errnoOf(error) === "ENOENT" ? [] : [unread(path, cannotOpen(error))];
  } finally {
    if (pinned !== undefined) closeSync(pinned.fd);
  }
}
