/**
 * Taking what was built: a guest that ran a stranger's build says what it has, and is believed only as far as a .changes and
 * its checksums hold it.
 */
import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { freeBytes } from "../provision/free-space.ts";
import { printable } from "../text.ts";
import { fileVersion, type ListedFile, listedFiles, parseControl, type SourcePackage } from "./control.ts";

/** What a build made. */
export interface Changes {
  /** The name of the .changes. */
  readonly name: string;
  readonly text: string;
  readonly files: readonly ListedFile[];
}

/** What may be among the results of a binary build (deb-changes(5)): packages, installer packages, debug packages, build info. */
const RESULT = /\.(deb|udeb|ddeb|buildinfo)$/;

/**
 * Checks the .changes of a build.
 *
 * @param name as the guest says it
 * @throws {UserError} `CHANGES_INVALID`
 */
export function readChanges(name: string, text: string, source: SourcePackage): Changes {
  const begin = `${source.name}_${fileVersion(source.version)}_`;
  if (!name.startsWith(begin) || !/^[a-z0-9-]+\.changes$/.test(name.slice(begin.length))) {
    throw invalid(source, `it is named ${printable(name)}`);
  }
  const fields = parseControl(text);
  const files = fields === undefined ? undefined : listedFiles(fields);
  if (files === undefined) throw invalid(source, "it has no valid list of files with SHA-256 checksums");
  const odd = files.find((file) => !RESULT.test(file.name));
  if (odd !== undefined) throw invalid(source, `it names ${odd.name}, which no binary build makes`);
  if (!files.some((file) => file.name.endsWith("deb"))) throw invalid(source, "it names no package");
  return { name, text, files };
}

function invalid({ name }: SourcePackage, why: string): UserError {
  return new UserError("CHANGES_INVALID", `The guest's .changes of ${name} cannot be used: ${why}.`, {
    hint: "Nothing of this build was kept but its log.",
  });
}

/** Left free on the disk that the packages go to, in bytes. */
const MARGIN_BYTES = 64 * 1024 * 1024;

/** @throws {UserError} `OUTPUT_FULL` where the files do not fit into a folder */
export async function requireRoom(folder: string, files: readonly ListedFile[]): Promise<void> {
  const wanted = files.reduce((sum, { size }) => sum + size, 0) + MARGIN_BYTES;
  const free = freeBytes(folder);
  if (free >= wanted) return;
  throw new UserError(
    "OUTPUT_FULL",
    `What was built takes ${Math.ceil(wanted / 2 ** 20)} MiB, and ${printable(folder)} has ${Math.floor(free / 2 ** 20)} MiB free.`,
    { hint: "Free some space, or take another folder: --output" },
  );
}

/**
 * Takes files one after the other from a stream that holds them all, in the order and with the sizes of the list: what the guest
 * sends needs no names then. Each is written to a folder of ours, and counts only when its checksum is right.
 */
export class ResultWriter {
  readonly #folder: string;
  readonly #files: readonly ListedFile[];
  #index = -1;
  #fd: number | undefined;
  #left = 0;
  #hash = createHash("sha256");
  #differs: string | undefined;

  constructor(folder: string, files: readonly ListedFile[]) {
    this.#folder = folder;
    this.#files = files;
    this.#next();
  }

  /** @returns false when nothing more is wanted: the stream holds more than the list says, or something else */
  push(bytes: Buffer): boolean {
    let rest = bytes;
    while (rest.length > 0) {
      if (this.#fd === undefined) return false;
      const part = rest.subarray(0, this.#left);
      writeSync(this.#fd, part);
      this.#hash.update(part);
      this.#left -= part.length;
      rest = rest.subarray(part.length);
      if (this.#left === 0) this.#close();
      if (this.#differs !== undefined) return false;
    }
    return true;
  }

  /** @throws {UserError} `RESULT_DIFFERS` unless all files came, and are what the list says */
  end(): void {
    const missing = this.#fd === undefined ? undefined : this.#files[this.#index]?.name;
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    const bad = this.#differs ?? missing;
    if (bad === undefined) return;
    throw new UserError("RESULT_DIFFERS", `${bad} is not the file that the guest's .changes names.`, {
      hint: "Nothing of this build was kept but its log. Build it again.",
    });
  }

  #next(): void {
    this.#index++;
    const file = this.#files[this.#index];
    if (file === undefined) return;
    this.#fd = openSync(join(this.#folder, file.name), "wx", 0o644);
    this.#left = file.size;
    this.#hash = createHash("sha256");
    if (file.size === 0) this.#close();
  }

  #close(): void {
    if (this.#fd === undefined) return;
    fsyncSync(this.#fd);
    closeSync(this.#fd);
    this.#fd = undefined;
    const file = this.#files[this.#index];
    if (this.#hash.digest("hex") === file?.sha256) this.#next();
    else this.#differs = file?.name;
  }
}

/** Puts checked files into their place; the .changes last, since it is what others act upon. */
export function publish(from: string, to: string, { name, text, files }: Changes): string[] {
  const changes = openSync(join(from, name), "wx", 0o644);
  writeSync(changes, text);
  fsyncSync(changes);
  closeSync(changes);
  const names = [...files.map((file) => file.name), name];
  for (const one of names) renameSync(join(from, one), join(to, one));
  return names.map((one) => join(to, one));
}
