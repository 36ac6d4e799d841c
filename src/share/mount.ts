/**
 * A share with a file system of its own, in a file of bounded size: what a guest writes into its /boot, and in how many
 * files, ends there, and no other guest is short of space for it.
 */
import { closeSync, existsSync, openSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { UserError } from "../errors.ts";
import { runOk, runSync, tryLock } from "../process.ts";
import { printable } from "../text.ts";

/** How long somebody else who mounts it at this moment is waited for, in seconds. */
const WAIT_S = 20;
/** How long mount and umount may take, in milliseconds: the journal of a host that crashed may have to be read. */
const TIMEOUT_MS = 30_000;

/**
 * Whatever virtiofsd or QEMU makes there for a guest's root gains no host user anything: no set-uid file, no device, no
 * program of the guest's is one for the host (mount(8)).
 */
const OPTIONS = "loop,nosuid,nodev,noexec,noatime";

/**
 * Mounts a share's file system unless it is mounted. A share that has none is a folder like any other, and nothing is done.
 *
 * The mount is there for every process of the host, until the host goes down or the guest is deleted: this must not be called
 * in a mount namespace of one's own. Any number of processes may call it at once.
 *
 * @param image path of the file that holds an ext4 file system; a guest writes to it through the mount alone
 * @param share path of the folder, which exists
 * @throws {UserError} `SHARE_NOT_MOUNTED`: nothing may use the share then, as what is below the mount is not the guest's
 */
export function mountShare(image: string, share: string): void {
  if (!existsSync(image) || isMounted(share)) return;
  const lock = openSync(image, "r");
  try {
    if (!tryLock(lock, WAIT_S))
      throw notMounted(image, share, "somebody else has been mounting it for too long");
    if (isMounted(share)) return;
    const { exitCode, stderr } = runSync(
      "mount",
      ["-t", "ext4", "-o", OPTIONS, "--", image, share],
      TIMEOUT_MS,
    );
    if (exitCode !== 0) throw notMounted(image, share, stderr.trim() || "mount was ended");
  } finally {
    closeSync(lock);
  }
}

/**
 * Takes a share's file system away again. Somebody who looks into it at this moment is not waited for: it is gone from the
 * tree at once, and from the kernel when they are done.
 *
 * @throws {UserError} `SHARE_NOT_UNMOUNTED`
 */
export function unmountShare(share: string): void {
  if (!existsSync(share) || !isMounted(share)) return;
  if (runSync("umount", ["--", share], TIMEOUT_MS).exitCode === 0) return;
  const { exitCode, stderr } = runSync("umount", ["--lazy", "--", share], TIMEOUT_MS);
  if (exitCode === 0) return;
  throw new UserError(
    "SHARE_NOT_UNMOUNTED",
    `${share} could not be unmounted: ${printable(stderr.trim(), 400)}.`,
    { hint: `Unmount it with 'umount ${share}', and try again.` },
  );
}

/**
 * Copies the file system of a share into another guest's folder, where it is not mounted yet. The first one's guest is off; its
 * share is unmounted for the copy, and mounted again by whoever needs it next.
 *
 * @throws {UserError} `SHARE_NOT_UNMOUNTED`, `SHARE_NOT_MOUNTED`, and those of `runOk`
 */
export async function copyShareImage(from: SharePaths, to: SharePaths): Promise<void> {
  const lock = openSync(from.shareImage, "r");
  try {
    // Who mounts it holds this lock.
    if (!tryLock(lock, WAIT_S))
      throw notMounted(from.shareImage, from.share, "somebody else has been mounting it for too long");
    // Should somebody look into it at this moment, the kernel keeps it after that, and all of it has to be in the file.
    if (isMounted(from.share)) await runOk("sync", ["--file-system", from.share], { timeoutMs: TIMEOUT_MS });
    unmountShare(from.share);
    await runOk("cp", ["--sparse=always", "--reflink=auto", "--", from.shareImage, to.shareImage]);
  } finally {
    closeSync(lock);
  }
}

interface SharePaths {
  readonly shareImage: string;
  readonly share: string;
}

/** A mount point is on another file system than the folder that it is in. */
function isMounted(share: string): boolean {
  return statSync(share).dev !== statSync(dirname(share)).dev;
}

function notMounted(image: string, share: string, why: string): UserError {
  return new UserError(
    "SHARE_NOT_MOUNTED",
    `The guest's /boot, the file system in ${image}, could not be mounted at ${share}: ${printable(why, 400)}.`,
    { hint: `Linux's log (dmesg) may say more; 'e2fsck -f ${image}' mends a file system with errors.` },
  );
}
