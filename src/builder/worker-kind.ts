/** What bootshare can do with a guest that builds for somebody else, whoever that is. Each kind is a file of this folder. */
import { EXIT, UserError } from "../errors.ts";
import type { Guest } from "../guest/inventory.ts";

/**
 * - `active`: takes jobs.
 * - `draining`: takes no new ones, and finishes what it has.
 * - `drained`: has nothing to do and will get nothing, also after a reboot, until it is put back.
 */
export type DrainState = "active" | "draining" | "drained";

/** Whose wish a drain is. What a person drained, no roll-out puts back. */
export type Drainer = "person" | "upgrade";

/** Whose wish a drain is that is asked for, perhaps once more. @param before whose it is already, where there is one */
export function drainerOf(before: Drainer | undefined, by: Drainer): Drainer {
  return before === "person" ? before : by;
}

export interface DrainOptions {
  readonly by: Drainer;
  /** How long to wait for running jobs, in milliseconds. */
  readonly timeoutMs: number;
  /** Ends the waiting; the guest is draining all the same then. */
  readonly signal?: AbortSignal;
  /** Gets a sentence when there is something to say of how it goes; printable. */
  readonly say: (sentence: string) => void;
  /** Called when it is certain that no new job begins. */
  readonly told?: () => void;
}

/** What came of putting a guest back: it is back at work, or out of service all the same, by a person's wish. */
export type Undrained = "back" | "kept";

export interface WorkerKind {
  /**
   * From now on no new job begins; returns when none runs any more. Doing it again does no harm, and goes on where an earlier
   * one ended.
   *
   * @throws {UserError} `DRAIN_TIMEOUT`, `DRAIN_TAKEN_BACK` (somebody put it back meanwhile), `GUEST_OFF`, `GUEST_BUSY`, `WORKER_UNREACHABLE`
   * @throws the signal's reason when aborted
   */
  drain(guest: Guest, options: DrainOptions): Promise<void>;
  /**
   * Puts it back to work; also in the middle of a drain.
   *
   * @throws {UserError} `GUEST_OFF`, `GUEST_BUSY`, `WORKER_UNREACHABLE`
   */
  undrain(guest: Guest, by: Drainer): Promise<Undrained>;
  /** @throws {UserError} `WORKER_UNREACHABLE` */
  drainState(guest: Guest): Promise<DrainState>;
}

/** What a drain ends with that somebody takes back while it waits. */
export function takenBack(name: string): UserError {
  return new UserError("DRAIN_TAKEN_BACK", `The drain of ${name} was taken back while it waited.`, {
    exitCode: EXIT.conflict,
    hint: `Somebody ran 'bootshare undrain ${name}': it takes jobs again.`,
  });
}
