/** A guest on disk, without a domain, whose folder may be copied, broken and looked at. */
import { execFileSync } from "node:child_process";
import { createCipheriv, createHash } from "node:crypto";
import {
  closeSync,
  cpSync,
  existsSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { appendEvents, readState } from "../../src/boot/log.ts";
import { prepareBoot } from "../../src/boot/prepare.ts";
import { errnoOf } from "../../src/errors.ts";
import { type GuestPaths, guestPathsOf } from "../../src/paths.ts";
import { bzImage } from "../unit/kernel/images.ts";
import { cpio, pack, tree } from "../unit/kernel/initrds.ts";
import { AMD64 } from "../unit/machines.ts";

export const UUID = "01234567-89ab-4cde-8f01-23456789abcd";
export const NAME = "worker1";
export const OLDER = "6.1.0-8-amd64";
export const OLD = "6.1.0-9-amd64";
export const NEW = "6.1.0-10-amd64";

/** A folder that stands for /var/lib, with a guest in it. */
export class FaultGuest {
  /** Stands for /var/lib. */
  readonly lib: string;
  readonly root: string;
  readonly paths: GuestPaths;
  readonly #diskMiB: number | undefined;

  /** @param diskMiB the size of a file system of its own, where it is to have one */
  constructor(diskMiB?: number) {
    this.lib = mkdtempSync(join(tmpdir(), "bootshare-fault-"));
    this.root = join(this.lib, "bootshare");
    this.paths = guestPathsOf(UUID, this.root);
    this.#diskMiB = diskMiB;
    mkdirSync(this.root);
    if (diskMiB !== undefined)
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${diskMiB}m`, "bootshare-fault", this.root]);
    for (const folder of [this.paths.share, this.paths.run, this.paths.pairs])
      mkdirSync(folder, { recursive: true });
  }

  /** An independent copy, as it is at this moment. */
  copy(): FaultGuest {
    const copy = new FaultGuest(this.#diskMiB);
    cpSync(this.root, copy.root, { recursive: true, preserveTimestamps: true });
    return copy;
  }

  remove(): void {
    if (this.#diskMiB !== undefined && existsSync(this.root)) execFileSync("umount", [this.root]);
    rmSync(this.lib, { recursive: true, force: true });
  }

  /** Takes the last byte of its file system, or all but so many. */
  fillDisk(leaveBytes = 0): void {
    const fd = openSync(this.filler, "w");
    try {
      const page = Buffer.alloc(4096, 1);
      while (tryWrite(fd, page));
      fsyncSync(fd);
      ftruncateSync(fd, fstatSync(fd).size - leaveBytes);
    } finally {
      closeSync(fd);
    }
  }

  /** What {@link fillDisk} made. */
  get filler(): string {
    return join(this.root, "filler");
  }

  remount(how: "ro" | "rw"): void {
    execFileSync("mount", ["-o", `remount,${how}`, this.root]);
  }

  /** Puts a kernel and its initrd into the share, as the one that boots next. */
  install(release: string): void {
    const { share } = this.paths;
    writeFileSync(join(share, `vmlinuz-${release}`), kernelOf(release));
    writeFileSync(join(share, `initrd.img-${release}`), initrdOf(release));
    writeFileSync(join(share, "vmlinuz"), `vmlinuz-${release}`);
    writeFileSync(join(share, "initrd.img"), `initrd.img-${release}`);
  }

  /** The guest's root removed everything in /boot. */
  emptyShare(): void {
    for (const name of readdirSync(this.paths.share)) rmSync(join(this.paths.share, name));
  }

  /** What the hook does before a start, in this process. Returns which kernel it is and why. */
  prepare(): string {
    const { pair, source } = prepareBoot(this.paths, NAME, AMD64);
    return `${pair.release} by ${source}`;
  }

  /** A boot of what is in the share, that was good and ended in an orderly reboot. */
  bootToGood(): void {
    this.prepare();
    const { current } = readState(this.paths);
    if (current === undefined) throw new Error("no attempt");
    writeFileSync(this.paths.report, "end reboot\n");
    appendEvents(this.paths, [
      { e: "started" },
      { e: "good", attempt: current.id, release: current.pair.release },
      { e: "released" },
      { e: "end", attempt: current.id, how: "reboot" },
    ]);
  }

  /** The last good pair is known and whole in the store, and so is the one before it, where there is one. */
  expectGoodKept(release: string, before?: string): void {
    const { good, goodBefore } = readState(this.paths);
    expect([good?.release, goodBefore?.release]).toEqual([release, before]);
    for (const pair of [good, goodBefore]) {
      if (pair === undefined) continue;
      const folder = join(this.paths.pairs, pair.id);
      expect(pairId(join(folder, "vmlinuz"), join(folder, "initrd.img"))).toBe(pair.id);
    }
  }

  /** The consoles that were kept, in the order of their attempts. */
  keptConsoles(): string[] {
    const files = readState(this.paths).attempts.map(({ id }) => this.paths.badLog(id));
    return files.filter((file) => existsSync(file)).map((file) => readFileSync(file, "utf8"));
  }

  /** What the domain would load is whole, and what was recorded. Returns its release and where the choice came from. */
  staged(): string {
    const { runKernel, runInitrd } = this.paths;
    const { current } = readState(this.paths);
    expect(pairId(runKernel, runInitrd), "the pair in run/ is the one that was recorded").toBe(
      current?.pair.id,
    );
    const release = current?.pair.release ?? "";
    expect(readFileSync(runKernel).equals(kernelOf(release))).toBe(true);
    expect(readFileSync(runInitrd).equals(initrdOf(release))).toBe(true);
    return `${release} by ${current?.source}`;
  }

  /** Nothing is there that an undisturbed start would not have left. */
  expectTidy(): void {
    const { good, goodBefore, current, attempts } = readState(this.paths);
    const known = [good?.id, goodBefore?.id, current?.pair.id].filter((id) => id !== undefined);
    expect(readdirSync(this.paths.pairs).sort()).toEqual([...new Set(known)].sort());
    expect(readdirSync(this.paths.run).sort()).toEqual(["initrd.img", "vmlinuz"]);
    const others =
      /^(share|run|pairs|bad|initrds\.json|serial\.log|boots(\.1)?\.jsonl|report(\.[123])?|policy\.json)$/;
    expect(readdirSync(this.paths.dir).filter((name) => !others.test(name))).toEqual([]);
    const consoles = existsSync(this.paths.badLogs) ? readdirSync(this.paths.badLogs) : [];
    expect(consoles.filter((name) => !attempts.some(({ id }) => name === `${id}.log`))).toEqual([]);
  }

  hookLog(): string {
    const file = join(this.root, "hook.log");
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }
}

export const kernelOf = (release: string): Buffer => bzImage({ release: `${release} (debian@example)` });
const initrds = new Map<string, Buffer>();
/** A real one, longer than what is copied at once, so that a copy may be cut in its middle. Always the same bytes. */
export function initrdOf(release: string): Buffer {
  const made = initrds.get(release) ?? pack("zstd", cpio([...tree({ release }), FIRMWARE]));
  initrds.set(release, made);
  return made;
}

/** Nothing packs it. */
const FIRMWARE = {
  name: "usr/lib/firmware/example.bin",
  content: createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(
    Buffer.alloc(1024 * 1024 + 4096),
  ),
};

function tryWrite(fd: number, chunk: Buffer): boolean {
  try {
    return writeSync(fd, chunk) > 0;
  } catch (error) {
    if (errnoOf(error) === "ENOSPC") return false;
    throw error;
  }
}

/** A pair's name by its bytes, as boot/events.ts defines it. */
function pairId(kernel: string, initrd: string): string {
  const sum = (file: string): string => createHash("sha256").update(readFileSync(file)).digest("hex");
  return createHash("sha256").update(sum(kernel)).update(sum(initrd)).digest("hex").slice(0, 32);
}
