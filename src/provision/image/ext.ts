/**
 * Reading and changing an ext2, 3 or 4 file system in a disk image, by debugfs(8): the host's kernel has no part in it.
 *
 * debugfs says what went wrong on standard error and ends with 0 all the same, so what was written is read back. It takes
 * its commands as text: paths in it are bootshare's own constants, or names that {@link isPlainName} allows.
 */
import { constants } from "node:fs";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { UserError } from "../../errors.ts";
import { missingProgram } from "../../process.ts";
import { lastLines, printable } from "../../text.ts";
import { type Outsider, readPlainFile, runAsOutsider } from "./outsider.ts";

/** What a folder in an image holds. Names are the image's: not trusted. */
export interface ExtEntry {
  readonly name: string;
  readonly kind: "file" | "folder" | "link" | "other";
  /** Permissions, for example 0o644. */
  readonly mode: number;
  /** Bytes. */
  readonly size: number;
}

/** What is to be changed in a file system. What is removed goes first; paths are absolute and of plain names. */
export interface ExtChange {
  readonly files?: readonly ExtFile[];
  readonly links?: readonly { readonly path: string; readonly target: string }[];
  /** Files and links; what is not there is none. */
  readonly removed?: readonly string[];
  /** Empty folders, after all else. One that is not empty stays. */
  readonly removedFolders?: readonly string[];
}

/** Something to be put into an image, root's. */
export interface ExtFile {
  /** Absolute in the file system, of plain names. Folders that are missing are made, 0755. */
  readonly path: string;
  readonly content: string | Buffer;
  readonly mode: number;
  /** Of its own folder, where that is made; 0755 by default. */
  readonly folderMode?: number;
}

const { S_IFMT, S_IFREG, S_IFDIR, S_IFLNK } = constants;

const PLAIN_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.+~@:-]{0,200}$/;

/** A name that debugfs's command line takes as it is. */
export function isPlainName(name: string): boolean {
  return PLAIN_NAME.test(name);
}

/** Lines of `ls -l -p`: `/INODE/MODE/UID/GID/NAME/SIZE/`, of which a name cannot have a slash. `.` and `..` are left out. */
export function parseLs(text: string): ExtEntry[] {
  return text.split("\n").flatMap((line) => {
    const [, octal, name, size] = /^\/\d+\/(\d+)\/\d+\/\d+\/([^/]+)\/(\d*)\/$/.exec(line) ?? [];
    if (octal === undefined || name === undefined || name === "." || name === "..") return [];
    const mode = Number.parseInt(octal, 8);
    return [{ name, kind: kindOf(mode), mode: mode & 0o7777, size: Number(size) }];
  });
}

/** By the type in a mode (inode(7)). */
function kindOf(mode: number): ExtEntry["kind"] {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "file";
    case S_IFDIR:
      return "folder";
    case S_IFLNK:
      return "link";
    default:
      return "other";
  }
}

/** The target of a symbolic link in what `stat` prints; undefined for one that is not quoted whole there. */
export function parseLinkTarget(text: string): string | undefined {
  return /^Fast link dest: "([^"\n]*)"$/m.exec(text)?.[1];
}

/** A file system in an image. */
export class ExtFileSystem {
  readonly #outsider: Outsider;
  readonly #device: string;
  readonly #signal: AbortSignal;

  /**
   * @param raw name of the disk in the outsider's folder, plain
   * @param offset where the file system begins, in bytes
   */
  constructor(outsider: Outsider, raw: string, offset: number, signal: AbortSignal) {
    this.#outsider = outsider;
    // Of libext2fs's: options of the way to the device follow a question mark.
    this.#device = `${raw}?offset=${offset}`;
    this.#signal = signal;
  }

  /**
   * Makes the file system whole as its next mount would: replays the journal, corrects what needs no decision.
   *
   * @throws {UserError} `IMAGE_DAMAGED`
   */
  async check(): Promise<void> {
    const ran = await this.#run("e2fsck", ["-p", this.#device]);
    // 1: corrected; 2: and a kernel that has it mounted should be restarted, which nobody has (e2fsck(8)).
    if (ran.exitCode >= 0 && ran.exitCode < 4) return;
    throw new UserError("IMAGE_DAMAGED", "A file system of the disk is damaged, or was not unmounted.", {
      detail: lastLines(`${ran.stdout}\n${ran.stderr}`),
      hint: "Start it where it runs, let it shut down, and try again. e2fsck(8) says more.",
    });
  }

  /** What a folder holds; undefined where there is none. */
  async list(path: string): Promise<ExtEntry[] | undefined> {
    const { stdout, stderr } = await this.#run("debugfs", ["-R", `ls -l -p ${path}`, this.#device]);
    return isAbsent(stderr) ? undefined : parseLs(stdout);
  }

