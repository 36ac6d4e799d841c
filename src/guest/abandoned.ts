/**
 * Guests that are there for one process: ephemeral ones, and clones while they are made. The process holds a lock on a file in
 * the guest's folder. However it ends, the lock is gone with it, and whoever comes next deletes the guest.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { errnoOf, messageOf } from "../errors.ts";
import { makeStateFolder } from "../folders.ts";
import { domainStatuses } from "../libvirt/virsh.ts";
import { type GuestPaths, guestPaths, guestPathsOf, statePaths } from "../paths.ts";
import { tryLock } from "../process.ts";
import { printable } from "../text.ts";
import { removeUnusedBases } from "./bases.ts";
import type { Ephemeral } from "./decide.ts";
import { deleteFolder, removeGuestFolder } from "./delete.ts";
import { cutPower, forgetDomain } from "./forget.ts";
import { guestFolders } from "./inventory.ts";

/** How the names of folders begin that are not a guest yet, or no more; and how long that may last, in milliseconds. */
const PASSING = [".new-", ".deleted-"] as const;
const PASSING_MS = 10 * 60_000;

/**
 * Makes the folder of a new guest that is there for this process until it is {@link Held.keep kept}.
 *
 * It has its name only when it is locked, so that nobody takes it for abandoned.
 *
 * @param source UUID of the guest that it is made from
 */
export function makeHeldFolder(uuid: string, source: string): Held {
  const { root, guests } = statePaths();
  for (const folder of [root, guests]) makeStateFolder(folder);
  const fresh = guestPaths(join(guests, `${PASSING[0]}${uuid}`));
  const paths = guestPathsOf(uuid);
  mkdirSync(fresh.dir, { mode: 0o700 });
  const fd = openSync(fresh.ephemeral, "a", 0o600);
  if (!tryLock(fd)) throw new Error("a new lock is taken");
  writeSync(fd, source);
  renameSync(fresh.dir, paths.dir);
  return {
    paths,
    keep: () => {
      rmSync(paths.ephemeral, { force: true });
      closeSync(fd);
    },
    release: () => closeSync(fd),
  };
}

export interface Held {
  readonly paths: GuestPaths;
  /** The guest stays, whatever becomes of this process. To be called once, and not with `release`. */
  readonly keep: () => void;
  /** The guest is deleted, or is to be by whoever comes next. */
  readonly release: () => void;
}

/** Whether a guest is there for one process, and whether that is gone. */
export function ephemeralState(paths: GuestPaths): Ephemeral | undefined {
  const fd = openLock(paths);
  if (fd === undefined) return undefined;
  try {
    return tryLock(fd) ? "abandoned" : "held";
  } finally {
    closeSync(fd);
  }
}

/** UUIDs of the guests that were made from another, each for a process that is still there. */
export function heldFrom(source: string): string[] {
  return guestFolders().filter((uuid) => {
    const paths = guestPathsOf(uuid);
    return ephemeralState(paths) === "held" && sourceOf(paths) === source;
  });
}

function sourceOf({ ephemeral }: GuestPaths): string | undefined {
  try {
    return readFileSync(ephemeral, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** Whether a guest is there for one process. */
export function isEphemeral(paths: GuestPaths): boolean {
  return existsSync(paths.ephemeral);
}

/** Deletes an abandoned guest with its domain, where it has one. One that somebody holds is left alone. */
export async function deleteAbandoned(uuid: string): Promise<void> {
  await deleteUnheld(uuid);
  await removeUnusedBases();
}

async function deleteUnheld(uuid: string): Promise<void> {
  const fd = openLock(guestPathsOf(uuid));
  if (fd === undefined) return;
  try {
    // Held until it is gone: two that come at once do not get into each other's way.
    if (!tryLock(fd)) return;
    const domain = (await domainStatuses()).find((one) => one.uuid === uuid);
    if (domain !== undefined && domain.state !== "shut off") await cutPower(uuid);
    if (domain !== undefined) await forgetDomain(uuid);
    await deleteFolder(uuid);
  } finally {
    closeSync(fd);
  }
}

/** What a killed command has left, and cannot be removed. */
export interface Remnant {
  /** Of a folder in `guests/`, so a guest's UUID mostly; or the folder of the bases. */
  readonly name: string;
  /** Why: a sentence. Not trusted. */
  readonly problem: string;
}

/** What is said of it, printable. */
export function remnantSentence({ name, problem }: Remnant): string {
  return `What a killed command has left, ${printable(name)}, cannot be removed: ${printable(problem, 1000)}`;
}

/**
 * Deletes what killed commands have left that is no guest: folders without a domain, and bases that nothing stands on. Each by
 * itself: one that cannot be deleted keeps nobody from the others, nor from what comes next.
 *
 * @param tell what could not be deleted, and why; it is tried again by whoever comes next
 */
export async function deleteRemains(tell: (remnant: Remnant) => void): Promise<void> {
  const { guests, bases } = statePaths();
  for (const uuid of guestFolders()) {
    await told(uuid, join(guests, uuid), tell, async () => {
      if (ephemeralState(guestPathsOf(uuid)) === "abandoned") await deleteUnheld(uuid);
    });
  }
  for (const name of readdirSync(guests)) {
    if (!PASSING.some((prefix) => name.startsWith(prefix))) continue;
    const folder = join(guests, name);
    await told(name, folder, tell, async () => {
      const changed = statSync(folder, { throwIfNoEntry: false })?.ctimeMs ?? Date.now();
      if (Date.now() - changed > PASSING_MS) await removeGuestFolder(folder);
    });
  }
  await told(bases, bases, tell, removeUnusedBases);
}

/** Does something about what lies at a path, and tells of a failure unless somebody else has removed that meanwhile. */
async function told(
  name: string,
  path: string,
  tell: (remnant: Remnant) => void,
  act: () => Promise<void>,
): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (existsSync(path)) tell({ name, problem: messageOf(error) });
  }
}

function openLock(paths: GuestPaths): number | undefined {
  try {
    return openSync(paths.ephemeral, "r+");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}
