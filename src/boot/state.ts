/** What the events of a guest come to: a pure fold, the same for the hook, the commands and the reconciler. */
import { assessAttempt, type PairRecord } from "./assess.ts";
import type { Attempt, Reshaped } from "./attempt.ts";
import type { BootEvent, Pair } from "./events.ts";

/** A start by the reconciler. */
export interface UncleanStart {
  /** ISO 8601. */
  readonly t: string;
  /** The monotonic clock of `hostBoot`, in milliseconds. */
  readonly m?: number;
  readonly hostBoot?: string;
}

/** Somebody's wish, with its time (ISO 8601). */
export interface Ask {
  readonly t: string;
  readonly by: "person" | "reconciler";
  readonly what: "start" | "reboot";
}

export interface BootState extends PairRecord {
  /** Oldest first. */
  readonly attempts: readonly Attempt[];
  readonly current: Attempt | undefined;
  readonly desired: "on" | "off";
  /** The pair of the newest attempt that was good. */
  readonly good: Pair | undefined;
  /** The pair that was good before that one. */
  readonly goodBefore: Pair | undefined;
  /** Ids of pairs by the files in the share that they were copied from (`prepare`'s `files`). */
  readonly pairsOfFiles: ReadonlyMap<string, string>;
  /** The host's own pair for the first boot, until a boot was good. */
  readonly provided: Pair | undefined;
  /** It was adopted, and no boot of it was reported good yet: the parts that report may not be in it. */
  readonly silent: boolean;
  /** What was asked for last, while no attempt has been prepared since. */
  readonly pending: Ask | undefined;
  /** Why the reconciler stopped trying. */
  readonly failed: { readonly since: string; readonly why: string } | undefined;
  /** Starts by the reconciler that count against the start limit since a person last acted. */
  readonly uncleanStarts: readonly UncleanStart[];
  /** What libvirt said at the last release of the domain, where it says so (10.5 and later). */
  readonly releaseReason: string | undefined;
}

/** Folds events, oldest first. */
export function deriveState(events: readonly BootEvent[]): BootState {
  const attempts: Attempt[] = [];
  let desired: "on" | "off" = "off";
  let good: Pair | undefined;
  let provided: Pair | undefined;
  let silent = false;
  let pending: Ask | undefined;
  let failed: BootState["failed"];
  let uncleanStarts: UncleanStart[] = [];
  let goodBefore: Pair | undefined;
  const goodIds = new Set<string>();
  const badAttempts = new Map<string, number>();
  const pairsOfFiles = new Map<string, string>();
  let releaseReason: string | undefined;
  let reshaped: Reshaped | undefined;

  const amend = (id: string | undefined, change: (attempt: Attempt) => Attempt): void => {
    const index = id === undefined ? attempts.length - 1 : attempts.findIndex((a) => a.id === id);
    const attempt = attempts[index];
    if (attempt !== undefined) attempts[index] = change(attempt);
  };

  for (const event of events) {
    switch (event.e) {
      case "checkpoint":
        good = event.good;
        goodBefore = event.goodBefore;
        provided = event.provided ?? provided;
        silent = event.silent ?? false;
        for (const pair of [good, goodBefore]) if (pair !== undefined) goodIds.add(pair.id);
        for (const [id, count] of Object.entries(event.bad ?? {})) badAttempts.set(id, count);
        desired = event.desired;
        break;
      case "provided":
        provided = event.pair;
        break;
      case "cloned":
        good = event.pair;
        goodIds.add(event.pair.id);
        break;
      case "adopted":
        silent = true;
        break;
      case "asked":
        pending = event.what === "stop" ? undefined : { t: event.t, by: event.by, what: event.what };
        if (event.by === "person") {
          if (event.what !== "start") {
            amend(undefined, (a) => (a.ended === undefined ? { ...a, interrupted: true } : a));
          }
          failed = undefined;
          uncleanStarts = [];
          desired = event.what === "stop" ? "off" : "on";
        } else if (event.unclean === true) {
          const { t, m, hostBoot } = event;
          uncleanStarts.push({
            t,
            ...(m === undefined ? {} : { m }),
            ...(hostBoot === undefined ? {} : { hostBoot }),
          });
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
          silent,
          overdue: false,
          interrupted: false,
          ...(event.timeout === undefined ? {} : { timeout: event.timeout }),
          ...(event.m === undefined ? {} : { m: event.m }),
          ...deadlineOf(event.m, event.timeout),
        });
        if (event.files !== undefined) pairsOfFiles.set(event.files, event.pair.id);
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
        // The time that it lay saved does not count.
        amend(undefined, ({ released: _, deadline: __, ...a }) => ({
          ...a,
          ...deadlineOf(event.m, a.timeout),
        }));
        break;
      case "up":
        amend(event.attempt, (a) =>
          a.up === undefined ? { ...a, up: event.t, reported: event.release } : a,
        );
        break;
      case "good":
        amend(event.attempt, (a) => {
          if (good?.id !== a.pair.id) goodBefore = good;
          good = a.pair;
          goodIds.add(a.pair.id);
          badAttempts.delete(a.pair.id);
          provided = undefined;
          silent = false;
          return a.good === undefined ? { ...a, good: event.t, reported: event.release } : a;
        });
        break;
      case "end":
        amend(event.attempt, (a) => {
          if (a.ended !== undefined) return a;
          const over = { ...a, ended: event.t, how: event.how };
          const { id } = a.pair;
          if (assessAttempt(over) === "bad") badAttempts.set(id, (badAttempts.get(id) ?? 0) + 1);
          return over;
        });
        break;
      case "overdue":
        amend(event.attempt, (a) => ({ ...a, overdue: true }));
        break;
      case "pinned":
        for (const { pair } of attempts) if (pair.release === event.release) badAttempts.delete(pair.id);
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
    goodBefore,
    goodIds,
    badAttempts,
    pairsOfFiles,
    provided,
    silent,
    pending,
    failed,
    uncleanStarts,
    releaseReason,
  };
}

function deadlineOf(m: number | undefined, timeout: number | undefined): { deadline?: number } {
  return m === undefined || timeout === undefined ? {} : { deadline: m + timeout * 1000 };
}
