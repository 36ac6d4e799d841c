/** Reads a boot share as facts for the catalogue. What is in it is the guest's: see open.ts for how it is met. */
import { closeSync, readlinkSync } from "node:fs";
import { UserError } from "../errors.ts";
import { utf8 } from "../kernel/bytes.ts";
import type { BootEntry } from "../kernel/catalogue.ts";
import { CONFIG_MAX_BYTES, configName, isConfigName } from "../kernel/config.ts";
import {
  INITRD_HEAD_BYTES,
  KERNEL_HEAD_BYTES,
  MAPPED_LINK_MAX_BYTES,
  MAX_CONFIGS,
  MAX_ENTRIES,
  MAX_HEADS,
} from "../kernel/limits.ts";
import { loaderEntries } from "../kernel/loader.ts";
import { bootFileKind, INITRD_LINK, LINK_NAMES, oneFileName } from "../kernel/names.ts";
import { compareVersions } from "../kernel/version.ts";
import { readLoaderFiles } from "./loader.ts";
import {
  cannotOpen,
  namesIn,
  type Pinned,
  pathIn,
  pin,
  readHead,
  unreadable,
  whatItIs,
  withFolder,
} from "./open.ts";

export { asOwner } from "./as-owner.ts";
export { openBootFile } from "./open.ts";

export interface ReadOptions {
  /** Most names that the folder may hold. */
  readonly maxEntries?: number;
  /** Called with each name before it is looked at: how tests change the folder meanwhile. */
  readonly beforeLook?: (name: string) => void;
}

/**
 * Reads a boot folder: every name in it, what the default links say, the first bytes of what may be booted, the
 * configurations of its kernels, and what there is for a boot loader of the guest's own (loader.ts).
 *
 * Synchronous, as the hook is. It blocks on nothing that a guest can make, follows no link, opens nothing but regular
 * files, and reads at most 4096 names, the first bytes of 256 files and 8 configurations of at most 4 MiB: of what the
 * links name, then of the newest. The folder may change while it is read; what vanished or changed its kind is an entry with a `problem`.
 *
 * A small regular file named like a default link (`vmlinuz`, `vmlinux`, `initrd.img`) counts as the link that 9p's mapped
 * mode makes of it on the host (QEMU, hw/9pfs/9p-local.c, local_symlink), on either transport: no kernel and no initrd is
 * that small.
 *
 * @param dir path of the folder, trusted; what is in it is not
 * @throws {UserError} `SHARE_TOO_MANY_ENTRIES`, and those of `withFolder`. The first is no worse for the host than an
 *   empty folder (the last good pair boots), and a choice made from an unknown part of the names would be arbitrary
 */
export function readBootFolder(dir: string, options: ReadOptions = {}): BootEntry[] {
  return withFolder(dir, (folder) => {
    const names = listNames(dir, folder, options.maxEntries ?? MAX_ENTRIES);
    const entries = names.map((name) => look(folder, name, options));
    const loader = readLoaderFiles(folder, options.beforeLook);
    const heads = headsWanted(entries, loader);
    const wanted = new Set([...heads, ...configsWanted(entries, heads)]);
    return [...entries.map((entry) => (wanted.has(entry) ? withHead(folder, entry) : entry)), ...loader];
  });
}

/** The names as bytes, in no order. */
function listNames(dir: string, folder: number, maxEntries: number): Buffer[] {
  let names: Buffer[] | undefined;
  try {
    names = namesIn(folder, maxEntries);
  } catch (error) {
    throw unreadable(dir, error);
  }
  if (names === undefined) throw tooMany(dir, maxEntries);
  return names;
}

function tooMany(dir: string, maxEntries: number): UserError {
  return new UserError(
    "SHARE_TOO_MANY_ENTRIES",
    `The boot share ${dir} holds more than ${maxEntries} names.`,
    {
      hint: "Remove what does not belong into the guest's /boot.",
    },
  );
}

function look(folder: number, bytes: Buffer, options: ReadOptions): BootEntry {
  const text = utf8(bytes);
  if (text === undefined) return other(bytes.toString("utf8"), "has a name that is not UTF-8");
  const { name, problem } = oneFileName(text);
  if (name === undefined) return other(text, `has a name that ${problem}`);
  options.beforeLook?.(name);
  let pinned: Pinned | undefined;
  try {
    pinned = pin(folder, name);
    return classify(folder, name, pinned);
  } catch (error) {
    return other(name, cannotOpen(error));
  } finally {
    if (pinned !== undefined) closeSync(pinned.fd);
  }
}

