/**
 * Copies a kernel and initrd out of the share: first into a store that only root can read, where what was checked
 * cannot change any more, then from there into the files that the domain names. Every step writes a new file, forces it
 * to disk and renames it, so that a crash or a full disk leaves what was there before.
 */
import { createHash } from "node:crypto";
import {
  closeSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { basename, join } from "node:path";
import { errnoOf, UserError } from "../errors.ts";
import { makeFolderIn } from "../folders.ts";
import type { DebianArch } from "../kernel/arch.ts";
import type { KernelConfig } from "../kernel/config.ts";
import { readKernelImage } from "../kernel/image.ts";
import { readInitrdHead } from "../kernel/initrd.ts";
import { INITRD_MAX_BYTES, KERNEL_HEAD_BYTES, KERNEL_MAX_BYTES } from "../kernel/limits.ts";
import type { GuestPaths } from "../paths.ts";
import { asOwner, openBootFile } from "../share/folder.ts";
import { printable } from "../text.ts";
import { onDisk } from "./disk.ts";
import type { Pair } from "./events.ts";
import type { ShareCandidate } from "./select.ts";
import { syncFolder } from "./sync.ts";

const CHUNK_BYTES = 1024 * 1024;

interface Copied {
  readonly sha256: string;
  readonly size: number;
  readonly head: Buffer;
}

/**
 * Copies a candidate from the share into the pair store, checking the copy, not the original: the guest may change its
 * files at any time.
 *
 * @throws {UserError} when the files are not what they must be, and what {@link onDisk} throws
 */
export function storeCandidate(paths: GuestPaths, candidate: ShareCandidate, arch: DebianArch): Pair {
  return onDisk(paths.dir, () =>
    store(paths, candidate, arch, (name, to, cap) => copyFromShare(paths.share, name, to, cap)),
  );
}

/**
 * Puts a kernel and an initrd of the host's into the pair store, with the same checks.
 *
 * @param files absolute paths
 * @param config of the kernel, where it is known
 * @throws as {@link storeCandidate}
 */
export function storeProvided(
  paths: GuestPaths,
  release: string,
  files: { readonly kernel: string; readonly initrd: string },
  arch: DebianArch,
  config?: KernelConfig,
): Pair {
  const names = { release, kernel: basename(files.kernel), initrd: basename(files.initrd), config };
  const fileOf = (name: string): string => (name === names.kernel ? files.kernel : files.initrd);
  return onDisk(paths.dir, () =>
    store(paths, names, arch, (name, to, cap) => copyFile(fileOf(name), to, cap)),
  );
}

function store(
  paths: GuestPaths,
  candidate: Pick<ShareCandidate, "release" | "kernel" | "initrd" | "config">,
  arch: DebianArch,
  copy: (name: string, to: string, capBytes: number) => Copied,
): Pair {
  makeFolderIn(paths.pairs);
  const work = mkdtempSync(join(paths.pairs, "tmp-"));
  try {
    const kernel = copy(candidate.kernel, join(work, "vmlinuz"), KERNEL_MAX_BYTES);
    const initrd = copy(candidate.initrd, join(work, "initrd.img"), INITRD_MAX_BYTES);
    const image = readKernelImage(kernel.head, kernel.size);
    if (!image.ok) throw unfit(candidate.kernel, image.reason);
    if (!image.arches.includes(arch))
      throw unfit(candidate.kernel, `it is a kernel for ${image.arches.join(" or ")}, not ${arch}`);
    const archive = readInitrdHead(initrd.head, initrd.size);
    if (!archive.ok) throw unfit(candidate.initrd, archive.reason);
    const id = createHash("sha256").update(kernel.sha256).update(initrd.sha256).digest("hex").slice(0, 32);
    syncFolder(work);
    keep(work, join(paths.pairs, id));
    syncFolder(paths.pairs);
    return {
      id,
      release: printable(candidate.release, 64),
      kernel: printable(candidate.kernel),
      initrd: printable(candidate.initrd),
      ...(candidate.config === undefined ? {} : { config: { ...candidate.config } }),
    };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * Moves the finished folder to its name. Where the pair is there already its files are replaced, one after the other: they
 * should be the same bytes, and what is not, because the disk lost something, is made good by it.
 */
function keep(work: string, folder: string): void {
  try {
    renameSync(work, folder);
  } catch (error) {
    const code = errnoOf(error);
    if (code !== "ENOTEMPTY" && code !== "EEXIST") throw error;
    for (const name of readdirSync(work)) renameSync(join(work, name), join(folder, name));
    syncFolder(folder);
  }
}

/**
 * Copies a stored pair into fresh files and puts them where the domain looks. libvirt lends those files to QEMU's user
 * while the guest runs, so they are new at every start, and never read back.
 *
 * @throws {UserError} `PAIR_LOST` when the store no longer holds what it held, and what {@link onDisk} throws
 */
export function stagePair(paths: GuestPaths, pair: Pair): void {
  onDisk(paths.dir, () => stage(paths, pair));
}

function stage(paths: GuestPaths, pair: Pair): void {
  const folder = join(paths.pairs, pair.id);
  const freshKernel = `${paths.runKernel}.new`;
  const freshInitrd = `${paths.runInitrd}.new`;
  try {
    const kernel = copyFile(join(folder, "vmlinuz"), freshKernel, KERNEL_MAX_BYTES);
    const initrd = copyFile(join(folder, "initrd.img"), freshInitrd, INITRD_MAX_BYTES);
    const id = createHash("sha256").update(kernel.sha256).update(initrd.sha256).digest("hex").slice(0, 32);
    if (id !== pair.id) throw lost(pair);
    renameSync(freshInitrd, paths.runInitrd);
    renameSync(freshKernel, paths.runKernel);
    syncFolder(paths.run);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") throw lost(pair);
    throw error;
  } finally {
    rmSync(freshKernel, { force: true });
    rmSync(freshInitrd, { force: true });
  }
}

/** Removes every stored pair but these, and what a killed copy left. What cannot be removed is left for the next time. */
export function prunePairs(paths: GuestPaths, keepIds: readonly string[]): void {
  try {
    for (const name of readdirSync(paths.pairs)) {
      if (!keepIds.includes(name)) rmSync(join(paths.pairs, name), { recursive: true, force: true });
    }
  } catch {
    // It takes space, and harms no start.
  }
}

/**
 * Copies a file of a share that a guest may write to.
 *
 * @param capBytes more is refused
 * @throws {UserError} `PAIR_UNFIT` for a file that is larger, and those of {@link openBootFile}
 */
export function copyFromShare(share: string, name: string, to: string, capBytes: number): Copied {
  // The file is opened with the rights of the share's owner; writing the copy is root's again.
  const { fd } = asOwner(share, () => openBootFile(share, name));
  try {
    return copyOpen(fd, to, capBytes, name);
  } finally {
    closeSync(fd);
  }
}

function copyFile(from: string, to: string, capBytes: number): Copied {
  const fd = openSync(from, "r");
  try {
    return copyOpen(fd, to, capBytes, from);
  } finally {
    closeSync(fd);
  }
}

function copyOpen(fd: number, to: string, capBytes: number, name: string): Copied {
  rmSync(to, { force: true });
  const out = openSync(to, "wx", 0o600);
  try {
    const hash = createHash("sha256");
    const chunk = Buffer.alloc(CHUNK_BYTES);
    let head = Buffer.alloc(0);
    let size = 0;
    for (;;) {
      const length = readSync(fd, chunk, 0, CHUNK_BYTES, size);
      if (length === 0) break;
      const bytes = chunk.subarray(0, length);
      if (size < KERNEL_HEAD_BYTES) head = Buffer.concat([head, bytes]).subarray(0, KERNEL_HEAD_BYTES);
      size += length;
      if (size > capBytes) throw unfit(name, `it is larger than ${capBytes / 1024 / 1024} MiB`);
      hash.update(bytes);
      let written = 0;
      while (written < length) written += writeSync(out, bytes, written);
    }
    fsyncSync(out);
    return { sha256: hash.digest("hex"), size, head };
  } finally {
    closeSync(out);
  }
}

function unfit(name: string, reason: string): UserError {
  return new UserError("PAIR_UNFIT", `${printable(name)} cannot be booted: ${reason}.`);
}

function lost(pair: Pair): UserError {
  return new UserError("PAIR_LOST", `The stored copy of ${pair.release} is no longer whole.`);
}
