/** The log of a build as it comes out of a guest: line by line, made harmless, bounded, kept in a file. */
import { closeSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { Writable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { onDisk } from "../boot/disk.ts";
import { UserError } from "../errors.ts";
import { lastDrawn, printable } from "../text.ts";
import { type Stage, StageReader, type Summary } from "./stages.ts";

/** A longer log ends the build, in bytes: nothing else would keep a build that prints without end from filling the disk. */
const MAX_LOG_BYTES = 512 * 1024 * 1024;
/** A longer line is shown and kept in pieces. */
const MAX_LINE = 16 * 1024;

export interface LogWatch {
  readonly stage: (stage: Stage) => void;
  /** Printable. */
  readonly line: (line: string) => void;
}

/**
 * A line of a log as it may be shown: tabs are blanks, backslashes stay, every other control character is an escape.
 */
export function logLine(text: string): string {
  return lastDrawn(text)
    .split("\\")
    .map((part) => printable(part.replaceAll("\t", "        "), Number.POSITIVE_INFINITY))
    .join("\\");
}

/** Cuts text into lines, whatever pieces it comes in. Pure but for what it remembers. */
export class LineCutter {
  #rest = "";

  push(text: string): string[] {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    while (this.#rest.length > MAX_LINE) {
      lines.push(this.#rest.slice(0, MAX_LINE));
      this.#rest = this.#rest.slice(MAX_LINE);
    }
    return lines;
  }

  end(): string[] {
    const rest = this.#rest;
    this.#rest = "";
    return rest === "" ? [] : [rest];
  }
}

/** Takes a log; what a stream of the guest is connected to. */
export class BuildLog extends Writable {
  readonly #fd: number;
  readonly #watch: LogWatch;
  readonly #reader = new StageReader();
  readonly #cutter = new LineCutter();
  readonly #decoder = new StringDecoder("utf8");
  readonly #stop: (error: unknown) => void;
  readonly #folder: string;
  #unwritable = false;
  #size = 0;
  #last: string[] = [];

  /**
   * @param file is made
   * @param stop called once with why no more can be taken: the log is longer than it may be, or the disk refuses it
   * @throws {UserError} those of {@link onDisk}, where it cannot even be made
   */
  constructor(file: string, watch: LogWatch, stop: (error: unknown) => void) {
    super();
    this.#folder = dirname(file);
    this.#fd = onDisk(this.#folder, () => openSync(file, "wx", 0o644));
    this.#watch = watch;
    this.#stop = stop;
  }

  get stage(): Stage {
    return this.#reader.stage;
  }

  /** Printable. */
  get summary(): Summary {
    return this.#reader.summary;
  }

  /** The last lines, printable. */
  get lastLines(): string {
    return this.#last.join("\n");
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#takeAll(() => this.#cutter.push(this.#decoder.write(chunk)));
    done();
  }

  /** Nothing more comes. */
  close(): void {
    this.#takeAll(() => [...this.#cutter.push(this.#decoder.end()), ...this.#cutter.end()]);
    closeSync(this.#fd);
  }

  /** A disk that takes no more ends this build: thrown here, it would end the process, and every other build of it. */
  #takeAll(lines: () => string[]): void {
    if (this.#unwritable) return;
    try {
      onDisk(this.#folder, () => {
        for (const line of lines()) this.#take(line);
      });
    } catch (error) {
      this.#unwritable = true;
      this.#stop(error);
    }
  }

  #take(raw: string): void {
    if (this.#size > MAX_LOG_BYTES) return;
    const line = logLine(raw);
    this.#size += writeSync(this.#fd, `${line}\n`);
    this.#last = [...this.#last.slice(-11), line.slice(0, 300)];
    const stage = this.#reader.push(line);
    if (stage !== undefined) this.#watch.stage(stage);
    this.#watch.line(line);
    if (this.#size <= MAX_LOG_BYTES) return;
    this.#stop(
      new UserError(
        "LOG_TOO_LONG",
        `The build printed more than ${MAX_LOG_BYTES / 2 ** 20} MiB, and was ended.`,
      ),
    );
  }
}
