/**
 * Bases: disks that are never written again, on which the disks of a guest and its clones stand as overlays. Which base is in
 * use is read from the heads of the overlays themselves: there is no list that could say something else.
 */
import { randomUUID } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  linkSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { syncFile, syncFolder } from "../boot/sync.ts";
import { EXIT, errnoOf, UserError } from "../errors.ts";
import { makeStateFolder } from "../folders.ts";
import { workMode } from "../mode.ts";
import { guestPaths, statePaths, UUID_PATTERN } from "../paths.ts";
import { run, runOk, tryLock } from "../process.ts";
import { type Qcow2Head, readQcow2 } from "../provision/qcow2.ts";
import type { QemuUser } from "./qemu-user.ts";

/** How long the work of another command on the bases is waited for, in seconds: that takes a fraction of one. */
const WAIT_S = 30;
const SUFFIX = ".qcow2";

export interface Base {
  readonly file: string;
  /** Size that a guest sees, in bytes. */
  readonly size: number;
}

/**
 * Does something with the bases while nobody else makes or removes one.
 *
 * @throws {UserError} `BASES_BUSY`
 */
export async function withBases<T>(act: () => Promise<T>): Promise<T> {
  const { root, bases, basesLock } = statePaths();
  for (const folder of [root, bases]) makeStateFolder(folder);
  const fd = openSync(basesLock, "a", 0o600);
  try {
    if (!tryLock(fd, WAIT_S)) {
      throw new UserError("BASES_BUSY", `Another command has been at work on ${bases} for ${WAIT_S} s.`, {
        exitCode: EXIT.conflict,
        hint: "Try again; 'fuser' names the processes that have the folder's lock open.",
      });
    }
    return await act();
  } finally {
    closeSync(fd);
  }
}

/**
 * Gives a guest's disk, whoever owned it, to root and QEMU's group, so that it may be written by QEMU and become a base, with
 * libvirt leaving its owner alone. In session mode all is the user's own.
 */
export function ownDisk(disk: string, qemu: QemuUser): void {
  if (workMode().name !== "system") return;
  chownSync(disk, 0, qemu.gid);
  chmodSync(disk, 0o660);
}

/** A base can be read by QEMU, and written by nobody. */
function protect(base: string): void {
  chmodSync(base, workMode().name === "system" ? 0o440 : 0o400);
}

/**
 * Makes what is on a guest's disk a base, and lets the guest go on with an overlay on it. A disk that was not written since it
 * was put on its base needs no new one.
 *
 * The guest is off and its lock is held, as is that of the bases ({@link withBases}), and libvirt leaves the disk's owner
 * alone. It may be killed anywhere: the base is a second name of the disk until the overlay takes the disk's own name, and a
 * base that nothing stands on is removed.
 *
 * @throws {UserError} `DISK_NOT_QCOW2`, `DISK_STANDS_ELSEWHERE`, `DISK_IN_USE`
 */
export async function freezeDisk(disk: string, qemu: QemuUser): Promise<Base> {
  const { bases } = statePaths();
  const head = readQcow2(disk);
  const { size } = head;
  const below = baseBelow(disk, head);
  if (below !== undefined && head.untouched) {
    protect(below);
    return { file: below, size };
  }
  ownDisk(disk, qemu);
  const file = join(bases, `${randomUUID()}${SUFFIX}`);
  linkSync(disk, file);
  syncFolder(bases);
  const fresh = `${disk}.new`;
  try {
    await makeOverlay({ file, size }, fresh, qemu);
  } catch (error) {
    rmSync(fresh, { force: true });
    rmSync(file, { force: true });
    throw error;
  }
  renameSync(fresh, disk);
  syncFolder(dirname(disk));
  // A start by virsh waits for no lock of ours. A QEMU that had the disk open by then goes on writing to it.
  const { exitCode } = await run("qemu-img", ["info", "-f", "qcow2", file], { timeoutMs: 30_000 });
  if (exitCode !== 0) {
    renameSync(file, disk);
    syncFolder(dirname(disk));
    throw new UserError("DISK_IN_USE", `The disk ${disk} is in use, so no clone can stand on it.`, {
      exitCode: EXIT.conflict,
      hint: "Shut the guest down, and try again.",
    });
  }
  protect(file);
  return { file, size };
}

/**
 * Makes an empty overlay on a base, on disk when it returns.
 *
 * @param file absolute path, which does not exist or is left from a try before
 */
export async function makeOverlay({ file: base, size }: Base, file: string, qemu: QemuUser): Promise<void> {
  rmSync(file, { force: true });
  // -u: the base is not opened. Its path is absolute, as libvirt and virt-aa-helper take it.
  await runOk("qemu-img", [
    "create",
    "-q",
    "-u",
    "-f",
    "qcow2",
    "-F",
    "qcow2",
    "-b",
    base,
    file,
    String(size),
  ]);
  chmodSync(file, 0o600);
  ownDisk(file, qemu);
  syncFile(file);
}

/** Removes the bases that no disk stands on. */
export async function removeUnusedBases(): Promise<void> {
  if (baseFiles().length === 0) return;
  await withBases(async () => {
    const used = new Set(guestDisks().flatMap((disk) => chainOf(disk)));
    for (const file of baseFiles()) if (!used.has(file)) rmSync(file, { force: true });
  });
}

/** The bases that a disk stands on, one upon another, the newest first. */
export function chainOf(disk: string): string[] {
  const chain: string[] = [];
  for (let below = peekBelow(disk); below !== undefined; below = peekBelow(below)) {
    if (chain.includes(below)) break;
    chain.push(below);
  }
  return chain;
}

/**
 * The base that a disk stands on; undefined for one that holds everything itself.
 *
 * @throws {UserError} `DISK_STANDS_ELSEWHERE` for a file that is no base of bootshare's: QEMU, taken over, may have named it
 */
function baseBelow(disk: string, { backing, external }: Qcow2Head): string | undefined {
  if (backing === undefined && !external) return undefined;
  if (!external && backing !== undefined && isBase(backing)) return backing;
  throw new UserError(
    "DISK_STANDS_ELSEWHERE",
    `The disk ${disk} stands on a file that is none of bootshare's bases, so it cannot be cloned.`,
    { hint: `Let it hold everything itself ('qemu-img info ${disk}' names the file; 'qemu-img convert').` },
  );
}

function isBase(file: string): boolean {
  const name = file.slice(statePaths().bases.length + 1);
  return (
    name.endsWith(SUFFIX) &&
    UUID_PATTERN.test(name.slice(0, -SUFFIX.length)) &&
    file === join(statePaths().bases, name)
  );
}

/** The base below, as far as it can be read: a disk that cannot keeps no other from being looked at. */
function peekBelow(disk: string): string | undefined {
  try {
    const { backing } = readQcow2(disk);
    return backing !== undefined && isBase(backing) ? backing : undefined;
  } catch (error) {
    if (error instanceof UserError || errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function baseFiles(): string[] {
  const { bases } = statePaths();
  return namesIn(bases)
    .map((name) => join(bases, name))
    .filter(isBase);
}

/** The disks of all guests, and of those that are being made. One that is being put on a new base is in no guest yet. */
function guestDisks(): string[] {
  const { guests } = statePaths();
  return namesIn(guests)
    .map((name) => guestPaths(join(guests, name)).disk)
    .filter((disk) => existsSync(disk));
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}
