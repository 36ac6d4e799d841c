/** Carries out what {@link ./decide.ts} decides, for one guest. Safe to kill at any point and to run again. */
import { existsSync } from "node:fs";
import { appendEvents, readEvents } from "../boot/log.ts";
import { presentMoment } from "../boot/moment.ts";
import { messageOf, UserError } from "../errors.ts";
import { destroyDomain } from "../libvirt/virsh.ts";
import { deleteAbandoned, deleteRemains, ephemeralState, type Remnant } from "./abandoned.ts";
import { type Action, decide } from "./decide.ts";
import { findGuest, type Guest, type GuestView, listGuests, look } from "./inventory.ts";
import { launch } from "./launch.ts";
import { withGuestLock } from "./lock.ts";
import { reshape } from "./reshape.ts";

export interface Reconciled {
  readonly guest: Guest;
  /** What was done or tried; undefined when not even that could be found out. */
  readonly action: Action | undefined;
  /** What was done to its domain before the start, or could not be: a sentence, printable. */
  readonly reshaped?: string;
  /** Why it could not be done; it is tried again at the next look. */
  readonly problem?: string;
}

/** Does what is to be done about a guest. The caller holds its lock, and `guest` is fresh. */
async function reconcileLocked(guest: Guest, hostStopping: boolean): Promise<Reconciled> {
  const action = assess(guest, hostStopping).action;
  switch (action.do) {
    case "nothing":
      return { guest, action };
    case "stay-off":
      appendEvents(guest.paths, [{ e: "desired", state: "off", why: action.why }]);
      return { guest, action };
    case "give-up":
      appendEvents(guest.paths, [{ e: "gave-up", why: action.why }]);
      return { guest, action };
    case "delete":
      await deleteAbandoned(guest.uuid);
      return { guest, action };
    case "end":
      // Written first: whoever finds the domain destroyed must not take it for a person's wish.
      appendEvents(guest.paths, [{ e: "overdue", attempt: action.attempt }]);
      await destroyDomain(guest.uuid);
      return { guest, action };
    case "start":
      break;
  }
  const change = await reshape(guest);
  const reshaped = change === undefined ? {} : { reshaped: change.sentence };
  const { hostBoot, m } = presentMoment();
  appendEvents(guest.paths, [
    { e: "asked", what: "start", by: "reconciler", why: action.why, unclean: action.unclean, hostBoot, m },
  ]);
  try {
    await launch(guest);
    return { guest, action, ...reshaped };
  } catch (error) {
    if (error instanceof UserError && REFUSALS.has(error.code) && isFinal(guest)) {
      // Nothing changes by trying again: only a person, or the guest's owner, can put a kernel there.
      appendEvents(guest.paths, [{ e: "gave-up", why: error.message }]);
    }
    return { guest, action, ...reshaped, problem: messageOf(error) };
  }
}

/** The start was refused for what is in the guest's /boot: by the hook, or by what stands in for it. */
const REFUSALS: ReadonlySet<string> = new Set(["HOOK_REFUSED_START", "NOTHING_BOOTABLE"]);

/** Whether the refusal was for what is in the guest's /boot, and not for a disk that is full: that may pass by itself. */
function isFinal({ paths }: Guest): boolean {
  const last = readEvents(paths).at(-1);
  return last?.e === "refused" && last.disk !== true;
}

function assess(guest: Guest, hostStopping: boolean): { view: GuestView; action: Action } {
  const moment = presentMoment();
  const view = look(guest, moment);
  const ephemeral = ephemeralState(guest.paths);
  return {
    view,
    action: decide({ ...moment, state: view.state, domain: view.status, hostStopping, ephemeral }),
  };
}

/**
 * Looks at every guest once, and does what is to be done. A guest that a command is changing is left for the next time;
 * one whose folder cannot be read keeps nobody else from being looked at.
 *
 * @param tell what killed commands have left, and cannot be removed
 * @returns the guests as they are after that, without those that could not be read
 * @throws {UserError} `LIBVIRT_UNREACHABLE` while libvirt does not answer
 */
export async function reconcileAll(
  hostStopping: boolean,
  report: (done: Reconciled) => void,
  tell: (remnant: Remnant) => void,
): Promise<GuestView[]> {
  const views: GuestView[] = [];
  const troubled = new Set<string>();
  for (const listed of await listGuests()) {
    try {
      const { view, action } = assess(listed, hostStopping);
      if (action.do === "nothing") {
        views.push(view);
        continue;
      }
      await withGuestLock(listed, 0, async () => {
        // What was listed is old by now: another start may have taken its time, or a command may have come between.
        const done = await reconcileLocked(await findGuest(listed.uuid), hostStopping);
        report(done);
        if (done.action?.do === "delete") return;
        views.push(look(await findGuest(listed.uuid)));
      });
    } catch (error) {
      if (error instanceof UserError && PASSING.has(error.code)) continue;
      // Deleted since it was listed.
      if (!existsSync(listed.paths.dir)) continue;
      if (error instanceof UserError && error.code === "LIBVIRT_UNREACHABLE") throw error;
      troubled.add(listed.uuid);
      report({ guest: listed, action: undefined, problem: messageOf(error) });
    }
  }
  await deleteRemains((remnant) => {
    // That it cannot be deleted was just said.
    if (!troubled.has(remnant.name)) tell(remnant);
  });
  return views;
}

/** A command has the guest in its hands, or has just deleted it. */
const PASSING: ReadonlySet<string> = new Set(["GUEST_BUSY", "GUEST_NOT_FOUND"]);
