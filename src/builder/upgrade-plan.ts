/**
 * The order of a roll-out: which guest is upgraded when, and what stops it. Pure: a record and what came of a step in, the
 * next record out. What is on disk is this record, so a roll-out that was killed goes on from wherever it was: a step that is
 * done twice does no harm (builder/upgrade-steps.ts), and nothing else is remembered anywhere.
 */
import { z } from "zod";

/** Phases in which there is something to do; each is a step of builder/upgrade-steps.ts, by the same name. */
export const STEPS = ["checking", "draining", "upgrading", "rebooting", "undraining", "probation"] as const;
export type Step = (typeof STEPS)[number];

/**
 * pending → checking → draining → upgrading → rebooting → undraining → probation (the canary alone) → done. A guest without
 * anything to do goes from checking to done, one without a new kernel passes over rebooting. *held* is a guest that the
 * roll-out left as it was, because it stopped before.
 */
export const PHASES = ["pending", ...STEPS, "done", "failed", "held"] as const;
export type Phase = (typeof PHASES)[number];

/** Phases in which a guest may be out of service. */
const AWAY: ReadonlySet<Phase> = new Set(["draining", "upgrading", "rebooting", "undraining"]);

const problemSchema = z.object({
  /** As a UserError's. */
  code: z.string(),
  /** A sentence, printable. */
  sentence: z.string(),
  /** What to do about it. */
  hint: z.string().optional(),
  /** The end of a log, each line printable. */
  detail: z.string().optional(),
  /** Of the command that it stops; {@link EXIT}.failed where it is not there. */
  exitCode: z.number().int().min(1).max(255).optional(),
});
export type Problem = z.infer<typeof problemSchema>;

/** The pair that is to boot next, by what the host knows it again by. */
const expectedSchema = z.object({
  release: z.string(),
  source: z.string(),
  /** A ShareCandidate's. */
  files: z.string().optional(),
  /** A stored pair's id. */
  pair: z.string().optional(),
});
export type Expected = z.infer<typeof expectedSchema>;

const guestSchema = z.object({
  uuid: z.string(),
  name: z.string(),
  phase: z.enum(PHASES),
  /** When it came into that phase, ISO 8601. */
  since: z.string(),
  /** It is the one that goes before all others. */
  canary: z.boolean(),
  /** It was told to take no more work, or is about to be, and is to be put back. */
  drained: z.boolean(),
  /** What ran before its reboot: the id of the attempt, and the release. */
  before: z.object({ attempt: z.string(), release: z.string() }).optional(),
  expected: expectedSchema.optional(),
  /** What was done to it. */
  result: z.enum(["up-to-date", "upgraded", "rebooted"]).optional(),
  problem: problemSchema.optional(),
});
export type GuestRecord = z.infer<typeof guestSchema>;

export const rolloutSchema = z.object({
  schema: z.literal(1),
  id: z.string(),
  started: z.string(),
  /** At most so many guests are away at once. */
  rolling: z.number().int().min(1),
  /** Take a guest out of service before it is upgraded, where it has a service. */
  drain: z.boolean(),
  /** How long the canary stays well before the others go, in seconds, unless it finishes a build. */
  canarySeconds: z.number().min(0),
  /** How long a running build is waited for, in seconds. */
  drainSeconds: z.number().positive(),
  /** How long apt may take in one guest, in seconds. */
  aptSeconds: z.number().positive(),
  canary: z.enum(["none", "on-trial", "passed"]),
  guests: z.array(guestSchema),
  /** Why no further guest is upgraded. `guest` is a UUID; null where a person ended it. */
  stopped: problemSchema.extend({ at: z.string(), guest: z.string().nullable() }).optional(),
  ended: z.string().optional(),
});
export type Rollout = z.infer<typeof rolloutSchema>;

export type RolloutOptions = Pick<
  Rollout,
  "rolling" | "drain" | "canarySeconds" | "drainSeconds" | "aptSeconds"
>;

