/** What guests do for others, as a roll-out needs to know it. */
import type { Guest } from "../guest/inventory.ts";
import { instancesOf, readWorker } from "../guest/worker.ts";
import { drain, drainState, undrain } from "./drain.ts";
import { type ObsState, type ObsStatus, obsStatus } from "./obs-status.ts";
import type { Duty, DutyLook } from "./upgrade-steps.ts";

/** States of a worker that takes part. */
const UP: ReadonlySet<ObsState> = new Set(["idle", "building", "away"]);

export const DUTY: Duty = {
  isActive: async (guest) => (await drainState(guest)) === "active",
  drain: async (guest, options) => await drain(guest, { ...options, by: "upgrade" }),
  undrain: async (guest) => await undrain(guest, "upgrade"),
  look: async (guest: Guest): Promise<DutyLook | undefined> => {
    const worker = readWorker(guest.paths);
    if (worker === undefined) return undefined;
    let status: ObsStatus;
    try {
      status = await obsStatus(worker);
    } catch {
      // The server is away: that says nothing of the guest.
      return undefined;
    }
    const own = instancesOf(worker).map(({ id }) => ({ id, ...status.get(id) }));
    return {
      up: own.every(({ state }) => state !== undefined && UP.has(state)),
      jobs: own.flatMap(({ id, job }) =>
        job === undefined ? [] : [`${id} ${job.project}/${job.package} ${job.arch} ${job.since ?? ""}`],
      ),
    };
  },
};
