/**
 * Starting a guest whose disk has filled up: staging needs space for a copy, and what the last start staged takes just that
 * much.
 */
import { rmSync } from "node:fs";
import type { GuestPaths } from "../paths.ts";
import { isOutOfSpace, onDisk } from "./disk.ts";
import { neededPairs } from "./kept-pairs.ts";
import { readState } from "./log.ts";
import { policyForStart } from "./policy.ts";
import { removeOldReports } from "./report.ts";
import { prunePairs } from "./stage.ts";

/** The first time makes room for the copies; the second, should it still be short of a block, for the record of the start. */
const TIMES = 2;

/**
 * Does something that needs space on a guest's disk; where there is none, removes what the guest can do without, and tries
 * again. Called in *prepare* alone: the domain is off then, and nobody else reads or writes run/.
 *
 * @param act may be done anew after it failed at any point
 * @throws {UserError} what {@link onDisk} throws; everything else as it is
 */
export function withRoom<T>(paths: GuestPaths, act: () => T): T {
  for (let times = 0; ; times++) {
    try {
      return onDisk(paths.dir, act);
    } catch (error) {
      if (!isOutOfSpace(error) || times === TIMES) throw error;
      onDisk(paths.dir, () => makeRoom(paths));
    }
  }
}

/**
 * Removes what the last start staged, which this one replaces; pairs that nothing falls back to; and reports and consoles of
 * earlier boots, which are there to be read by a person. A crash after it costs nothing: every start stages anew, from the store.
 */
function makeRoom(paths: GuestPaths): void {
  for (const file of [paths.runKernel, paths.runInitrd]) rmSync(file, { force: true });
  removeOldReports(paths);
  rmSync(paths.badLogs, { recursive: true, force: true });
  prunePairs(paths, neededPairs(policyForStart(paths).policy, readState(paths)));
}
