/** Upgrades guests one after the other, as builder/upgrade-plan.ts orders it. */
import { randomUUID } from "node:crypto";
import { EXIT, UserError } from "../errors.ts";
import { isEphemeral } from "../guest/abandoned.ts";
import { findGuest, type Guest, listGuests, look } from "../guest/inventory.ts";
import { printable } from "../text.ts";
import { DUTY } from "./duty.ts";
import { lostWorkers } from "./lost-worker.ts";
import {
  extend,
  type GuestRecord,
  newRollout,
  type Rollout,
  type RolloutOptions,
  stepOf,
  stop,
} from "./upgrade-plan.ts";
import { readRollout, withRolloutLock, writeRollout } from "./upgrade-record.ts";
import { runRollout } from "./upgrade-run.ts";
import { carryOut, isLost } from "./upgrade-steps.ts";

/** Gets a sentence on a guest, or on the roll-out where `guest` is undefined. Printable. */
export type Told = (guest: string | undefined, sentence: string) => void;

/** A guest that is not upgraded. Printable. */
export interface Omitted {
  readonly name: string;
  readonly why: string;
}

export interface Chosen {
  /** In the order in which they are upgraded. */
  readonly guests: readonly Guest[];
  readonly omitted: readonly Omitted[];
}

/**
 * The guests that are to be upgraded: those that are named, in that order, or all that are up and good, by name. One that was
 * not well before is no reason to leave all others as they are.
 *
 * @throws {UserError} `GUEST_NOT_FOUND`; `GUEST_OFF` for one that is named
 */
export async function chooseGuests(names: readonly string[], all: boolean): Promise<Chosen> {
  if (!all) {
    const guests: Guest[] = [];
    for (const name of names) {
      const guest = await findGuest(name);
      if (guest.status.state !== "running") {
        throw new UserError("GUEST_OFF", `The guest ${guest.name} is ${guest.status.state}.`, {
          exitCode: EXIT.conflict,
          hint: `Start it with 'bootshare start ${guest.name} --wait'; apt runs in the guest.`,
        });
      }
      if (!guests.some(({ uuid }) => uuid === guest.uuid)) guests.push(guest);
    }
    return { guests, omitted: [] };
  }
  const guests: Guest[] = [];
  const omitted: Omitted[] = [];
  for (const guest of await listGuests()) {
    // One that is there for a single command goes with it.
    if (isEphemeral(guest.paths)) continue;
    const { current } = look(guest).state;
    const name = printable(guest.name);
    if (guest.status.state !== "running") omitted.push({ name, why: `it is ${guest.status.state}` });
    else if (current?.good === undefined) omitted.push({ name, why: "its boot is not good" });
    else guests.push(guest);
  }
  return { guests, omitted };
}

/** What is to become of a roll-out that was interrupted. */
export type Wish =
  /** `all`: whatever waits from an interrupted one is meant as well. */
  | {
      readonly do: "begin";
      readonly guests: readonly Guest[];
      readonly all: boolean;
      readonly options: RolloutOptions;
    }
  | { readonly do: "resume" }
  /** Upgrade nobody any more, and put back what works. */
  | { readonly do: "abandon" };

/**
 * Carries out a roll-out to its end, or until the signal is aborted. One that was interrupted, with these guests, goes on; those that
 * it had not are added to it.
 *
 * @throws {UserError} `UPGRADE_RUNNING`, `UPGRADE_UNFINISHED` (others wait from an interrupted one), `UPGRADE_NOTHING` (there is
 *   none to go on with), `UPGRADE_INTERRUPTED`
 */
