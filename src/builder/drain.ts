/** Taking a guest out of service without losing what it is at, and putting it back: the same for every kind of worker. */
import { definitionOf, type Guest } from "../guest/inventory.ts";
import { readWorker } from "../guest/worker.ts";
import { BUILDER, BUILDER_ROLE } from "./builder-drain.ts";
import { OBS_WORKER } from "./obs-worker.ts";
import type { Drainer, DrainOptions, DrainState, Undrained, WorkerKind } from "./worker-kind.ts";

export type { DrainOptions, DrainState } from "./worker-kind.ts";

/** undefined for a guest without a role. @throws {UserError} `WORKER_UNREADABLE` */
async function kindOf(guest: Guest): Promise<WorkerKind | undefined> {
  if (readWorker(guest.paths) !== undefined) return OBS_WORKER;
  const { metadata } = await definitionOf(guest);
  return metadata?.role === BUILDER_ROLE ? BUILDER : undefined;
}

/**
 * Sees to it that the guest gets no new jobs, waits for those that run, and returns when it may be rebooted. It stays so, also
 * over reboots, until {@link undrain}. A guest without a role has no jobs: there is nothing to do.
 *
 * @returns false where there was nothing to drain, as the guest has no role
 * @throws {UserError} `DRAIN_TIMEOUT`, `DRAIN_TAKEN_BACK`, `GUEST_OFF`, `GUEST_BUSY`, `WORKER_UNREACHABLE`, `WORKER_UNREADABLE`
 * @throws the signal's reason when aborted
 */
export async function drain(guest: Guest, options: DrainOptions): Promise<boolean> {
  const kind = await kindOf(guest);
  await kind?.drain(guest, options);
  return kind !== undefined;
}

/**
 * Puts a guest back to work, also in the middle of a drain.
 *
 * @returns undefined where there was nothing to put back, as the guest has no role
 * @throws {UserError} `GUEST_OFF`, `GUEST_BUSY`, `WORKER_UNREACHABLE`, `WORKER_UNREADABLE`
 */
export async function undrain(guest: Guest, by: Drainer): Promise<Undrained | undefined> {
  return await (await kindOf(guest))?.undrain(guest, by);
}

/**
 * How far a guest's drain is; undefined for a guest without a role.
 *
 * @throws {UserError} `WORKER_UNREACHABLE`, `WORKER_UNREADABLE`
 */
export async function drainState(guest: Guest): Promise<DrainState | undefined> {
  return await (await kindOf(guest))?.drainState(guest);
}
