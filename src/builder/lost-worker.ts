/** Whether a worker that a roll-out was through with is lost to those that give it work. */
import type { Guest } from "../guest/inventory.ts";
import type { Problem } from "./upgrade-plan.ts";
import { COME_BACK_MS, type Duty, problemOf, workerLost } from "./upgrade-steps.ts";

/**
 * Makes a function that is asked again and again, and remembers since when each worker is gone: an emulated one is called down for
 * minutes at times, so only one counts as lost that took part before, and then did not for {@link COME_BACK_MS} on end. A server that
 * cannot be asked says nothing of its workers, nor is one lost that somebody has drained.
 *
 * @param now milliseconds
 */
export function lostWorkers(
  duty: Pick<Duty, "look" | "isActive">,
  now: () => number = Date.now,
): (guest: Guest) => Promise<Problem | undefined> {
  /** By UUID, when it was seen last; not there for one that never was. */
  const lastUp = new Map<string, number>();
  return async (guest) => {
    const { uuid } = guest;
    const seen = await duty.look(guest);
    const since = lastUp.get(uuid);
    if (seen?.up !== false) {
      if (seen?.up === true || since !== undefined) lastUp.set(uuid, now());
      return undefined;
    }
    if (since === undefined || now() - since < COME_BACK_MS) return undefined;
    // A guest that does not answer is not drained by anybody.
    const active = await duty.isActive(guest).catch(() => true);
    return active ? problemOf(workerLost(guest, COME_BACK_MS)) : undefined;
  };
}
