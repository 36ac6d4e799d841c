/** A managed save that is restored calls the hook's *prepare* too, and is no boot: the note between the two phases. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { z } from "zod";
import type { GuestPaths } from "../paths.ts";
import { type Moment, presentMoment } from "./moment.ts";

/**
 * How long a restore may take from its *restore* phase to its *prepare* phase, in milliseconds. libvirt waits for nothing
 * between them.
 */
const RESTORE_WINDOW_MS = 120_000;

const noteSchema = z.object({ libvirtPid: z.string(), hostBoot: z.string(), m: z.number() });

/** Notes, in the *restore* phase, that the *prepare* which this libvirtd calls next is not a boot. */
export function noteRestore(
  paths: GuestPaths,
  libvirtPid: string,
  { hostBoot, m }: Moment = presentMoment(),
): void {
  writeFileSync(paths.restoring, JSON.stringify({ libvirtPid, hostBoot, m }), { mode: 0o600 });
}

/** Takes the note away, and says whether it was there and is to be believed. */
export function takeRestoreNote(
  paths: GuestPaths,
  libvirtPid: string,
  moment: Moment = presentMoment(),
): boolean {
  try {
    const note = noteSchema.parse(JSON.parse(readFileSync(paths.restoring, "utf8")));
    const age = moment.m - note.m;
    return (
      note.libvirtPid === libvirtPid &&
      note.hostBoot === moment.hostBoot &&
      age >= 0 &&
      age < RESTORE_WINDOW_MS
    );
  } catch {
    return false;
  } finally {
    rmSync(paths.restoring, { force: true });
  }
}
