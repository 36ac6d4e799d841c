/**
 * Running Debian's tools on a disk image that somebody else made, without the rights to do harm with it. What is in an image is
 * not trusted: neither its format, nor its partition table, nor a byte of its file systems. So the host's kernel never
 * mounts it, and the programs that read it are outsiders: as root they run as the user that QEMU runs as, who owns nothing
 * but guests' disks; in any case they get no other rights by what they start, and a bound of memory.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync } from "node:fs";
import { chmod, chown, mkdir } from "node:fs/promises";
import { UserError } from "../../errors.ts";
import { missingProgram, type RunOptions, type RunResult, run } from "../../process.ts";
import { lastLines } from "../../text.ts";

/** Address space of each program, in bytes: debugfs and qemu-img take some tens of MiB, e2fsck some hundreds. */
const MEMORY_BYTES = 4 * 2 ** 30;

export interface Outsider {
  readonly uid: number;
  readonly gid: number;
  /** The folder that they work in, theirs. They need no way to it: files in it are named relative to it. */
  readonly folder: string;
}

/** The command that runs a program as an outsider. */
export function asOutsider(
  { uid, gid }: Pick<Outsider, "uid" | "gid">,
  file: string,
  args: readonly string[],
  root: boolean = process.getuid?.() === 0,
): { file: string; args: string[] } {
  const user = root
    ? [`--reuid=${uid}`, `--regid=${gid}`, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
    : [];
  const limits = [`--as=${MEMORY_BYTES}`, "--core=0"];
  return {
    file: "prlimit",
    args: [...limits, "--", "setpriv", ...user, "--no-new-privs", "--", file, ...args],
  };
}

/** {@link run}, as an outsider, in its folder. `missing` and exit code 127 both say that the program is not there. */
export async function runAsOutsider(
  outsider: Outsider,
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const { file, args: all } = asOutsider(outsider, program, args);
  const result = await run(file, all, { ...options, cwd: outsider.folder });
  return { ...result, missing: result.missing || result.exitCode === 127 };
}

/** Makes a folder that is the outsider's: its own, or one in it. */
export async function makeOutsiderFolder(
  { uid, gid }: Outsider,
  folder: string,
  mode: number,
): Promise<void> {
  await mkdir(folder);
  await chmod(folder, mode);
  if (process.getuid?.() === 0) await chown(folder, uid, gid);
}

/** Reads a file that an outsider made: no link is followed, nothing but a regular file is read. Undefined where it is none. */
export function readPlainFile(path: string): Buffer | undefined {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  let fd: number;
  try {
    fd = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    return fstatSync(fd).isFile() ? readFileSync(fd) : undefined;
  } finally {
    closeSync(fd);
  }
}

/**
 * Sees to it that a file that an outsider made, and that stands where it cannot be exchanged any more, is a file of its own.
 *
 * @throws {UserError} `DISK_NOT_PLAIN`
 */
export function requirePlainFile(path: string): void {
  const { nlink } = lstatSync(path);
  if (lstatSync(path).isFile() && nlink === 1) return;
  throw new UserError("DISK_NOT_PLAIN", `${path} should be a file, and leads somewhere else.`, {
    hint: "A program that read the disk was made to do this by what is on it. Do not trust that disk.",
  });
}

/** {@link runAsOutsider}, of a program that is expected to succeed. @throws {UserError} `PROGRAM_MISSING`, `PROGRAM_FAILED` */
export async function mustAsOutsider(
  outsider: Outsider,
  program: string,
  args: readonly string[],
  options: RunOptions,
): Promise<void> {
  const result = await runAsOutsider(outsider, program, args, options);
  options.signal?.throwIfAborted();
  if (result.missing) throw missingProgram(program);
  if (result.exitCode === 0) return;
  throw new UserError("PROGRAM_FAILED", `${program} failed with exit code ${result.exitCode}.`, {
    detail: lastLines(result.stderr),
    hint: "Is there room on the disk of the host?",
  });
}