function other(name: string, problem: string): BootEntry {
  return { name, kind: "other", size: 0, mtimeMs: 0, problem };
}

function classify(folder: number, name: string, pinned: Pinned): BootEntry {
  const { stats } = pinned;
  const { mtimeMs } = stats;
  if (stats.isSymbolicLink()) {
    // Read by its name, for readlink(2) of the pin would name the pin. If a guest swapped it, this is the new link's
    // text, or EINVAL.
    return link(name, mtimeMs, readlinkSync(pathIn(folder, name), { encoding: "buffer" }));
  }
  if (!stats.isFile()) return { ...other(name, whatItIs(stats)), mtimeMs };
  if (LINK_NAMES.includes(name) && stats.size <= MAPPED_LINK_MAX_BYTES) {
    return link(name, mtimeMs, readHead(pinned, MAPPED_LINK_MAX_BYTES));
  }
  return { name, kind: "file", size: stats.size, mtimeMs };
}

function link(name: string, mtimeMs: number, text: Buffer): BootEntry {
  const target = utf8(text);
  const found: BootEntry = { name, kind: "link", size: 0, mtimeMs };
  return target === undefined ? { ...found, problem: "holds text that is not UTF-8" } : { ...found, target };
}

/** The files whose first bytes are worth reading, the most important {@link MAX_HEADS} of them. */
function headsWanted(entries: readonly BootEntry[], loader: readonly BootEntry[]): BootEntry[] {
  const files = new Map(entries.filter((entry) => entry.kind === "file").map((entry) => [entry.name, entry]));
  const linked = entries
    .filter((entry) => LINK_NAMES.includes(entry.name))
    .map((entry) => files.get(entry.target ?? ""))
    .filter((entry) => entry !== undefined);
  const preferred = loaderEntries(loader)
    .flatMap(({ kernel, initrd }) => [kernel, initrd].map((name) => files.get(name ?? "")))
    .filter((entry) => entry !== undefined);
  const named = [...files.values()]
    .filter((entry) => bootFileKind(entry.name) !== undefined)
    .sort((a, b) => compareVersions(releasePart(b.name), releasePart(a.name)));
  return [...new Set([...linked, ...preferred, ...named])].slice(0, MAX_HEADS);
}

/** The configurations that lie beside these files, in the same order, {@link MAX_CONFIGS} at most. */
function configsWanted(entries: readonly BootEntry[], files: readonly BootEntry[]): BootEntry[] {
  const names = new Set(files.map((file) => configName(releasePart(file.name))));
  const found = new Map(entries.map((entry) => [entry.name, entry]));
  return [...names]
    .map((name) => found.get(name))
    .filter((entry) => entry !== undefined)
    .filter(({ kind, size }) => kind === "file" && size <= CONFIG_MAX_BYTES)
    .slice(0, MAX_CONFIGS);
}

/** What stands behind the first hyphen: the release, so that a kernel and its initrd sort together. */
function releasePart(name: string): string {
  return name.slice(name.indexOf("-") + 1);
}

function withHead(folder: number, entry: BootEntry): BootEntry {
  let pinned: Pinned | undefined;
  try {
    pinned = pin(folder, entry.name);
    if (!pinned.stats.isFile())
      return other(entry.name, `changed while it was read: now it ${whatItIs(pinned.stats)}`);
    // Size and time again, of the file that the head is from: it need not be the one that was looked at.
    const { size, mtimeMs } = pinned.stats;
    return { ...entry, size, mtimeMs, head: readHead(pinned, headBytes(entry.name, size)) };
  } catch (error) {
    return other(entry.name, cannotOpen(error));
  } finally {
    if (pinned !== undefined) closeSync(pinned.fd);
  }
}

/** How much of a file is read, in bytes: a configuration as a whole. */
function headBytes(name: string, size: number): number {
  if (isConfigName(name)) return Math.min(size, CONFIG_MAX_BYTES);
  return name.startsWith(`${INITRD_LINK}-`) ? INITRD_HEAD_BYTES : KERNEL_HEAD_BYTES;
}
