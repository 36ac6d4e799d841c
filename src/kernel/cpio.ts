/**
 * Reads cpio archives of the formats "newc" and "crc" as the kernel unpacks them: init/initramfs.c, and
 * Documentation/driver-api/early-userspace/buffer-format.rst. It is fed by pieces, so that an archive of any size takes
 * little memory.
 */

/** What stands for an entry. Sizes in bytes. */
export interface CpioEntry {
  /** As it stands in the archive, Latin-1; any text but NUL. */
  readonly name: string;
  /** File type and permissions: stat(2)'s st_mode. */
  readonly mode: number;
  readonly size: number;
}

/** What is done with the entries. */
export interface CpioVisitor {
  /** A number of bytes: this regular file's content is wanted where it is not larger. */
  entry(entry: CpioEntry): number;
  /** The content of a file that was wanted. */
  content(entry: CpioEntry, content: Buffer): void;
}

/** Why an archive is none, or is one that is not read on. */
export type CpioProblem =
  /** What stands where an entry should begin is none: the kernel stops there. */
  | "no-entry"
  /** An entry of the format `cpio` makes unless told otherwise, which the kernel refuses. */
  | "old-format"
  /** The kernel wants archives that follow each other to begin at a multiple of four bytes. */
  | "misaligned"
  | "bad-checksum"
  | "name-too-long"
  | "too-many-entries";

const HEADER_BYTES = 110;
/** Linux's PATH_MAX, the NUL counted. The kernel passes over an entry with a longer name; no tool writes one. */
const NAME_MAX = 4096;
const TRAILER = "TRAILER!!!";
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;

export const MAX_CPIO_ENTRIES = 256 * 1024;

type State =
  /** Between archives: zeros, or the first byte of what follows. */
  "between" | "header" | "name" | "body" | "failed";

export class CpioReader {
  readonly #visitor: CpioVisitor;
  readonly #maxEntries: number;
  #state: State = "between";
  /** Bytes read since {@link restart}: entries are aligned by it. */
  #position = 0;
  #collected: Buffer[] = [];
  #missing = 0;
  #skip = 0;
  #entry: CpioEntry = { name: "", mode: 0, size: 0 };
  #nameBytes = 0;
  #wantsBody = false;
  /** The checksum that the header names, of a format that has them. */
  #checksum: number | undefined;
  #sum = 0;
  #entries = 0;
  #archives = 0;
  #problem: CpioProblem | undefined;

  constructor(visitor: CpioVisitor, maxEntries: number = MAX_CPIO_ENTRIES) {
    this.#visitor = visitor;
    this.#maxEntries = maxEntries;
  }

  /** Why nothing more is read. */
  get problem(): CpioProblem | undefined {
    return this.#problem;
  }

  /** Archives that were read to their trailer. */
  get archives(): number {
    return this.#archives;
  }

  /** Everything that was begun was read to its trailer. */
  get complete(): boolean {
    return this.#state === "between";
  }

  /** What is fed next begins at this position, as the kernel counts. Right only where {@link complete}. */
  restart(position: number): void {
    this.#position = position;
  }

  /**
   * Reads on.
   *
   * @param bytes any bytes; not kept
   * @returns how many of them belong to archives and the zeros behind them. Fewer than all: what follows is no archive,
   *   and may be something compressed; or there is a {@link problem}
   */
  feed(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length) {
      if (this.#state === "failed") return at;
      if (this.#state === "between") {
        const byte = bytes[at];
        if (byte === 0) {
          at++;
          this.#position++;
        } else if (byte === 0x30) {
          if (this.#position % 4 !== 0) this.#fail("misaligned");
          else this.#collect("header", HEADER_BYTES);
        } else return at;
        continue;
      }
      const taken = bytes.subarray(at, at + (this.#skip > 0 ? this.#skip : this.#missing));
      at += taken.length;
      this.#position += taken.length;
      if (this.#skip > 0) this.#skip -= taken.length;
      else this.#take(taken);
      // A part may be of no length at all, and what comes after it, too.
      while (this.#skip === 0 && this.#missing === 0 && this.#reading()) this.#next();
    }
    return at;
  }

  #reading(): boolean {
    return this.#state !== "between" && this.#state !== "failed";
  }

  #collect(state: State, bytes: number): void {
    this.#state = state;
    this.#collected = [];
    this.#missing = bytes;
  }

  #take(bytes: Buffer): void {
    this.#missing -= bytes.length;
    if (this.#state !== "body") {
      this.#collected.push(Buffer.from(bytes));
      return;
    }
    if (this.#checksum !== undefined) for (const byte of bytes) this.#sum = (this.#sum + byte) >>> 0;
    if (this.#wantsBody) this.#collected.push(Buffer.from(bytes));
  }

  /** A part is there as a whole. */
  #next(): void {
    const whole = Buffer.concat(this.#collected);
    const problem =
      this.#state === "header"
        ? this.#readHeader(whole)
        : this.#state === "name"
          ? this.#readName(whole)
          : this.#endBody(whole);
    if (problem !== undefined) this.#fail(problem);
  }

  #readHeader(header: Buffer): CpioProblem | undefined {
    const magic = header.toString("latin1", 0, 6);
    if (magic === "070707") return "old-format";
    const fields = header.toString("latin1", 6);
    if ((magic !== "070701" && magic !== "070702") || !/^[0-9A-Fa-f]{104}$/.test(fields)) {
      return "no-entry";
    }
    const field = (index: number): number => Number.parseInt(fields.slice(8 * index, 8 * index + 8), 16);
    const [mode, size, nameBytes] = [field(1), field(6), field(11)];
    if (nameBytes === 0) return "no-entry";
    if (nameBytes > NAME_MAX) return "name-too-long";
    if (++this.#entries > this.#maxEntries) return "too-many-entries";
    this.#entry = { name: "", mode, size };
    this.#nameBytes = nameBytes;
    this.#checksum = magic === "070702" && (mode & S_IFMT) === S_IFREG ? field(12) : undefined;
    this.#sum = 0;
    this.#collect("name", padded(HEADER_BYTES + nameBytes) - HEADER_BYTES);
    return undefined;
  }

  #readName(name: Buffer): CpioProblem | undefined {
    const end = name.indexOf(0);
    if (end < 0 || end >= this.#nameBytes) return "no-entry";
    this.#entry = { ...this.#entry, name: name.toString("latin1", 0, end) };
    const { mode, size } = this.#entry;
    const regular = (mode & S_IFMT) === S_IFREG;
    // The trailer is read like every entry: it may have a body, which is passed over.
    const limit = this.#isTrailer() ? 0 : this.#visitor.entry(this.#entry);
    this.#wantsBody = regular && size > 0 && size <= limit;
    this.#collect("body", size);
    return undefined;
  }

  #endBody(content: Buffer): CpioProblem | undefined {
    if (this.#isTrailer()) {
      this.#archives++;
      this.#state = "between";
      this.#collected = [];
      return undefined;
    }
    if (this.#checksum !== undefined && this.#checksum !== this.#sum) return "bad-checksum";
    if (this.#wantsBody) this.#visitor.content(this.#entry, content);
    this.#collect("header", HEADER_BYTES);
    this.#skip = padded(this.#entry.size) - this.#entry.size;
    return undefined;
  }

  #isTrailer(): boolean {
    return this.#entry.name === TRAILER;
  }

  #fail(problem: CpioProblem): void {
    this.#state = "failed";
    this.#problem = problem;
    this.#collected = [];
  }
}

function padded(bytes: number): number {
  return Math.ceil(bytes / 4) * 4;
}
