/** What the events of a guest come to: a pure fold, the same for the hook, the commands and the reconciler. */
import type { Layout } from "../kernel/features.ts";
import type { BootEvent, EndReason, Pair, Source } from "./events.ts";

/** A change of the domain's layout, for a kernel. */
export interface Reshape {
  /** ISO 8601. */
  readonly t: string;
  readonly to: Layout;
  readonly release: string;
  readonly why: string;
}

/** One boot attempt, from the hook's choice to its end. Times are ISO 8601. */
export interface Attempt {
  readonly id: string;
  /** When somebody asked for it, where that is known; else when libvirt did. */
  readonly asked: string;
  readonly askedBy: "person" | "reconciler" | "libvirt";
  readonly prepared: string;
  readonly pair: Pair;
  readonly source: Source;
  readonly why: string;
  readonly skipped: readonly { readonly release: string; readonly reason: string }[];
  readonly hostBoot: string;
  /** What was done to the domain since the attempt before this one. */
  readonly reshaped?: Reshape;
  /** libvirt calls the hook, which says when it lets go of the domain. */
  readonly hooked: boolean;
  /** QEMU ran. */
  readonly started?: string;
  /** libvirt let go of the domain, and has not taken it up again (restore). */
  readonly released?: string;
  /** The kernel reported. */
  readonly up?: string;
  readonly good?: string;
  /** The release that the guest reported, for what its word is worth. */
  readonly reported?: string;
  readonly ended?: string;
  readonly how?: EndReason;
}

/** Somebody's wish, with its time (ISO 8601). */
export interface Ask {
  readonly t: string;
  readonly by: "person" | "reconciler";
  readonly what: "start" | "reboot";
}

export interface BootState {
  /** Oldest first. */
  readonly attempts: readonly Attempt[];
  readonly current: Attempt | undefined;
  readonly desired: "on" | "off";
  /** The pair of the newest attempt that was good. */
  readonly good: Pair | undefined;
  /** The host's own pair for the first boot, until a boot was good. */
  readonly provided: Pair | undefined;
  /** What was asked for last, while no attempt has been prepared since. */
  readonly pending: Ask | undefined;
  /** Why the reconciler stopped trying. */
  readonly failed: { readonly since: string; readonly why: string } | undefined;
  /** Starts by the reconciler that count against the start limit since a person last acted, ISO 8601. */
  readonly uncleanStarts: readonly string[];
  /** What libvirt said at the last release of the domain, where it says so (10.5 and later). */
  readonly releaseReason: string | undefined;
}

/** Folds events, oldest first. */
export function deriveState(events: readonly BootEvent[]): BootState {
  const attempts: Attempt[] = [];
  let desired: "on" | "off" = "off";
  let good: Pair | undefined;
  let provided: Pair | undefined;
  let pending: Ask | undefined;
  let failed: BootState["failed"];
  let uncleanStarts: string[] = [];
  let releaseReason: string | undefined;
  let reshaped: Reshape | undefined;

  const amend = (id: string | undefined, change: (attempt: Attempt) => Attempt): void => {
    const index = id === undefined ? attempts.length - 1 : attempts.findIndex((a) => a.id === id);
    const attempt = attempts[index];
    if (attempt !== undefined) attempts[index] = change(attempt);
  };

  for (const event of events) {
    switch (event.e) {
      case "checkpoint":
        good = event.good;
        desired = event.desired;
        break;
      case "provided":
        provided = event.pair;
        break;
      case "asked":
        pending = event.what === "stop" ? undefined : { t: event.t, by: event.by, what: event.what };
        if (event.by === "person") {
          failed = undefined;
          uncleanStarts = [];
          desired = event.what === "stop" ? "off" : "on";
        } else if (event.unclean === true) {
          uncleanStarts.push(event.t);
        }
        break;
      case "prepare":
        // A start that nobody asked bootshare for came through libvirt (virsh, virt-manager, autostart): a person's.
        if (pending === undefined) {
          failed = undefined;
          uncleanStarts = [];
        }
        desired = "on";
        releaseReason = undefined;
        attempts.push({
          id: event.attempt,
          asked: pending?.t ?? event.t,
          askedBy: pending?.by ?? "libvirt",
          prepared: event.t,
          pair: event.pair,
          source: event.source,
          why: event.why,
          skipped: event.skipped,
          hostBoot: event.hostBoot,
          ...(reshaped === undefined ? {} : { reshaped }),
          hooked: event.hook !== false,
        });
        pending = undefined;
        reshaped = undefined;
        break;
      case "started":
        amend(undefined, (a) => (a.started === undefined ? { ...a, started: event.t } : a));
        break;
      case "released":
        releaseReason = event.reason;
        amend(undefined, (a) => ({ ...a, released: event.t }));
        break;
      case "restore":
        desired = "on";
        pending = undefined;
        amend(undefined, ({ released: _, ...a }) => a);
        break;
      case "up":
        amend(event.attempt, (a) =>
          a.up === undefined ? { ...a, up: event.t, reported: event.release } : a,
        );
        break;
      case "good":
        amend(event.attempt, (a) => {
          good = a.pair;
          provided = undefined;
          return a.good === undefined ? { ...a, good: event.t, reported: event.release } : a;
        });
        break;
      case "end":
        amend(event.attempt, (a) => (a.ended === undefined ? { ...a, ended: event.t, how: event.how } : a));
        break;
      case "desired":
        desired = event.state;
        if (event.state === "off") pending = undefined;
        break;
      case "gave-up":
        failed = { since: event.t, why: event.why };
        pending = undefined;
        break;
      case "reshaped":
        reshaped = { t: event.t, to: event.to, release: event.release, why: event.why };
        break;
      case "refused":
        break;
    }
  }
  return {
    attempts,
    current: attempts.at(-1),
    desired,
    good,
    provided,
    pending,
    failed,
    uncleanStarts,
    releaseReason,
  };
}

/** Whether QEMU ran in this attempt: the hook said so or, should that line be lost, the guest did. */
export function everRan(attempt: Attempt): boolean {
  return attempt.started !== undefined || attempt.up !== undefined || attempt.good !== undefined;
}
