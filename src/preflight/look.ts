/**
 * Looks into an initrd: unpacks it as the kernel would (unpack_to_rootfs in init/initramfs.c), keeping nothing but a few facts.
 * Runs in a process without rights and under limits (run.ts), because what it unpacks is a guest's.
 */
import { readSync } from "node:fs";
import { CpioReader } from "../kernel/cpio.ts";
import { readInitrdHead } from "../kernel/initrd.ts";
import { InitrdContents } from "../kernel/initrd-contents.ts";
import { type Compression, type InitrdFacts, type InitrdProblem, MAX_PARTS } from "../kernel/initrd-facts.ts";
import { endOfPart, type ReadAt } from "../kernel/initrd-length.ts";
import { filter } from "../process.ts";

const CHUNK_BYTES = 1024 * 1024;
/** A guest may have chosen how much memory its initrd takes to unpack; no kernel can be asked for more than 128 MiB by xz. */
const XZ_MEMORY = "--memlimit-decompress=192MiB";

/** Each reads standard input and writes standard output. lzop is no part of what Debian makes an initrd with. */
const UNPACKERS: Readonly<Partial<Record<Compression, readonly [string, ...string[]]>>> = {
  gzip: ["gzip", "-dc"],
  xz: ["xz", "-dc", "--format=xz", "--threads=1", XZ_MEMORY],
  lzma: ["xz", "-dc", "--format=lzma", "--threads=1", XZ_MEMORY],
  // It refuses windows above 128 MiB by itself, as the kernel does.
  zstd: ["zstd", "-dc", "--quiet"],
  lz4: ["lz4", "-dc"],
  bzip2: ["bzip2", "-dc"],
};

export interface LookLimits {
  /** Most bytes that all parts may unpack to. */
  readonly maxBytes: number;
  /** Most entries of all archives. */
  readonly maxEntries?: number;
}

/**
 * Looks into the initrd that is open for reading.
 *
 * @param fd a regular file. Not trusted: any bytes give facts, nothing throws but what the system refuses
 */
export async function lookInto(fd: number, size: number, limits: LookLimits): Promise<InitrdFacts> {
  const look = new Look(fd, size, limits);
  await look.run();
  return look.facts();
}

class Look {
  readonly #read: ReadAt;
  readonly #size: number;
  readonly #maxBytes: number;
  readonly #contents = new InitrdContents();
  readonly #cpio: CpioReader;
  readonly #formats: InitrdFacts["formats"][number][] = [];
  #bytes = 0;
  #problem: InitrdProblem | undefined;
  #notUnpacked: Compression | undefined;
  #unseenAfter: Compression | undefined;

  constructor(fd: number, size: number, { maxBytes, maxEntries }: LookLimits) {
    this.#read = windowOf(fd, size);
    this.#size = size;
    this.#maxBytes = maxBytes;
    this.#cpio = new CpioReader(this.#contents, maxEntries);
  }