/** What came of a step. */
export type Outcome =
  /** checking: whether there is anything to do, and whether it is in service now and is to be drained for that. */
  | { readonly of: "checking"; readonly todo: boolean; readonly active: boolean }
  | { readonly of: "draining" }
  /** upgrading: with what ran, and what boots next where that is something else. */
  | {
      readonly of: "upgrading";
      readonly before: { readonly attempt: string; readonly release: string };
      readonly expected: Expected | undefined;
    }
  /** rebooting: it is good, with the pair that was to boot. */
  | { readonly of: "rebooting" }
  | { readonly of: "undraining" }
  | { readonly of: "probation" }
  /** Any step, or a guest that was done: the roll-out stops. */
  | {
      readonly of: "failure";
      /** The step that failed, or a guest that was through and is lost. */
      readonly phase: Step | "done";
      readonly problem: Problem;
      /** It runs, and its boot is good: it may have work again. */
      readonly working: boolean;
    };

/** A new roll-out, in which nothing has happened. @param guests in the order in which they are upgraded */
export function newRollout(
  id: string,
  guests: readonly { readonly uuid: string; readonly name: string }[],
  options: RolloutOptions,
  at: Date,
): Rollout {
  const since = at.toISOString();
  return {
    schema: 1,
    id,
    started: since,
    ...options,
    canary: "none",
    guests: guests.map((guest) => pendingRecord(guest, since)),
  };
}

function pendingRecord({ uuid, name }: Pick<GuestRecord, "uuid" | "name">, since: string): GuestRecord {
  return { uuid, name, phase: "pending", since, canary: false, drained: false };
}

/** A roll-out that was interrupted, with further guests that wait. Those that it has already stay as they are. */
export function extend(
  rollout: Rollout,
  guests: readonly { readonly uuid: string; readonly name: string }[],
  at: Date,
): Rollout {
  const present = new Set(rollout.guests.map(({ uuid }) => uuid));
  const further = guests.filter(({ uuid }) => !present.has(uuid));
  return {
    ...rollout,
    guests: [...rollout.guests, ...further.map((guest) => pendingRecord(guest, at.toISOString()))],
  };
}

/** The step that a guest is at; undefined for one that waits or is through. */
export function stepOf({ phase }: Pick<GuestRecord, "phase">): Step | undefined {
  return STEPS.find((step) => step === phase);
}

/** Guests that are, or may be, out of service. */
export function away({ guests }: Rollout): readonly GuestRecord[] {
  return guests.filter(({ phase }) => AWAY.has(phase));
}

/**
 * Lets as many waiting guests begin as may: one until the canary has passed, then up to `rolling` at a time, none once the
 * roll-out was stopped. Ends the roll-out when nobody is left.
 */
export function admit(rollout: Rollout, at: Date): Rollout {
  const { guests, stopped, canary, rolling, ended } = rollout;
  if (ended !== undefined) return rollout;
  const limit = stopped !== undefined ? 0 : canary === "passed" ? rolling : 1;
  let room = limit - guests.filter((guest) => stepOf(guest) !== undefined).length;
  const admitted = guests.map((guest) => {
    if (guest.phase !== "pending") return guest;
    if (stopped !== undefined) return to(guest, "held", at);
    return room-- > 0 ? to(guest, "checking", at) : guest;
  });
  const over = admitted.every((guest) => guest.phase !== "pending" && stepOf(guest) === undefined);
  return { ...rollout, guests: admitted, ...(over ? { ended: at.toISOString() } : {}) };
}

/**
 * What the record is after a step. An outcome that is not of the step that the guest is at comes late, from one that was
 * given up, and changes nothing.
 */
