/** One at a time: a person's command and the reconciler do not change the same guest at once. */
import { closeSync, openSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { EXIT, UserError } from "../errors.ts";
import { makeStateFolder } from "../folders.ts";
import { statePaths } from "../paths.ts";
import { tryLock } from "../process.ts";
import type { Guest } from "./inventory.ts";

/** How long a command waits for another one that changes the same guest, in milliseconds. */
export const LOCK_WAIT_MS = 30_000;

/**
 * Does something to a guest that nothing else may do at the same time. The lock goes with the process, however it ends.
 *
 * @param waitMs how long to wait for another holder, in milliseconds
 * @throws {UserError} `GUEST_BUSY` when the wait was in vain
 */
export async function withGuestLock<T>(
  guest: Pick<Guest, "name" | "paths">,
  waitMs: number,
  act: () => Promise<T>,
): Promise<T> {
  return await withLock(guest.paths.lock, waitMs, `changing the guest ${guest.name}`, act);
}

/** Adopts a domain, or gives one back, while nothing else does. @throws {UserError} `GUEST_BUSY` */
export async function withAdoptLock<T>(act: () => Promise<T>): Promise<T> {
  const { root, adoptLock } = statePaths();
  makeStateFolder(root);
  return await withLock(adoptLock, LOCK_WAIT_MS, "adopting a domain", act);
}

async function withLock<T>(file: string, waitMs: number, what: string, act: () => Promise<T>): Promise<T> {
  const fd = openSync(file, "a", 0o600);
  try {
    const until = Date.now() + waitMs;
    while (!tryLock(fd)) {
      if (Date.now() >= until) {
        throw new UserError("GUEST_BUSY", `Another command is ${what} at this moment.`, {
          exitCode: EXIT.conflict,
          hint: "Wait for it to finish, and try again.",
        });
      }
      await sleep(200);
    }
    return await act();
  } finally {
    closeSync(fd);
  }
}
