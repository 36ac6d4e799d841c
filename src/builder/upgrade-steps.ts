/**
 * The steps of a roll-out in one guest, by the names of upgrade-plan.ts. Each may be killed anywhere and done again: what is
 * to be done follows from the guest as it is, and from the record.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { DEFAULT_TRIES } from "../boot/assess.ts";
import type { Attempt } from "../boot/attempt.ts";
import { lookAtNext } from "../boot/look-next.ts";
import { readPolicy } from "../boot/policy.ts";
import { survey } from "../boot/prepare.ts";
import { BOOT_TIMEOUT_S, bootTimeout } from "../boot/timeout.ts";
import { EXIT, UserError } from "../errors.ts";
import { definitionOf, findGuest, type Guest, type GuestView, look } from "../guest/inventory.ts";
import { rebootGuest, waitForGood } from "../guest/life.ts";
import { lastLines, printable } from "../text.ts";
import { hasUpgrades, upgradeEverything } from "./guest-apt.ts";
import { isExpected, isWaiting, nextOf, passedOver } from "./next-kernel.ts";
import type { Expected, GuestRecord, Outcome, Problem, Rollout, Step } from "./upgrade-plan.ts";
import type { DrainOptions, Undrained } from "./worker-kind.ts";

/** What a guest does for others, while it is up. */
export interface DutyLook {
  /** It takes part, as those see it that give it work. */
  readonly up: boolean;
  /** Names of the jobs that it is at; each begin of one has a name of its own. Printable. */
  readonly jobs: readonly string[];
}

/** A guest's work for others, whatever its kind: builder/duty.ts has the real one. */
export interface Duty {
  /** Whether it takes jobs now. False too for a guest that has no such work. */
  isActive(guest: Guest): Promise<boolean>;
  drain(guest: Guest, options: Omit<DrainOptions, "by">): Promise<unknown>;
  /** Not where a person has drained it in the meantime. */
  undrain(guest: Guest): Promise<Undrained | undefined>;
  /** undefined where it has no such work, or nobody can be asked now. */
  look(guest: Guest): Promise<DutyLook | undefined>;
}

export interface StepContext {
  readonly rollout: Rollout;
  readonly duty: Duty;
  readonly signal: AbortSignal;
  /** Between two looks at a guest's work, in milliseconds. */
  readonly pauseMs: number;
  /** Gets a sentence when there is something to say. Printable. */
  readonly say: (sentence: string) => void;
}

/** What a shutdown may take, in milliseconds: emulated guests are slow. */
const SHUTDOWN_MS = 600_000;
/** How long a worker may take until those that give it work see it again, in milliseconds. */
export const COME_BACK_MS = 600_000;
/** How long one that was there may be gone before it counts as lost, in milliseconds. */
const GONE_MS = 120_000;

/**
 * Carries out the step that a guest is at.
 *
 * @returns what came of it; a failure that a person can cause or mend is an outcome
 * @throws the signal's reason when aborted, and what is a bug
 */
export async function carryOut(record: GuestRecord, step: Step, context: StepContext): Promise<Outcome> {
  try {
    return await STEP[step](record, context);
  } catch (error) {
    context.signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    const working = !NOT_WORKING.has(error.code) && (await isWorking(record.uuid));
    return { of: "failure", phase: step, problem: problemOf(error), working };
  }
}

/** After these it may look as if it worked for a while: it is on its way down. */
const NOT_WORKING: ReadonlySet<string> = new Set(["STOP_TIMEOUT"]);

const STEP: Readonly<Record<Step, (record: GuestRecord, context: StepContext) => Promise<Outcome>>> = {
  checking,
  draining,
  upgrading,
  rebooting,
  undraining,
  probation,
};

async function checking(
  { uuid }: GuestRecord,
  { rollout, duty, signal, say }: StepContext,
): Promise<Outcome> {
  const view = await goodGuest(uuid);
  say("looking for upgrades");
  const upgrades = await hasUpgrades(view, { timeoutMs: rollout.aptSeconds * 1000, signal });
  // With upgrades to come, what is wrong now may be right then.
  const waiting = upgrades || (await nextKernel(view)) !== undefined;
  return { of: "checking", todo: waiting, active: rollout.drain && waiting && (await duty.isActive(view)) };
}

async function draining(
  { uuid }: GuestRecord,
  { rollout, duty, signal, say }: StepContext,
): Promise<Outcome> {
  const guest = await findGuest(uuid);
  await duty.drain(guest, { timeoutMs: rollout.drainSeconds * 1000, signal, say });
  return { of: "draining" };
}

