/** The end of a domain whose folder goes next: nothing of it may run on files that are deleted. */
import { UserError } from "../errors.ts";
import { destroyDomain, domainStatuses, undefineDomain } from "../libvirt/virsh.ts";

/** Cuts a domain's power. One that went off by itself meanwhile, and was forgotten by libvirt for it, is what was wanted. */
export async function cutPower(uuid: string): Promise<void> {
  await unless(["GUEST_OFF", "GUEST_NOT_FOUND"], async () => await destroyDomain(uuid));
}

/**
 * Forgets a domain that was seen to be off, and ends it where it is not.
 *
 * A start that is under way is shown as shut off, and undefine makes a domain that runs by then transient: what libvirt still
 * lists afterwards runs or is about to, whatever its state says.
 */
export async function forgetDomain(uuid: string): Promise<void> {
  await unless(["GUEST_NOT_FOUND"], async () => await undefineDomain(uuid));
  if ((await domainStatuses()).some((one) => one.uuid === uuid)) await cutPower(uuid);
}

/** @param codes of the errors that say that it is done already */
async function unless(codes: readonly string[], act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if (!(error instanceof UserError) || !codes.includes(error.code)) throw error;
  }
}
