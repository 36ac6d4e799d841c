/** What bootshare can do with a guest that builds for somebody else, whoever that is. Each kind is a file of this folder. */
import type { Guest } from "../guest/inventory.ts";

/**
 * - `active`: takes jobs.
 * - `draining`: takes no new ones, and finishes what it has.
 * - `drained`: has nothing to do and will get nothing, also after a reboot, until it is put back.
 */
export type DrainState = "active" | "draining" | "drained";

export interface DrainOptions {
  /** How long to wait for running jobs, in milliseconds. */
  readonly timeoutMs: number;
  /** Ends the waiting; the guest is draining all the same then. */
  readonly signal?: AbortSignal;
  /** Gets a sentence when there is something to say of how it goes; printable. */
  readonly say: (sentence: string) => void;
}

export interface WorkerKind {
  /**
   * From now on no new job begins; returns when none runs any more. Doing it again does no harm, and goes on where an earlier
   * one ended.
   *
   * @throws {UserError} `DRAIN_TIMEOUT`, `GUEST_OFF`, `WORKER_UNREACHABLE`
   * @throws the signal's reason when aborted
   */
  drain(guest: Guest, options: DrainOptions): Promise<void>;
  /** Puts it back to work; also in the middle of a drain. @throws {UserError} `GUEST_OFF`, `WORKER_UNREACHABLE` */
  undrain(guest: Guest): Promise<void>;
  /** @throws {UserError} `WORKER_UNREACHABLE` */
  drainState(guest: Guest): Promise<DrainState>;
}
