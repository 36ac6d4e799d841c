/**
 * Boot assessment: what came of each attempt, and how many tries a kernel has left. Pure. Words and states are those of
 * systemd's Automatic Boot Assessment (https://systemd.io/AUTOMATIC_BOOT_ASSESSMENT/): a kernel is *indeterminate* while it
 * has tries left and was never good, *good* once a boot of it was, and *bad* when its tries are spent.
 *
 * Unlike there, only an attempt that ended badly costs a try. The host sees how an attempt ended: one that a person cut
 * short, or that went with its host, says nothing of the kernel.
 */
import { type Attempt, everRan } from "./attempt.ts";
import type { EndReason } from "./events.ts";

export type Assessment = "good" | "bad" | "indeterminate";

/** Tries of a kernel that was never good, where nobody said otherwise. */
export const DEFAULT_TRIES = 2;

/** Ends that say nothing of the kernel: somebody else's doing. */
const NOT_ITS_FAULT: ReadonlySet<EndReason> = new Set(["destroyed", "host-down"]);

/**
 * What an attempt came to. One that is under way, never ran, was cut short by others, or is of a guest that may have nothing
 * in it to report with, is indeterminate.
 */
export function assessAttempt(
  attempt: Pick<Attempt, "started" | "up" | "good" | "ended" | "how" | "interrupted" | "silent">,
): Assessment {
  const { good, ended, how, interrupted, silent } = attempt;
  if (good !== undefined) return "good";
  if (ended === undefined || how === undefined || interrupted || silent) return "indeterminate";
  return NOT_ITS_FAULT.has(how) || !everRan(attempt) ? "indeterminate" : "bad";
}

/** What the events tell of all pairs: a part of state.ts's BootState. */
export interface PairRecord {
  /** Ids of all pairs that were good. */
  readonly goodIds: ReadonlySet<string>;
  /** Ids of pairs, each with the number of its attempts that were bad since it last had all its tries. */
  readonly badAttempts: ReadonlyMap<string, number>;
}

/** How a pair stands. */
export interface PairAssessment {
  readonly assessment: Assessment;
  /** Tries that are left to it; of no meaning once it was good. At least 0. */
  readonly triesLeft: number;
}

/**
 * How a pair stands, by all attempts with its bytes since a person last gave it new tries.
 *
 * @param id of the pair; undefined for one that was never booted
 * @param tries that a new pair gets
 */
export function assessPair(
  { goodIds, badAttempts }: PairRecord,
  id: string | undefined,
  tries: number,
): PairAssessment {
  const triesLeft = Math.max(0, tries - (id === undefined ? 0 : (badAttempts.get(id) ?? 0)));
  if (id !== undefined && goodIds.has(id)) return { assessment: "good", triesLeft };
  return { assessment: triesLeft === 0 ? "bad" : "indeterminate", triesLeft };
}
