/** The record of a roll-out on disk: one file, written anew each time; one process at a time carries it out. */
import { closeSync, openSync, readFileSync } from "node:fs";
import { replaceFile } from "../boot/replace-file.ts";
import { EXIT, errnoOf, UserError } from "../errors.ts";
import { makeStateFolder } from "../folders.ts";
import { withLock } from "../guest/lock.ts";
import { type StatePaths, statePaths } from "../paths.ts";
import { tryLock } from "../process.ts";
import { type Rollout, rolloutSchema } from "./upgrade-plan.ts";

type Places = Pick<StatePaths, "root" | "upgrade" | "upgradeLock">;

/** The roll-out that is under way or was the last. @throws {UserError} `UPGRADE_UNREADABLE` */
export function readRollout(paths: Places = statePaths()): Rollout | undefined {
  try {
    return rolloutSchema.parse(JSON.parse(readFileSync(paths.upgrade, "utf8")));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw new UserError(
      "UPGRADE_UNREADABLE",
      `The file ${paths.upgrade} is not the record of an upgrade that this version understands.`,
      {
        hint: "Remove it: the next upgrade begins anew. Workers that it had drained stay so until 'bootshare undrain NAME'.",
        cause: error,
      },
    );
  }
}

export function writeRollout(rollout: Rollout, paths: Places = statePaths()): void {
  replaceFile(paths.upgrade, `${JSON.stringify(rollout, null, 2)}\n`);
}

/** Whether a process carries out a roll-out now. */
export function isRolloutRunning(paths: Places = statePaths()): boolean {
  makeStateFolder(paths.root);
  const fd = openSync(paths.upgradeLock, "a", 0o600);
  try {
    return !tryLock(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Does something that only one process at a time may. The lock goes with the process, however it ends.
 *
 * @throws {UserError} `UPGRADE_RUNNING`
 */
export async function withRolloutLock<T>(act: () => Promise<T>, paths: Places = statePaths()): Promise<T> {
  makeStateFolder(paths.root);
  const refuse = async (): Promise<never> => {
    throw new UserError("UPGRADE_RUNNING", "Another 'bootshare upgrade' is under way on this machine.", {
      exitCode: EXIT.conflict,
      hint: "'bootshare upgrade --status' shows how far it is.",
    });
  };
  return await withLock(paths.upgradeLock, refuse, act);
}
