/**
 * Copying files into a guest and out of it, as tar archives over ssh. What comes out is the guest's: it is unpacked in a new
 * folder by a program without rights, and of that only regular files and folders are taken.
 */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
} from "node:fs";
import { basename, dirname, join, posix, resolve } from "node:path";
import { EXIT, messageOf, UserError } from "../errors.ts";
import { type Transferred, transfer } from "../process.ts";
import { printable } from "../text.ts";
import { atTarget, copyTarget } from "./copy-target.ts";
import type { ReachableGuest } from "./in-guest.ts";
import { SSH_FAILED, sshArguments } from "./ssh.ts";

/** What comes out of a guest at most, in bytes, where nobody said otherwise. */
const MAX_OUT_BYTES = 16 * 2 ** 30;

/**
 * Unpacks standard input beside its place, and copies it there as cp(1) does. $1 is the place, $2 its name in the archive, $3 the
 * name that it has in a folder.
 */
const PUT = `set -e
case $1 in
*/) mkdir -p -- "$1"; near=$1 ;;
*) near=$(dirname -- "$1"); mkdir -p -- "$near" ;;
esac
work=$(mktemp -d -- "$near/.bootshare-XXXXXX")
trap 'rm -rf -- "$work"' EXIT
tar -xf - -C "$work" --no-same-owner
if [ -d "$1" ]; then to=$1/$3; else to=$1; fi
cp -a -T -- "$work/./$2" "$to"`;

/** Writes one file or folder to standard output as an archive; $1 is its folder, $2 its name there. */
const TAKE = `set -e
cd -- "$1"
exec tar -cf - -- "./$2"`;

/** Something of the host that can be copied into a guest. */
export interface CopySource {
  /** Where it really is: a link that is named is followed. */
  readonly real: string;
  /** The name that it has in a folder. */
  readonly wanted: string;
}

/**
 * What {@link copyIn} finds out before it asks the guest.
 *
 * @throws {UserError} `COPY_SOURCE`
 */
export function checkCopyIn(from: string, to: string): CopySource {
  const path = resolve(from);
  let real: string;
  try {
    real = realpathSync(path);
  } catch (error) {
    throw new UserError(
      "COPY_SOURCE",
      `${printable(from)} cannot be copied: ${printable(messageOf(error))}.`,
      {
        exitCode: EXIT.notFound,
      },
    );
  }
  if (real === "/" || !posix.isAbsolute(to)) {
    throw new UserError("COPY_SOURCE", `${printable(from)} cannot be copied to ${printable(to)}.`, {
      exitCode: EXIT.usage,
      hint: "Name a file or a folder below /, and an absolute path in the guest.",
    });
  }
  return { real, wanted: basename(path) };
}

/**
 * Copies a file or folder of the host into a guest, owned by root there. A link that is named is followed; those in a folder are
 * copied as links.
 *
 * @param to absolute path in the guest. As for cp(1): in it where it is a folder or ends in a slash, else under this very name.
 *   Folders above it are made
 * @throws {UserError} those of {@link checkCopyIn}; `COPY_FAILED`; the signal's reason
 */
export async function copyIn(
  guest: ReachableGuest,
  from: string,
  to: string,
  signal?: AbortSignal,
): Promise<void> {
  const { real, wanted } = checkCopyIn(from, to);
  const name = basename(real);
  const pack = [
    "--create",
    "--file=-",
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    `--directory=${dirname(real)}`,
  ];
  const done = await transfer(
    { file: "tar", args: [...pack, "--", `./${name}`] },
    { file: "ssh", args: sshArguments(guest, guest.endpoint, ["sh", "-c", PUT, "put", to, name, wanted]) },
    Number.POSITIVE_INFINITY,
    signal,
  );
  if (done.from === 0 && done.to === 0) return;
  throw copyFailed(
    `${printable(from)} could not be copied to ${printable(to)} in the guest ${guest.name}`,
    done,
  );
}

export interface CopiedOut {
  /** Links and special files in it that were left out: paths, printable. */
  readonly leftOut: readonly string[];
}

/** Where something comes from, and where it goes. */
export interface CopyPaths {
  /** Its folder in the guest, and its name there. */
  readonly folder: string;
  readonly name: string;
  /** On the host; nothing is there. */
  readonly target: string;
}

/**
 * What {@link copyOut} finds out before it asks the guest.
 *
 * @throws {UserError} `COPY_SOURCE`, and those of {@link copyTarget}
 */