export function advance(rollout: Rollout, uuid: string, outcome: Outcome, at: Date): Rollout {
  const guest = rollout.guests.find((one) => one.uuid === uuid);
  if (guest === undefined || rollout.ended !== undefined) return rollout;
  if (guest.phase !== (outcome.of === "failure" ? outcome.phase : outcome.of)) return rollout;
  if (outcome.of === "failure") return fail(rollout, guest, outcome, at);
  const next = (changes: Partial<GuestRecord> & { phase: Phase }): Rollout =>
    replace(rollout, { ...guest, ...changes, since: at.toISOString() });
  switch (outcome.of) {
    case "checking": {
      if (!outcome.todo) return next({ phase: "done", result: "up-to-date" });
      const canary = rollout.canary === "none";
      // One that somebody else took out of service stays so; what it is still at is waited for all the same.
      const drained = rollout.drain && outcome.active;
      const begun = next({ phase: rollout.drain ? "draining" : "upgrading", drained, canary });
      return canary ? { ...begun, canary: "on-trial" } : begun;
    }
    case "draining":
      return next({ phase: "upgrading" });
    case "upgrading": {
      const { before, expected } = outcome;
      const changes = {
        before,
        result: "upgraded",
        ...(expected === undefined ? {} : { expected }),
      } as const;
      const reboot = expected !== undefined && rollout.stopped === undefined;
      return next({ ...changes, phase: reboot ? "rebooting" : "undraining" });
    }
    case "rebooting":
      return next({ phase: "undraining", result: "rebooted" });
    case "undraining":
      return undrained(rollout, { ...guest, drained: false }, at);
    case "probation":
      return { ...next({ phase: "done" }), canary: "passed" };
  }
}

/** Where a guest goes that is back in service. */
function undrained(rollout: Rollout, guest: GuestRecord, at: Date): Rollout {
  if (guest.problem !== undefined) return replace(rollout, to(guest, "failed", at));
  if (rollout.stopped !== undefined) {
    // Through all the same, unless a new kernel still waits for its reboot.
    const through =
      guest.result === "rebooted" || (guest.result === "upgraded" && guest.expected === undefined);
    return replace(rollout, to(guest, through ? "done" : "held", at));
  }
  // A trial is for the others: where none waits, it says nothing.
  const waiting = rollout.guests.some(({ phase }) => phase === "pending");
  if (guest.canary && waiting) return replace(rollout, to(guest, "probation", at));
  const done = replace(rollout, to(guest, "done", at));
  return guest.canary ? { ...done, canary: "passed" } : done;
}

/**
 * Stops the roll-out because of a guest. The first reason is the one that is kept. That guest is put back into service where
 * it works; the others as {@link stop} says.
 */
function fail(
  rollout: Rollout,
  guest: GuestRecord,
  { problem, working }: Extract<Outcome, { of: "failure" }>,
  at: Date,
): Rollout {
  const back = working && guest.drained && guest.phase !== "undraining";
  const failed = { ...to(guest, back ? "undraining" : "failed", at), problem: guest.problem ?? problem };
  return stop(replace(rollout, failed), { ...problem, guest: guest.uuid }, at);
}

/**
 * No further guest is upgraded or rebooted. One whose running build is waited for is put back; where apt runs or a boot is
 * under way, that comes to its end first.
 *
 * @param why `guest` is null where a person wanted it
 */
export function stop(rollout: Rollout, why: Problem & { readonly guest: string | null }, at: Date): Rollout {
  const { guests, stopped = { at: at.toISOString(), ...why } } = rollout;
  const left = guests.map((guest) => {
    switch (guest.phase) {
      case "checking":
        return to(guest, "held", at);
      case "draining":
        return to(guest, "undraining", at);
      case "probation":
        // It is in service and was good; nobody waits for its trial any more.
        return to(guest, "done", at);
      default:
        return guest;
    }
  });
  return { ...rollout, guests: left, stopped };
}

function to(guest: GuestRecord, phase: Phase, at: Date): GuestRecord {
  return { ...guest, phase, since: at.toISOString() };
}

function replace(rollout: Rollout, guest: GuestRecord): Rollout {
  return { ...rollout, guests: rollout.guests.map((one) => (one.uuid === guest.uuid ? guest : one)) };
}