async function upgrading({ uuid }: GuestRecord, { rollout, signal, say }: StepContext): Promise<Outcome> {
  const guest = await findGuest(uuid);
  // Should the host have been rebooted in between, it is on its way up.
  await waitForGood(guest, await bootsMs(guest), say, signal);
  say("upgrading its packages");
  await upgradeEverything(guest, { timeoutMs: rollout.aptSeconds * 1000, signal });
  const view = await goodGuest(uuid);
  const { current } = view.state;
  const before = { attempt: current.id, release: printable(current.pair.release) };
  return { of: "upgrading", before, expected: await nextKernel(view) };
}

async function rebooting(record: GuestRecord, { signal, say }: StepContext): Promise<Outcome> {
  const { uuid, before, expected } = record;
  if (before === undefined || expected === undefined) throw new Error("a reboot without anything to boot");
  const guest = await findGuest(uuid);
  if (look(guest).state.current?.id === before.attempt) {
    say(`rebooting into ${expected.release}`);
    await rebootGuest(guest, { force: false, timeoutMs: SHUTDOWN_MS, signal }, say);
  }
  const view = await waitForGood(guest, await bootsMs(guest), say, signal);
  const { current } = view.state;
  if (current === undefined) throw new Error("a good boot without an attempt");
  if (isExpected(expected, current, view.state)) return { of: "rebooting" };
  throw rolledBack(view, current, expected);
}

function rolledBack({ name }: Guest, { pair, skipped }: Attempt, expected: Expected): UserError {
  const why = skipped.find(({ release }) => printable(release) === expected.release)?.reason;
  const because = why === undefined ? "" : `: ${printable(why, 500)}`;
  // A new initrd of the release that ran is a new pair as well.
  const release = printable(pair.release);
  const what =
    release === expected.release
      ? `the last good initrd of ${release} and not with the new one`
      : `${release} and not with ${expected.release}`;
  return new UserError("KERNEL_ROLLED_BACK", `The guest ${name} came up with ${what}${because}.`, {
    hint: `See 'bootshare logs ${name} --attempt last' and 'bootshare kernels ${name}'. Remove that kernel in the guest, or wait for a newer one.`,
  });
}

async function undraining(
  record: GuestRecord,
  { duty, signal, pauseMs, say }: StepContext,
): Promise<Outcome> {
  if (!record.drained) return { of: "undraining" };
  const guest = await findGuest(record.uuid);
  if ((await duty.undrain(guest)) === "kept") {
    say("a person has drained it: it stays out of service");
    return { of: "undraining" };
  }
  const until = Date.now() + COME_BACK_MS;
  for (let said = false; (await duty.look(guest))?.up === false; ) {
    if (!said) say("waiting until it is given work again");
    said = true;
    if (Date.now() >= until) throw workerLost(guest, COME_BACK_MS);
    await sleep(pauseMs, undefined, { signal });
  }
  return { of: "undraining" };
}

/** The canary's trial: it finishes a build that it began in it, or stays well for its time. */
async function probation(
  record: GuestRecord,
  { rollout, duty, signal, pauseMs, say }: StepContext,
): Promise<Outcome> {
  const until = Date.parse(record.since) + rollout.canarySeconds * 1000;
  const guest = await goodGuest(record.uuid);
  const attempt = guest.state.current.id;
  const before = new Set((await duty.look(guest))?.jobs);
  say(`on trial until it has finished a build, or for ${rollout.canarySeconds} s`);
  let begun: ReadonlySet<string> = new Set();
  let goneSince: number | undefined;
  for (;;) {
    const present = await goodGuest(record.uuid);
    if (present.state.current.id !== attempt) {
      throw new UserError("GUEST_RESTARTED", `The guest ${guest.name} was started anew in its trial.`, {
        hint: `See 'bootshare history ${guest.name}'.`,
      });
    }
    const seen = await duty.look(present);
    if (seen?.up === false) {
      goneSince ??= Date.now();
      if (Date.now() - goneSince >= GONE_MS) throw workerLost(present, GONE_MS);
    } else goneSince = undefined;
    if (seen?.up === true) {
      const jobs = new Set(seen.jobs);
      if ([...begun].some((job) => !jobs.has(job))) {
        say("it has finished a build");
        return { of: "probation" };
      }
      begun = new Set([...jobs].filter((job) => !before.has(job)));
    }
    if (Date.now() >= until && goneSince === undefined) {
      say("it has stayed well");
      return { of: "probation" };
    }
    await sleep(pauseMs, undefined, { signal });
  }
}

/**
 * Whether a guest that was through is lost since: it is off, it failed, its boot is bad, or it is up with its last good kernel because
 * the new one did not come up once more. One that somebody reboots is not. Last comes whether it still takes part, as its server sees it.
 *
 * @param lostWorker see lost-worker.ts
 */
