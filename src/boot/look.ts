/** Writes down what a look at a guest tells that its events do not hold yet. */
import type { GuestPaths } from "../paths.ts";
import { appendEvents, readState } from "./log.ts";
import type { Moment } from "./moment.ts";
import { type DomainStatus, observe } from "./observe.ts";
import { type BootReport, readReport } from "./report.ts";
import { keepSerialLog } from "./serial-log.ts";
import type { BootState } from "./state.ts";

/**
 * Reads the report, and appends what it and the domain's state tell. Anybody may look at any time; the same thing seen
 * again adds nothing.
 */
export function recordLook(
  paths: GuestPaths,
  status: DomainStatus,
  moment: Moment,
): { readonly report: BootReport; readonly state: BootState } {
  const before = readState(paths);
  const report = readReport(paths);
  const found = observe(before, report, status, moment);
  if (found.length === 0) return { report, state: before };
  for (const { event, at } of found) {
    // Before the event: whoever is killed between the two does both at the next look.
    if (event.e === "end" && !found.some(({ event: { e } }) => e === "good")) keepIfPossible(paths, before);
    appendEvents(paths, [event], at);
  }
  return { report, state: readState(paths) };
}

/** A console is kept for people to read; what it cost to keep it must not cost the record, or the next start. */
function keepIfPossible(paths: GuestPaths, state: BootState): void {
  try {
    keepSerialLog(paths, state);
  } catch {
    // A full disk, or one that fails: the record says so.
  }
}
