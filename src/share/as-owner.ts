/** Doing something as the user whom a boot share belongs to. */
import { lstatSync } from "node:fs";

/**
 * Runs `fn` with the effective user and group of the owner of `dir`, and without supplementary groups, when this process
 * is root and the owner is not; otherwise just runs it.
 *
 * A 9p share belongs to QEMU's user, so root's rights are not needed to read it and are put down: whatever a guest made
 * of its folder, it is met with the rights that the guest's own QEMU has. A virtiofs share belongs to root, because
 * virtiofsd keeps the guest's own user numbers and the guest's root is 0; there nothing is put down, and reading rests on
 * the rules of folder.ts alone. (A guest may give its virtiofs folder to any number. That only lowers these rights.)
 *
 * Real and saved user stay root, so nobody else can signal or trace the process meanwhile. The change holds for the
 * whole process, all its threads, so `fn` must be synchronous and nothing else may be under way: right for the hook, and
 * for a service only around short reads.
 *
 * @param dir the share folder; its own path is trusted, its owner is asked without following a link
 * @throws what `fn` or lstat(2) throws, an Error in a worker thread; a failure to become root again is thrown as it is, and the process should end
 */
export function asOwner<T>(dir: string, fn: () => T): T {
  const owner = lstatSync(dir);
  if (process.geteuid?.() !== 0 || owner.uid === 0) return fn();
  const { getgroups, getegid, setgroups, setegid, seteuid } = process;
  // A worker thread has none of these. Running on with root's rights would be the wrong answer to that.
  if (!getgroups || !getegid || !setgroups || !setegid || !seteuid) throw new Error("not in the main thread");
  const groups = getgroups();
  const group = getegid();
  // The groups first, while still root; the user last. Back in the opposite order.
  try {
    setgroups([]);
    setegid(owner.gid);
    seteuid(owner.uid);
    return fn();
  } finally {
    seteuid(0);
    setegid(group);
    setgroups(groups);
  }
}
