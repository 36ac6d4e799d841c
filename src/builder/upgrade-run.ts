/**
 * Carries out a roll-out: starts the steps that its record asks for, side by side where it allows that, and writes the record
 * after each. What else there is to know is in the record, so this may be killed at any time and called again.
 */
import { setTimeout as sleep } from "node:timers/promises";
import {
  admit,
  advance,
  type GuestRecord,
  type Outcome,
  type Problem,
  type Rollout,
  type Step,
  stepOf,
} from "./upgrade-plan.ts";

/** What a roll-out does to the world. */
export interface RolloutIo {
  /** Carries out a step. @throws the signal's reason when aborted */
  step(guest: GuestRecord, step: Step, rollout: Rollout, signal: AbortSignal): Promise<Outcome>;
  /** Why a guest that was through is lost, where it is. */
  isLost(guest: GuestRecord): Promise<Problem | undefined>;
  /** Makes the record last. */
  save(rollout: Rollout): void;
  /** Told of each change of a guest's phase, after it was saved. */
  changed(guest: GuestRecord, before: GuestRecord, rollout: Rollout): void;
  /** Between two looks at the guests that are through, in milliseconds. */
  readonly lookMs: number;
}

interface Running {
  readonly step: Step;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

/**
 * Goes on with a roll-out until it is over, or the signal is aborted: then the steps are given up where they are, and the record
 * says where.
 *
 * @returns the record; one with `ended` is over
 * @throws what a step throws that is no outcome; the other steps have been given up then
 */
export async function runRollout(first: Rollout, io: RolloutIo, signal: AbortSignal): Promise<Rollout> {
  let rollout = first;
  const running = new Map<string, Running>();
  let bug: { readonly error: unknown } | undefined;
  let wake = (): void => {};
  const apply = (change: (now: Rollout) => Rollout): void => {
    const before = rollout;
    rollout = admit(change(rollout), new Date());
    io.save(rollout);
    rollout.guests.forEach((guest, i) => {
      const was = before.guests[i];
      if (was !== undefined && was.phase !== guest.phase) io.changed(guest, was, rollout);
    });
  };
  const begin = (guest: GuestRecord, step: Step): void => {
    const stop = new AbortController();
    const act = async (): Promise<void> => {
      try {
        const outcome = await io.step(guest, step, rollout, AbortSignal.any([signal, stop.signal]));
        if (stop.signal.aborted || signal.aborted) return;
        apply((now) => advance(now, guest.uuid, outcome, new Date()));
      } catch (error) {
        if (!stop.signal.aborted && !signal.aborted) bug ??= { error };
      } finally {
        running.delete(guest.uuid);
        wake();
      }
    };
    // Known before it can have ended: act() runs up to its first wait at once.
    running.set(guest.uuid, { step, stop, done: Promise.resolve().then(act) });
  };

  apply((now) => now);
  let looked = Date.now();
  while (rollout.ended === undefined && !signal.aborted && bug === undefined) {
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    for (const guest of rollout.guests) {
      const step = stepOf(guest);
      const task = running.get(guest.uuid);
      // The record may have gone on without it: a drain is given up when the roll-out stops.
      if (task !== undefined && task.step !== step) {
        task.stop.abort(new Error("the roll-out was stopped"));
        await task.done;
      }
      if (step !== undefined && !running.has(guest.uuid)) begin(guest, step);
    }
    const pause = new AbortController();
    await Promise.race([
      woken,
      sleep(io.lookMs, undefined, { signal: AbortSignal.any([signal, pause.signal]) }).catch(() => {}),
    ]);
    pause.abort();
    if (signal.aborted || bug !== undefined || Date.now() - looked < io.lookMs) continue;
    looked = Date.now();
    for (const guest of rollout.guests.filter(({ phase }) => phase === "done")) {
      const problem = await io.isLost(guest);
      if (problem === undefined) continue;
      const outcome: Outcome = { of: "failure", phase: "done", problem, working: false };
      apply((now) => advance(now, guest.uuid, outcome, new Date()));
    }
  }
  for (const { stop } of running.values()) stop.abort(signal.reason);
  await Promise.all([...running.values()].map(({ done }) => done));
  if (bug !== undefined) throw bug.error;
  return rollout;
}
