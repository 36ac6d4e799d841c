/** Folders for what takes a while and may be killed: a lock tells one that is in use from one that was left. */
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { makeStateFolder } from "../folders.ts";
import { workMode } from "../mode.ts";
import { statePaths } from "../paths.ts";
import { tryLock } from "../process.ts";
import { removeFolder } from "./delete.ts";

/**
 * Makes a work folder, held by this process for as long as it runs, and clears away what killed ones left: their locks went
 * with them.
 *
 * @param folder in `statePaths().work`, not there yet
 */
export async function makeWorkFolder(folder: string): Promise<void> {
  const { root, guests, work } = statePaths();
  for (const one of [root, guests, work]) makeStateFolder(one);
  await clearAbandoned(work);
  // It has its name only when it is locked: what has a name and no lock was kept by --keep.
  const fresh = join(dirname(folder), `${NEW}${basename(folder)}`);
  mkdirSync(fresh);
  // QEMU's user comes through it, whatever the umask.
  chmodSync(fresh, workMode().folderMode);
  if (!tryLock(openSync(join(fresh, "lock"), "a", 0o600))) throw new Error("a new lock is taken");
  renameSync(fresh, folder);
}

/** Leaves a work folder for a person: one without a lock is nobody's to clear. */
export function keepWorkFolder(folder: string): void {
  rmSync(join(folder, "lock"), { force: true });
}

/** How the name of a work folder begins that is not locked yet, and how long that may last, in milliseconds. */
const NEW = ".new-";
const NEW_MS = 60_000;

async function clearAbandoned(work: string): Promise<void> {
  for (const entry of readdirSync(work, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const folder = join(work, entry.name);
    if (entry.name.startsWith(NEW)) {
      const age = Date.now() - (statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
      if (age > NEW_MS) await removeFolder(folder);
      continue;
    }
    const lock = join(work, entry.name, "lock");
    if (!existsSync(lock)) continue;
    const fd = openSync(lock, "a", 0o600);
    const abandoned = tryLock(fd);
    closeSync(fd);
    if (abandoned) await removeFolder(folder);
  }
}