export function checkCopyOut(from: string, to: string): CopyPaths {
  const path = posix.normalize(from).replace(/(?<=.)\/+$/, "");
  const name = posix.basename(path);
  if (!posix.isAbsolute(path) || name === "") {
    throw new UserError(
      "COPY_SOURCE",
      `${printable(from)} is no absolute path of a file or folder in a guest.`,
      {
        exitCode: EXIT.usage,
      },
    );
  }
  return { folder: posix.dirname(path), name, target: copyTarget(to, name) };
}

/**
 * Copies a file or folder of a guest to the host. Only regular files and folders come out, with their permissions less set-uid
 * and what others may write, owned by whoever calls; no name can lead out of `to`.
 *
 * @param from absolute path in the guest
 * @param to path on the host, where nothing may be. A path that ends in a slash, or is a folder: in it under its own name
 * @throws {UserError} those of {@link checkCopyOut} and {@link atTarget}; `COPY_TOO_LARGE`, `COPY_FAILED`; the signal's reason
 */
export async function copyOut(
  guest: ReachableGuest,
  from: string,
  to: string,
  { signal, maxBytes = MAX_OUT_BYTES }: { signal?: AbortSignal | undefined; maxBytes?: number } = {},
): Promise<CopiedOut> {
  const { folder, name, target } = checkCopyOut(from, to);
  atTarget(target, () => mkdirSync(dirname(target), { recursive: true }));
  // Beside its place, so that it gets there by a rename.
  const work = join(dirname(target), `.bootshare-${randomBytes(6).toString("hex")}`);
  const inbox = join(work, "inbox");
  try {
    atTarget(target, () => {
      mkdirSync(work, { mode: 0o700 });
      mkdirSync(inbox, { mode: 0o700 });
    });
    if (process.getuid?.() === 0) chownSync(inbox, 65534, 65534);
    const get = ["sh", "-c", TAKE, "take", folder, name];
    const unpack = [
      "--extract",
      "--file=-",
      "--no-same-owner",
      "--no-same-permissions",
      "--no-overwrite-dir",
    ];
    const done = await transfer(
      { file: "ssh", args: sshArguments(guest, guest.endpoint, get) },
      {
        file: "prlimit",
        args: [`--fsize=${maxBytes}`, "--core=0", "--", "setpriv", "--no-new-privs", "--", "tar", ...unpack],
        cwd: inbox,
        nobody: true,
      },
      maxBytes,
      signal,
    );
    if (done.tooMuch) {
      throw new UserError(
        "COPY_TOO_LARGE",
        `${printable(from)} of the guest ${guest.name} is larger than ${maxBytes} bytes.`,
      );
    }
    if (done.from !== 0 || done.to !== 0) {
      throw copyFailed(
        `${printable(from)} of the guest ${guest.name} could not be copied to ${printable(to)}`,
        done,
      );
    }
    const leftOut: string[] = [];
    const arrived = join(inbox, name);
    if (lstatSync(arrived, { throwIfNoEntry: false }) === undefined) {
      throw new UserError("COPY_FAILED", `The guest ${guest.name} did not send ${printable(from)}.`);
    }
    if (!tame(arrived, name, leftOut)) {
      throw new UserError(
        "COPY_SOURCE",
        `${printable(from)} of the guest ${guest.name} is no regular file and no folder.`,
        {
          hint: "Links do not come out: name what it leads to.",
        },
      );
    }
    atTarget(target, () => renameSync(arrived, target));
    return { leftOut };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * Makes what was unpacked an ordinary file or folder of the caller's, and removes what is neither. Nobody writes there any more.
 *
 * @returns false for what is neither itself
 */
function tame(path: string, shown: string, leftOut: string[]): boolean {
  const stats = lstatSync(path);
  if (!stats.isFile() && !stats.isDirectory()) return false;
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  // What is not executable for its owner is so for nobody; a folder can be entered by who may read it.
  const mode = stats.isDirectory() ? 0o755 : (stats.mode & 0o100) === 0 ? 0o644 : 0o755;
  chownSync(path, uid, gid);
  chmodSync(path, mode & ~process.umask());
  if (!stats.isDirectory()) return true;
  chmodSync(path, 0o700);
  for (const name of readdirSync(path)) {
    const inner = `${shown}/${name}`;
    if (tame(join(path, name), inner, leftOut)) continue;
    leftOut.push(printable(inner, 400));
    rmSync(join(path, name), { force: true });
  }
  chmodSync(path, mode & ~process.umask());
  return true;
}

function copyFailed(what: string, { from, to, stderr }: Transferred): UserError {
  const lost = from === SSH_FAILED || to === SSH_FAILED;
  const detail = stderr
    .trimEnd()
    .split("\n")
    .map((line) => printable(line, 300))
    .join("\n");
  return new UserError(lost ? "GUEST_LOST" : "COPY_FAILED", `${what}.`, { detail });
}