export async function upgrade(wish: Wish, signal: AbortSignal, tell: Told): Promise<Rollout> {
  return await withRolloutLock(async () => {
    const lostWorker = lostWorkers(DUTY);
    const rollout = await runRollout(
      beginning(wish, tell),
      {
        step: async (guest, step, record, stepSignal) => {
          const say = (sentence: string): void => tell(guest.name, sentence);
          return await carryOut(guest, step, {
            rollout: record,
            duty: DUTY,
            signal: stepSignal,
            pauseMs: 10_000,
            say,
          });
        },
        isLost: async (guest) => await isLost(guest, lostWorker),
        save: (record) => writeRollout(record),
        changed: (guest, before, record) => {
          for (const [who, sentence] of changeLines(guest, before, record)) tell(who, sentence);
        },
        lookMs: 15_000,
      },
      signal,
    );
    if (rollout.ended !== undefined) return rollout;
    const out = rollout.guests.filter(({ drained }) => drained).map(({ name }) => name);
    const still = out.length === 0 ? "" : ` ${out.join(", ")} will get no work until then.`;
    throw new UserError("UPGRADE_INTERRUPTED", `The upgrade was interrupted, and can go on.${still}`, {
      exitCode: EXIT.interrupted,
      hint: "'bootshare upgrade --resume' goes on, '--abandon' puts the guests back and ends it.",
    });
  });
}

/** The record to go on from. */
function beginning(wish: Wish, tell: Told): Rollout {
  const last = readRollout();
  const open = last !== undefined && last.ended === undefined ? last : undefined;
  if (wish.do === "begin") {
    const { options } = wish;
    const guests = wish.guests.map(({ uuid, name }) => ({ uuid, name: printable(name) }));
    if (open === undefined) return newRollout(randomUUID(), guests, options, new Date());
    const wanted = new Set(guests.map(({ uuid }) => uuid));
    const left = open.guests.filter((guest) => stepOf(guest) !== undefined || guest.phase === "pending");
    if (wish.all || left.every(({ uuid }) => wanted.has(uuid))) {
      tell(undefined, `going on with the upgrade that was interrupted (begun ${open.started})`);
      return extend({ ...open, ...options }, guests, new Date());
    }
    throw new UserError(
      "UPGRADE_UNFINISHED",
      `An upgrade of ${left.map(({ name }) => name).join(", ")} was interrupted and waits to go on.`,
      {
        exitCode: EXIT.conflict,
        hint: "'bootshare upgrade --resume' goes on with it, '--abandon' puts the guests back and ends it.",
      },
    );
  }
  if (open === undefined) {
    throw new UserError("UPGRADE_NOTHING", "There is no interrupted upgrade.", {
      exitCode: EXIT.notFound,
      hint: "'bootshare upgrade --status' shows the last one.",
    });
  }
  if (wish.do === "resume") return open;
  return stop(open, { code: "ABANDONED", sentence: "A person ended it.", guest: null }, new Date());
}

/** What a change of phase means, where a person would want to know: whom it is about, and a sentence. */
export function changeLines(
  guest: GuestRecord,
  before: GuestRecord,
  { stopped }: Rollout,
): [string | undefined, string][] {
  const { name, phase, problem, result, expected } = guest;
  const lines: [string | undefined, string][] = [];
  if (problem !== undefined && before.problem === undefined) {
    lines.push([name, problem.sentence]);
    if (stopped?.guest === guest.uuid) lines.push([undefined, "no further guest is upgraded"]);
  }
  switch (phase) {
    case "draining":
      lines.push([
        name,
        guest.drained ? "takes no new work; waiting for what it is at" : "has no work to wait for",
      ]);
      break;
    case "undraining":
      if (before.phase === "rebooting" && problem === undefined)
        lines.push([name, `up and good with ${expected?.release ?? "its kernel"}`]);
      if (guest.drained) lines.push([name, "back to work"]);
      break;
    case "done":
      if (problem === undefined) lines.push([name, result === "up-to-date" ? "is up to date" : "done"]);
      break;
    case "held":
      lines.push([name, before.phase === "pending" ? "not begun" : "left as it is"]);
      break;
    case "failed":
      if (guest.drained) lines.push([name, "stays out of service"]);
      break;
    default:
      break;
  }
  return lines;
}
