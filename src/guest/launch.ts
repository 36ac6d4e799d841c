/** Starting a guest's domain, with the hook's work before it where libvirt calls no hook. */
import { appendEvents } from "../boot/log.ts";
import { presentMoment } from "../boot/moment.ts";
import { prepareBoot } from "../boot/prepare.ts";
import type { DomainMachine } from "../kernel/features.ts";
import { hookStatus } from "../libvirt/hook-install.ts";
import { startDomain } from "../libvirt/virsh.ts";
import { workMode } from "../mode.ts";
import { printable } from "../text.ts";
import { definitionOf, type Guest } from "./inventory.ts";

/**
 * Starts a domain that is off. The caller holds the guest's lock, and `guest` is fresh.
 *
 * Hooks lie in /etc/libvirt, for users' own daemons too, and only root puts one there. A user without it gets the same
 * kernel by the same code, as long as bootshare is asked for the start.
 *
 * @throws {UserError} `HOOK_REFUSED_START`; without a hook `NOTHING_BOOTABLE`; what `startDomain` throws
 */
export async function launch(guest: Guest): Promise<void> {
  if (workMode().name === "system" || (await hookStatus()).usable) {
    await startDomain(guest.uuid);
    return;
  }
  standInForHook(guest, await definitionOf(guest));
  await startDomain(guest.uuid);
  appendEvents(guest.paths, [{ e: "started" }]);
}

/** What the hook's *prepare* does: a saved guest goes on with the kernel in its memory, any other gets its next one. */
export function standInForHook(
  guest: Pick<Guest, "name" | "paths" | "status">,
  machine: DomainMachine,
): void {
  if (guest.status.saved) appendEvents(guest.paths, [{ e: "restore", m: presentMoment().m }]);
  else prepareBoot(guest.paths, printable(guest.name), machine, { hook: false });
}
