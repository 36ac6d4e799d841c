/**
 * Guests that others are made from, and whose own making was cut short: whoever makes one leaves a mark in its folder until it is
 * whole, and off. One that is left with its mark is nobody's, so it is stopped, or made anew. One without is somebody's.
 */
import { existsSync, rmSync } from "node:fs";
import { replaceFile } from "../boot/replace-file.ts";
import type { GuestPaths } from "../paths.ts";
import { sourceFacts } from "./clone.ts";
import { type SourceFacts, sourceRefusal } from "./clone-source.ts";
import { deleteGuest } from "./delete.ts";
import { findGuest, type Guest, look } from "./inventory.ts";
import { stopGuest } from "./life.ts";
import { lockName } from "./name.ts";

/** How long it may take to shut down, in milliseconds. */
const SHUTDOWN_MS = 300_000;

/** Marks a guest that is being made. Nobody knows of it yet. */
export function markUnfinished({ unfinished }: Pick<GuestPaths, "unfinished">): void {
  replaceFile(unfinished, `${new Date().toISOString()}\n`);
}

/** Takes the mark away: it is whole, or a person has taken it up. */
export function clearUnfinished({ unfinished }: Pick<GuestPaths, "unfinished">): void {
  rmSync(unfinished, { force: true });
}

/** What a guest takes before others are made from it: `none` also where that is somebody's to do. */
export type Remedy = "none" | "stop" | "delete";

/**
 * Pure.
 *
 * @param nobodys no person has it in use, whatever it does
 */
export function remedyFor(facts: SourceFacts, nobodys: boolean): Remedy {
  if (!nobodys) return "none";
  // In a boot that was cut off from its making it may hang for ever: it is not asked to shut down.
  const off = sourceRefusal({ ...facts, state: "shut off", saved: false });
  if (off?.code === "SOURCE_NEVER_GOOD") return "delete";
  return facts.state === "shut off" ? "none" : "stop";
}

/**
 * Mends what a making that was cut short has left. The caller makes the guest ready alone (base-guest.ts), so no making of it goes on.
 *
 * @param guest as it is at this moment
 * @param ours it is nobody's also without the mark
 * @param say gets a line where something is done
 * @returns undefined where nothing could be made of it, and it was deleted
 * @throws {UserError} `STOP_TIMEOUT`; `NAME_TAKEN` where a `create` is making it
 */
export async function mended(
  guest: Guest,
  ours: boolean,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Guest | undefined> {
  const view = look(guest);
  const nobodys = ours || existsSync(guest.paths.unfinished);
  // Whether it has snapshots is for who clones it.
  switch (remedyFor(sourceFacts(view, []), nobodys)) {
    case "delete": {
      const unlock = lockName(guest.name);
      try {
        say(
          `No boot of ${guest.name} was ever good: its making was cut short. It is deleted, and made anew.`,
        );
        await deleteGuest(guest, true);
      } finally {
        unlock();
      }
      return undefined;
    }
    case "stop":
      say(`${guest.name} is ${view.status.state}: it is shut down.`);
      await stopGuest(guest, { force: false, timeoutMs: SHUTDOWN_MS, signal });
      clearUnfinished(guest.paths);
      return await findGuest(guest.uuid);
    case "none":
      if (nobodys) clearUnfinished(guest.paths);
      return guest;
  }
}
