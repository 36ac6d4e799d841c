/** Removing a guest: domain, disk, /boot, history. */
import { existsSync } from "node:fs";
import { rename } from "node:fs/promises";
import { join } from "node:path";
import { appendEvents } from "../boot/log.ts";
import { EXIT, UserError } from "../errors.ts";
import { domainStatuses } from "../libvirt/virsh.ts";
import { guestPaths, guestPathsOf, statePaths, UUID_PATTERN } from "../paths.ts";
import { removeTree } from "../provision/bootstrap.ts";
import { unmountShare } from "../share/mount.ts";
import { removeUnusedBases } from "./bases.ts";
import { requireFolderUnused } from "./folder-users.ts";
import { cutPower, forgetDomain } from "./forget.ts";
import { findGuest, type Guest } from "./inventory.ts";
import { withGuestLock } from "./lock.ts";

/**
 * Deletes a guest and everything that belongs to it.
 *
 * @param force also when it is running: its power is cut
 * @throws {UserError} `GUEST_RUNNING`, `FOLDER_IN_USE`
 */
export async function deleteGuest(guest: Guest, force: boolean): Promise<void> {
  await withGuestLock(guest, 30_000, async () => {
    const domains = await domainStatuses();
    const { status } = await findGuest(guest.uuid, domains);
    const off = status.state === "shut off";
    if (!off && !force) {
      throw new UserError(
        "GUEST_RUNNING",
        `The guest ${guest.name} is ${status.state}; nothing was deleted.`,
        {
          exitCode: EXIT.conflict,
          hint: `Stop it first with 'bootshare stop ${guest.name}', or use --force.`,
        },
      );
    }
    await requireFolderUnused(guest, domains);
    if (!off) {
      appendEvents(guest.paths, [{ e: "asked", what: "stop", by: "person" }]);
      await cutPower(guest.uuid);
    }
    await forgetDomain(guest.uuid);
    await deleteFolder(guest.uuid);
  });
  await removeUnusedBases();
}

/**
 * Deletes the folder of a guest that libvirt has no domain for.
 *
 * @throws {UserError} `FOLDER_IN_USE`, `FOLDER_LEFT`
 */
export async function deleteOrphan(uuid: string): Promise<void> {
  await requireFolderUnused({ uuid, name: uuid, paths: guestPathsOf(uuid) }, await domainStatuses());
  await deleteFolder(uuid);
}

/** Whether a folder of a guest is there that libvirt has no domain for (a deletion that was cut short, or `virsh undefine`). */
export function isOrphan(nameOrUuid: string): boolean {
  return UUID_PATTERN.test(nameOrUuid) && existsSync(guestPathsOf(nameOrUuid).dir);
}

/**
 * Removes a folder of bootshare's that a guest may have written in: users of the guest have numbers of their own.
 *
 * @throws {UserError} `FOLDER_LEFT`
 */
export async function removeFolder(folder: string): Promise<void> {
  await removeTree(folder);
  if (!existsSync(folder)) return;
  throw new UserError("FOLDER_LEFT", `${folder} could not be removed whole.`, {
    hint: "Look at what is left of it, and remove that as root.",
  });
}

/** What a deletion that was killed left of the guest's folder. */
export function deletedFolder(uuid: string): string {
  return join(statePaths().guests, `.deleted-${uuid}`);
}

/**
 * Removes what was a guest's folder, under the name that it has by now. Its share is mounted there where somebody looked at the
 * guest between the unmounting and the renaming of its folder.
 *
 * @throws {UserError} `SHARE_NOT_UNMOUNTED`, `FOLDER_LEFT`
 */
export async function removeGuestFolder(folder: string): Promise<void> {
  unmountShare(guestPaths(folder).share);
  await removeFolder(folder);
}

/** Removes a guest's folder. Renamed first, so that half a folder is never taken for a guest. */
export async function deleteFolder(uuid: string): Promise<void> {
  const doomed = deletedFolder(uuid);
  const { dir, share } = guestPathsOf(uuid);
  unmountShare(share);
  await removeGuestFolder(doomed);
  await rename(dir, doomed);
  await removeGuestFolder(doomed);
}
