/** Carries out what {@link ./decide.ts} decides, for one guest. Safe to kill at any point and to run again. */
import { appendEvents } from "../boot/log.ts";
import { hostBootId } from "../boot/prepare.ts";
import { errnoOf, messageOf, UserError } from "../errors.ts";
import { startDomain } from "../libvirt/virsh.ts";
import { type Action, decide } from "./decide.ts";
import { findGuest, type Guest, type GuestView, listGuests, look } from "./inventory.ts";
import { withGuestLock } from "./lock.ts";

export interface Reconciled {
  readonly guest: GuestView;
  readonly action: Action;
  /** Why the action could not be done; it is tried again at the next look. */
  readonly problem?: string;
}

/** Looks at a guest and does what is to be done. The caller must hold the guest's lock, and `guest` be fresh. */
export async function reconcileLocked(guest: Guest, hostStopping: boolean): Promise<Reconciled> {
  const moment = { hostBoot: hostBootId(), now: new Date() };
  const view = look(guest, moment);
  const action = decide({ ...moment, state: view.state, domain: view.status, hostStopping });
  switch (action.do) {
    case "nothing":
      return { guest: view, action };
    case "stay-off":
      appendEvents(guest.paths, [{ e: "desired", state: "off", why: action.why }]);
      return { guest: view, action };
    case "give-up":
      appendEvents(guest.paths, [{ e: "gave-up", why: action.why }]);
      return { guest: view, action };
    case "start":
      break;
  }
  appendEvents(guest.paths, [
    { e: "asked", what: "start", by: "reconciler", why: action.why, unclean: action.unclean },
  ]);
  try {
    await startDomain(guest.uuid);
    return { guest: view, action };
  } catch (error) {
    if (error instanceof UserError && error.code === "HOOK_REFUSED_START") {
      // Nothing changes by trying again: only a person, or the guest's owner, can put a kernel there.
      appendEvents(guest.paths, [{ e: "gave-up", why: error.message }]);
    }
    return { guest: view, action, problem: messageOf(error) };
  }
}

/**
 * Looks at every guest once. A guest that a command is changing is left for the next time.
 *
 * @throws {UserError} `LIBVIRT_UNREACHABLE` while libvirt does not answer
 */
export async function reconcileAll(
  hostStopping: boolean,
  report: (done: Reconciled) => void,
): Promise<GuestView[]> {
  const views: GuestView[] = [];
  for (const listed of await listGuests()) {
    const moment = { hostBoot: hostBootId(), now: new Date() };
    const view = look(listed, moment);
    if (decide({ ...moment, state: view.state, domain: view.status, hostStopping }).do === "nothing") {
      views.push(view);
      continue;
    }
    try {
      const done = await withGuestLock(listed, 0, async () => {
        // What was listed is old by now: another start may have taken its time, or a command may have come between.
        return await reconcileLocked(await findGuest(listed.uuid), hostStopping);
      });
      views.push(done.guest);
      report(done);
    } catch (error) {
      const passing =
        error instanceof UserError && (error.code === "GUEST_BUSY" || error.code === "GUEST_NOT_FOUND");
      if (!passing && errnoOf(error) !== "ENOENT") throw error;
    }
  }
  return views;
}