  facts(): InitrdFacts {
    const problem = this.#problem ?? (this.#contents.tooManyModules ? "too-many-modules" : undefined);
    return {
      formats: this.#formats,
      archives: this.#cpio.archives,
      bytes: this.#bytes,
      ...this.#contents.facts(),
      ...(problem === undefined ? {} : { problem }),
      ...(this.#notUnpacked === undefined ? {} : { notUnpacked: this.#notUnpacked }),
      ...(this.#unseenAfter === undefined ? {} : { unseenAfter: this.#unseenAfter }),
    };
  }

  async run(): Promise<void> {
    let at = 0;
    while (at < this.#size && this.#open()) {
      const ahead = this.#read(at, CHUNK_BYTES);
      if (ahead.length === 0) return this.#stop("cut-short");
      const zeros = ahead.findIndex((byte) => byte !== 0);
      if (zeros !== 0) {
        at += zeros < 0 ? ahead.length : zeros;
        continue;
      }
      const head = ahead.subarray(0, 8);
      const kind = readInitrdHead(head, head.length);
      // The kernel takes any "0" for an archive, and then says what is wrong with it.
      if (head[0] === 0x30) at = this.#plain(at);
      else if (kind.ok && kind.format !== "cpio") at = await this.#packed(kind.format, at);
      else return this.#stop("unknown-format");
    }
    if (this.#cpio.archives === 0 && this.#open()) this.#stop("cut-short");
  }

  /** Whether to go on. */
  #open(): boolean {
    return (
      this.#problem === undefined &&
      this.#notUnpacked === undefined &&
      this.#unseenAfter === undefined &&
      !this.#contents.tooManyModules
    );
  }

  #stop(problem: InitrdProblem): void {
    this.#problem ??= problem;
  }

  #begin(format: InitrdFacts["formats"][number]): boolean {
    if (this.#formats.length >= MAX_PARTS) this.#stop("too-many-entries");
    else this.#formats.push(format);
    return this.#open();
  }

  /** Archives that are not packed. Returns where they end. */
  #plain(start: number): number {
    if (!this.#begin("cpio")) return start;
    this.#cpio.restart(start);
    let at = start;
    while (at < this.#size) {
      const bytes = this.#read(at, CHUNK_BYTES);
      if (bytes.length === 0) break;
      const taken = this.#feed(bytes);
      at += taken;
      if (taken < bytes.length || !this.#open()) return at;
    }
    if (!this.#cpio.complete) this.#stop("cut-short");
    return this.#size;
  }

  /** A part that is packed. Returns where it ends. */
  async #packed(format: Compression, start: number): Promise<number> {
    if (!this.#begin(format)) return start;
    const [program, ...args] = UNPACKERS[format] ?? [];
    const known = endOfPart(format, this.#read, start, this.#size);
    const end = known ?? this.#size;
    const result =
      program === undefined
        ? undefined
        : await filter(program, args, this.#pieces(start, end), (bytes) => {
            // Behind a trailer there may be zeros and further archives, and nothing else.
            if (this.#feed(bytes) < bytes.length) this.#stop("junk");
            return this.#open();
          });
    if (result === undefined || result.missing) this.#notUnpacked = format;
    else if (this.#open()) this.#judge(format, result);
    return end;
  }

  /** What came of an unpacker that was not stopped. */
  #judge(format: Compression, { exitCode, signal, stderr }: Awaited<ReturnType<typeof filter>>): void {
    const followed = /trailing garbage/.test(stderr);
    if (signal !== undefined) this.#stop("too-long");
    // gzip ends with 2 then, and bzip2 with 0; what they unpacked before it is whole.
    else if (followed && this.#cpio.complete && (format === "gzip" || format === "bzip2")) {
      this.#unseenAfter = format;
    } else if (exitCode !== 0) this.#stop("damaged");
    else if (!this.#cpio.complete) this.#stop("cut-short");
  }

  *#pieces(start: number, end: number): Generator<Buffer> {
    for (let at = start; at < end; ) {
      const bytes = Buffer.from(this.#read(at, Math.min(CHUNK_BYTES, end - at)));
      if (bytes.length === 0) return;
      at += bytes.length;
      yield bytes;
    }
  }

  #feed(bytes: Buffer): number {
    this.#bytes += bytes.length;
    if (this.#bytes > this.#maxBytes) {
      this.#stop("too-large");
      return bytes.length;
    }
    const taken = this.#cpio.feed(bytes);
    if (this.#cpio.problem !== undefined) this.#stop(this.#cpio.problem);
    return taken;
  }
}

/** Reads at any place, through a window: parts are walked in steps of a few bytes. */
function windowOf(fd: number, size: number): ReadAt {
  const window = Buffer.alloc(2 * CHUNK_BYTES);
  let from = 0;
  let filled = 0;
  return (offset, length) => {
    const end = Math.min(offset + length, size);
    if (offset < from || end > from + filled) {
      from = offset;
      filled = 0;
      while (filled < window.length) {
        const read = readSync(fd, window, filled, window.length - filled, from + filled);
        if (read === 0) break;
        filled += read;
      }
    }
    return window.subarray(offset - from, Math.max(offset - from, Math.min(end - from, filled)));
  };
}
