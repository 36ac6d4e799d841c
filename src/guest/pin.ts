/** Which kernel a person wants: pinning a release, and going back to the good one before. */
import { appendEvents } from "../boot/log.ts";
import { changePolicy } from "../boot/policy.ts";
import { survey } from "../boot/prepare.ts";
import { EXIT, UserError } from "../errors.ts";
import { printable } from "../text.ts";
import { definitionOf, findGuest, type Guest, look } from "./inventory.ts";
import { LOCK_WAIT_MS, withGuestLock } from "./lock.ts";

/**
 * From now on boot this release, while it can be booted. It gets all its tries again. Nothing is rebooted.
 *
 * @throws {UserError} `KERNEL_NOT_FOUND` when it is neither whole in the guest's /boot nor kept by the host
 */
export async function pinKernel(guest: Guest, release: string): Promise<void> {
  await withGuestLock(guest, LOCK_WAIT_MS, async () => {
    const view = look(await findGuest(guest.uuid));
    const { catalogue } = survey(view.paths, await definitionOf(view));
    const inShare = (catalogue?.kernels ?? []).filter(({ complete }) => complete);
    const { good, goodBefore } = view.state;
    const kept = [good, goodBefore].filter((pair) => pair !== undefined);
    const fromStore = inShare.some((pair) => pair.release === release)
      ? null
      : kept.find((pair) => pair.release === release)?.id;
    if (fromStore === undefined) {
      const known = [...new Set([...inShare, ...kept].map((pair) => printable(pair.release)))];
      throw new UserError(
        "KERNEL_NOT_FOUND",
        `The guest ${guest.name} has no kernel ${printable(release)} that could be booted.`,
        {
          exitCode: EXIT.notFound,
          hint: known.length === 0 ? "It has none at all." : `It has ${known.join(", ")}.`,
        },
      );
    }
    pin(guest, release, fromStore);
  });
}

/** From now on boot what the guest's /boot says. */
export async function unpinKernel(guest: Guest): Promise<void> {
  await withGuestLock(guest, LOCK_WAIT_MS, async () => {
    changePolicy(guest.paths, { pin: null, pinPair: null });
    appendEvents(guest.paths, [{ e: "pinned" }]);
  });
}

/**
 * Pins the very pair that was good before the present one: the host's copy, whatever is in the guest's /boot. Nothing is
 * rebooted.
 *
 * @returns its release
 * @throws {UserError} `NO_OTHER_GOOD`
 */
export async function rollBack(guest: Guest): Promise<string> {
  return await withGuestLock(guest, LOCK_WAIT_MS, async () => {
    const { current, good, goodBefore } = look(await findGuest(guest.uuid)).state;
    const target = [good, goodBefore].find((pair) => pair !== undefined && pair.id !== current?.pair.id);
    if (target === undefined) {
      throw new UserError(
        "NO_OTHER_GOOD",
        `The guest ${guest.name} has no other kernel that was ever good, so there is nothing to go back to.`,
        { exitCode: EXIT.conflict, hint: `See what it has with 'bootshare kernels ${guest.name}'.` },
      );
    }
    pin(guest, target.release, target.id);
    return target.release;
  });
}

/** @param pair of the host's store, by its id; null for what the guest's /boot has of that release */
function pin({ paths }: Guest, release: string, pair: string | null): void {
  changePolicy(paths, { pin: release, pinPair: pair });
  appendEvents(paths, [{ e: "pinned", release: printable(release, 64) }]);
}

/** How many tries a kernel gets, and how many seconds a boot; what is undefined stays as it is. */
export async function changeRules(
  guest: Guest,
  rules: { readonly tries: number | undefined; readonly bootTimeout: number | undefined },
): Promise<void> {
  if (Object.values(rules).every((value) => value === undefined)) return;
  await withGuestLock(guest, LOCK_WAIT_MS, async () => {
    changePolicy(guest.paths, rules);
  });
}
