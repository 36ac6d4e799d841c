/**
 * What is to be done about a guest: the reconcile table of docs/internals.md, a pure function. It is level-triggered:
 * the same facts give the same answer, whoever asks, however often, and whatever was missed.
 */
import { type Attempt, everRan } from "../boot/attempt.ts";
import type { EndReason } from "../boot/events.ts";
import type { Moment } from "../boot/moment.ts";
import type { DomainStatus } from "../boot/observe.ts";
import type { BootState, UncleanStart } from "../boot/state.ts";

export type Action =
  | { readonly do: "nothing"; readonly why: string }
  /** Start it; an unclean start counts against the start limit. */
  | { readonly do: "start"; readonly why: string; readonly unclean: boolean }
  /** It was not good in time: end it; what follows is decided when it is off. */
  | { readonly do: "end"; readonly why: string; readonly attempt: string }
  /** It is off because somebody wanted that: remember it. */
  | { readonly do: "stay-off"; readonly why: string }
  /** It was there for a process that is gone. */
  | { readonly do: "delete"; readonly why: string }
  /** It keeps coming back down: stop trying until a person acts. */
  | { readonly do: "give-up"; readonly why: string };

/**
 * The start limit: with more than this many unclean starts in this time, the guest is *failed*. An orderly reboot of a
 * boot that was good is what the guest's own admin wanted, and does not count.
 */
export const START_LIMIT = { starts: 5, windowMs: 30 * 60_000 } as const;

/**
 * How long a wish for a reboot stands while the guest is still running, in milliseconds: longer, and a power-off is
 * taken for what it is.
 */
const REBOOT_WISH_MS = 15 * 60_000;

/** Whether the process that an ephemeral guest is there for is still there (guest/abandoned.ts). */
export type Ephemeral = "held" | "abandoned";

export interface Facts extends Moment {
  readonly state: BootState;
  readonly domain: DomainStatus;
  /** The host is shutting down. */
  readonly hostStopping: boolean;
  /** undefined: it is an ordinary guest. */
  readonly ephemeral?: Ephemeral | undefined;
}

/** Decides. Events that are known (`observe`) must be in `facts.state` already. */
export function decide(facts: Facts): Action {
  const { state, domain } = facts;
  const attempt = state.current;
  if (facts.hostStopping) return nothing("the host is shutting down");
  if (facts.ephemeral === "abandoned")
    return { do: "delete", why: "the command that it was made for is gone" };
  if (facts.ephemeral === "held") return nothing("it is ephemeral: the command that it was made for decides");
  if (domain.state === "running" && state.desired === "on" && isOverdue(attempt, facts)) {
    return { do: "end", why: `it was not good within ${attempt.timeout} s`, attempt: attempt.id };
  }
  if (domain.state !== "shut off") return nothing(`it is ${domain.state}`);
  if (domain.reason === "saved" || domain.saved) return nothing("it is saved; a start restores it");
  if (state.failed !== undefined) return nothing("it failed, and waits for a person");
  if (state.desired === "off") return nothing("it is meant to be off");
  if (state.pending?.what === "start")
    return start("a start was asked for", state.pending.by === "reconciler");
  if (
    state.pending?.what === "reboot" &&
    facts.now.getTime() - Date.parse(state.pending.t) < REBOOT_WISH_MS
  ) {
    return start("a reboot was asked for", false);
  }
  if (attempt === undefined) return start("it is meant to be on, and has never been started");
  const rebooted = attempt.hostBoot !== facts.hostBoot;
  if (attempt.ended === undefined) return nothing("libvirt is starting or stopping it");
  if (!everRan(attempt) && !rebooted) {
    // Whoever asked for a start that failed has seen the error; only the reconciler's own starts are tried again.
    if (attempt.askedBy !== "reconciler") return { do: "stay-off", why: "its start failed" };
    return start("its last start failed");
  }
  if (attempt.how === "destroyed") return { do: "stay-off", why: "it was destroyed" };
  // A host that shuts down powers its guests off; what they were meant to be is on.
  if (rebooted || attempt.how === "host-down") return start("the host was rebooted", false);
  if (attempt.how === "poweroff" || attempt.how === "halt")
    return { do: "stay-off", why: "it was powered off" };
  if (attempt.how === "timeout") return start("its boot took too long");
  // Without a word of the guest's a reboot and a power-off look the same, and it stays off as it did before it was adopted.
  if (attempt.silent && attempt.good === undefined && (attempt.how === "reset" || attempt.how === "unknown"))
    return { do: "stay-off", why: "it stopped, and does not report yet whether for a reboot" };
  if (attempt.how === "reboot") return start("it rebooted", attempt.good === undefined);
  return start(ENDINGS[attempt.how ?? "unknown"]);

  function nothing(why: string): Action {
    return { do: "nothing", why };
  }

  function start(why: string, unclean = true): Action {
    if (!unclean) return { do: "start", why, unclean };
    const recent = state.uncleanStarts.filter((one) => isRecent(one, facts)).length;
    if (recent < START_LIMIT.starts) return { do: "start", why, unclean };
    const minutes = START_LIMIT.windowMs / 60_000;
    return { do: "give-up", why: `${why}, after ${recent} restarts in ${minutes} minutes` };
  }
}

/** Whether the time is up in which it was to be good. A clock that somebody set changes nothing. */
function isOverdue(attempt: Attempt | undefined, moment: Moment): attempt is Attempt {
  if (attempt === undefined || attempt.good !== undefined || attempt.ended !== undefined) return false;
  if (attempt.hostBoot !== moment.hostBoot || attempt.interrupted) return false;
  return attempt.deadline !== undefined && moment.m > attempt.deadline;
}

function isRecent({ t, m, hostBoot }: UncleanStart, moment: Moment): boolean {
  const age =
    m !== undefined && hostBoot === moment.hostBoot ? moment.m - m : moment.now.getTime() - Date.parse(t);
  return age < START_LIMIT.windowMs;
}

const ENDINGS: Record<
  Exclude<EndReason, "destroyed" | "poweroff" | "halt" | "reboot" | "timeout" | "host-down">,
  string
> = {
  reset: "it was reset without shutting down",
  crashed: "QEMU crashed",
  failed: "QEMU could not run it",
  unknown: "it went away while libvirt was not looking",
};