export async function isLost(
  { uuid, expected }: GuestRecord,
  lostWorker: (guest: Guest) => Promise<Problem | undefined>,
): Promise<Problem | undefined> {
  try {
    const view = look(await findGuest(uuid));
    const { name, state, status } = view;
    if (state.failed !== undefined) {
      const why = printable(state.failed.why, 500);
      return { code: "GUEST_FAILED", sentence: `The guest ${name} failed after its upgrade: ${why}.` };
    }
    const { current } = state;
    if (expected !== undefined && current?.good !== undefined && wasPassedOver(expected, current))
      return problemOf(rolledBack(view, current, expected));
    const bad = current?.ended !== undefined && current.good === undefined;
    if (bad && status.state === "shut off") {
      return {
        code: "GUEST_LOST",
        sentence: `The guest ${name} does not come up any more after its upgrade.`,
      };
    }
    return await lostWorker(view);
  } catch (error) {
    // It was deleted since, or libvirt does not answer at this moment: neither says that its upgrade went wrong.
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** Whether a boot is of another kernel because this one was not to be booted: no newer one, and none that somebody chose. */
function wasPassedOver({ release }: Expected, { pair, skipped }: Attempt): boolean {
  return (
    printable(pair.release) !== release && skipped.some((passed) => printable(passed.release) === release)
  );
}

type GoodView = GuestView & { readonly state: { readonly current: Attempt } };

/** A guest that runs, and whose boot is good. @throws {UserError} `GUEST_NOT_GOOD`, `GUEST_NOT_FOUND` */
async function goodGuest(uuid: string): Promise<GoodView> {
  const view = look(await findGuest(uuid));
  const { state, status, name } = view;
  const { current } = state;
  if (status.state === "running" && current?.good !== undefined && current.ended === undefined) {
    return { ...view, state: { ...state, current } };
  }
  const what = status.state === "running" ? "is not up and good" : `is ${status.state}`;
  throw new UserError("GUEST_NOT_GOOD", `The guest ${name} ${what}.`, {
    exitCode: EXIT.conflict,
    hint: `See 'bootshare status ${name}'.`,
  });
}

async function isWorking(uuid: string): Promise<boolean> {
  try {
    await goodGuest(uuid);
    return true;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

/**
 * What the guest boots next where that is something else than what runs.
 *
 * @throws {UserError} `KERNEL_PASSED_OVER` where its newest kernel cannot be booted
 */
async function nextKernel(view: GoodView): Promise<Expected | undefined> {
  const definition = await definitionOf(view);
  const { catalogue, selection: surveyed } = survey(view.paths, definition);
  const { goodIds, pairsOfFiles, current } = view.state;
  const { selection } = lookAtNext(view.paths.share, surveyed, definition, {
    wasGood: ({ files }) => goodIds.has(pairsOfFiles.get(files) ?? ""),
  });
  const linked = catalogue?.linked;
  const passed = passedOver(selection, linked?.problem === undefined ? linked?.release : undefined);
  if (passed !== undefined) {
    throw new UserError(
      "KERNEL_PASSED_OVER",
      `The guest ${view.name} would not boot its newest kernel ${passed.release}: ${passed.reason}.`,
      {
        hint: `See 'bootshare kernels ${view.name}'. Remove that kernel in the guest, pin another one (--pin), or wait for a newer one.`,
      },
    );
  }
  const next = nextOf(selection);
  return isWaiting(next, current, view.state) ? next : undefined;
}

/** By when a guest has come to a good boot, by all its tries and the way back, in milliseconds. */
async function bootsMs(guest: Guest): Promise<number> {
  const { tries = DEFAULT_TRIES, bootTimeout: wanted } = readPolicy(guest.paths);
  const { accel } = await definitionOf(guest);
  const each = bootTimeout(wanted, accel, false) ?? BOOT_TIMEOUT_S[accel ?? "other"];
  return (tries + 1) * each * 1000 + SHUTDOWN_MS;
}

export function workerLost({ name }: Guest, ms: number): UserError {
  return new UserError(
    "WORKER_LOST",
    `The worker in the guest ${name} has been gone for ${Math.round(ms / 1000)} s, as its server sees it.`,
    { hint: "See 'bootshare workers'." },
  );
}

/** A failure as it is kept: what to do, and the end of a log, go with the sentence. */
export function problemOf({ code, message, hint, detail, exitCode }: UserError): Problem {
  return {
    code,
    sentence: message,
    ...(exitCode === EXIT.failed ? {} : { exitCode }),
    ...(hint === undefined ? {} : { hint }),
    ...(detail === undefined || detail === "" ? {} : { detail: lastLines(detail) }),
  };
}