  /** A file's text; undefined where there is none. For small ones. */
  async text(path: string): Promise<string | undefined> {
    const { stdout, stderr } = await this.#run("debugfs", ["-R", `cat ${path}`, this.#device]);
    return isAbsent(stderr) ? undefined : stdout;
  }

  /** What a symbolic link names; undefined where it is none. */
  async linkTarget(path: string): Promise<string | undefined> {
    return parseLinkTarget((await this.#run("debugfs", ["-R", `stat ${path}`, this.#device])).stdout);
  }

  /** Copies a file out. @param name relative to the outsider's folder, of plain names; a folder of the outsider's holds it */
  async copyOut(path: string, name: string): Promise<void> {
    await this.#run("debugfs", ["-R", `dump ${path} ${name}`, this.#device]);
  }

  /**
   * Puts files and links in, in place of what has their names, and takes others out.
   *
   * @throws {UserError} `IMAGE_NOT_WRITTEN` unless all of it can be read back
   * @throws the system error where there is no room for what is put in
   */
  async change({ files = [], links = [], removed = [], removedFolders = [] }: ExtChange): Promise<void> {
    const commands = removed.map((path) => `rm ${path}`);
    const folders = new Map<string, number>();
    const places: readonly Pick<ExtFile, "path" | "folderMode">[] = [...files, ...links];
    for (const { path, folderMode = 0o755 } of places) {
      const above = foldersOf(path);
      for (const folder of above) folders.set(folder, folder === above.at(-1) ? folderMode : 0o755);
    }
    for (const [folder, mode] of folders) {
      if ((await this.list(folder)) !== undefined) continue;
      commands.push(`mkdir ${folder}`, ...owned(folder, 0o40000 | mode));
    }
    const { folder } = this.#outsider;
    // Not in the outsider's folder: a name there may lead anywhere, and this is written with our own rights.
    const ours = `${folder}.put`;
    if (files.length > 0) await mkdir(ours, { mode: 0o755 });
    for (const [index, { path, content, mode }] of files.entries()) {
      await writeFile(join(ours, String(index)), content, { mode: 0o644, flag: "wx" });
      const from = `../${basename(ours)}/${index}`;
      commands.push(`rm ${path}`, `write ${from} ${path}`, ...owned(path, 0o100000 | mode));
    }
    for (const { path, target } of links) commands.push(`rm ${path}`, `symlink ${path} ${target}`);
    commands.push(...removedFolders.map((path) => `rmdir ${path}`));
    const input = `${commands.join("\n")}\n`;
    let said: string;
    try {
      said = (await this.#run("debugfs", ["-w", "-f", "-", this.#device], input)).stderr;
    } finally {
      await rm(ours, { recursive: true, force: true });
    }
    for (const { path, content, mode } of files) {
      // A file system that is full has files of the right length, too.
      await this.copyOut(path, BACK);
      const there = readPlainFile(join(folder, BACK));
      const entry = await this.#entry(path);
      const same =
        entry?.kind === "file" && entry.mode === mode && there?.equals(Buffer.from(content)) === true;
      await rm(join(folder, BACK), { force: true });
      if (!same) throw notWritten(path, said);
    }
    for (const { path, target } of links) {
      if ((await this.linkTarget(path)) !== target) throw notWritten(path, said);
    }
  }

  async #entry(path: string): Promise<ExtEntry | undefined> {
    const at = path.lastIndexOf("/");
    const name = path.slice(at + 1);
    return (await this.list(path.slice(0, at) || "/"))?.find((entry) => entry.name === name);
  }

  async #run(program: string, args: readonly string[], input?: string) {
    const signal = this.#signal;
    const options = { signal, exact: true, ...(input === undefined ? {} : { input }) };
    const result = await runAsOutsider(this.#outsider, program, args, options);
    signal.throwIfAborted();
    if (result.missing) throw missingProgram(program);
    return result;
  }
}

/** Names a file in the outsider's folder for what was put in and is read again. */
const BACK = "read-back";

/** debugfs has no other sign of it. */
function isAbsent(stderr: string): boolean {
  return /: (File not found by ext2_lookup|Ext2 inode is not a directory|.*not a (regular file|directory))/.test(
    stderr,
  );
}

function owned(path: string, mode: number): string[] {
  return [
    `set_inode_field ${path} mode 0${mode.toString(8)}`,
    `set_inode_field ${path} uid 0`,
    `set_inode_field ${path} gid 0`,
  ];
}

/** `/a`, `/a/b` of `/a/b/c`. */
function foldersOf(path: string): string[] {
  const parts = path.split("/").slice(1, -1);
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join("/")}`);
}

function notWritten(path: string, said: string): UserError {
  return new UserError(
    "IMAGE_NOT_WRITTEN",
    `${printable(path)} could not be written into the copy of the disk.`,
    {
      detail: lastLines(said),
      hint: "Is its file system full? Free some space in it where it runs, and try again.",
    },
  );
}
