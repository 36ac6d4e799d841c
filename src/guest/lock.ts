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
  return await patiently(guest.paths.lock, waitMs, `changing the guest ${guest.name}`, act);
}

/** How long a drain may take to tell a guest, in milliseconds: it may be emulated, and have many workers. */
const DRAIN_WAIT_MS = 120_000;

/** Drains a guest, or puts it back, while nothing else does. @throws {UserError} `GUEST_BUSY` */
export async function withDrainLock<T>(
  { name, paths }: Pick<Guest, "name" | "paths">,
  act: () => Promise<T>,
): Promise<T> {
  return await patiently(
    paths.drainLock,
    DRAIN_WAIT_MS,
    `draining the guest ${name}, or putting it back,`,
    act,
  );
}

/** Adopts a domain, or gives one back, while nothing else does. @throws {UserError} `GUEST_BUSY` */
export async function withAdoptLock<T>(act: () => Promise<T>): Promise<T> {
  const { root, adoptLock } = statePaths();
  makeStateFolder(root);
  return await patiently(adoptLock, LOCK_WAIT_MS, "adopting a domain", act);
}

async function patiently<T>(file: string, waitMs: number, what: string, act: () => Promise<T>): Promise<T> {
  const until = Date.now() + waitMs;
  const wait = async (): Promise<void> => {
    if (Date.now() >= until) {
      throw new UserError("GUEST_BUSY", `Another command is ${what} at this moment.`, {
        exitCode: EXIT.conflict,
        hint: "Wait for it to finish, and try again.",
      });
    }
    await sleep(200);
  };
  return await withLock(file, wait, act);
}

/**
 * Does something that only one process at a time may. The lock goes with the process, however it ends.
 *
 * @param file is made, and stays: who removed it would take it from somebody who waits
 * @param whileTaken called again and again while another process has it: waits for a while, or throws
 */
export async function withLock<T>(
  file: string,
  whileTaken: () => Promise<void>,
  act: () => Promise<T>,
): Promise<T> {
  const fd = openSync(file, "a", 0o600);
  try {
    while (!tryLock(fd)) await whileTaken();
    return await act();
  } finally {
    closeSync(fd);
  }
}
