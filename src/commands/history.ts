import { z } from "zod";
import { assessAttempt } from "../boot/assess.ts";
import type { Attempt } from "../boot/attempt.ts";
import { findGuest, look } from "../guest/inventory.ts";
import { describeLayout } from "../kernel/features.ts";
import { printable } from "../text.ts";
import { defineCommand, JSON_OPTION } from "./command.ts";
import { duration, localTime, printJson, printLines, table } from "./output.ts";
import { skippedOf } from "./skipped.ts";

export const history = defineCommand({
  name: "history",
  summary: "boot attempts: which kernel, why it was chosen, what came of it",
  about:
    "Boot attempts, oldest first: when each was asked for and by whom, which kernel it got and why, how long until the kernel reported and until the boot was good, and how it ended.",
  arguments: [["<name>", "name or UUID of the guest"]],
  options: [
    { flags: "-n, --last <count>", text: "only the last so many attempts" },
    { flags: "-v, --verbose", text: "why each kernel was chosen, and what was passed over" },
    JSON_OPTION,
  ],
  schema: z.object({
    last: z.coerce.number().int().positive().optional(),
    verbose: z.boolean().default(false),
    json: z.boolean().default(false),
  }),
  action: async ([name = ""], options) => {
    const view = look(await findGuest(name));
    const attempts = view.state.attempts.slice(options.last === undefined ? 0 : -options.last);
    if (options.json) {
      printJson(attempts.map(attemptDocument));
      return undefined;
    }
    if (attempts.length === 0) {
      printLines([`${printable(view.name)} has never been started.`]);
      return undefined;
    }
    const rows = attempts.map((attempt) => [
      localTime(attempt.asked),
      printable(attempt.pair.release),
      ASSESSED[assessAttempt(attempt)],
      phase(attempt.asked, attempt.up),
      phase(attempt.asked, attempt.good),
      outcome(attempt),
    ]);
    const lines = table([["ASKED FOR", "KERNEL", "BOOT", "UP", "GOOD", "ENDED"], ...rows]);
    if (!options.verbose) printLines(lines);
    else {
      printLines(lines.slice(0, 1));
      attempts.forEach((attempt, i) => {
        const skipped = skippedOf(attempt.skipped).map(
          ({ release, reason }) => `    passed over ${release}: ${reason}`,
        );
        printLines([
          lines[i + 1] ?? "",
          ...reshapeLines(attempt),
          `    asked for by ${attempt.askedBy}; chosen: ${printable(attempt.why, 300)}`,
          ...skipped,
        ]);
      });
    }
    return undefined;
  },
});

/** Under way, or cut short by others: in a table that is nothing yet. */
const ASSESSED = { good: "good", bad: "bad", indeterminate: "-" } as const;

function phase(from: string, to: string | undefined): string {
  return to === undefined ? "-" : duration(from, to);
}

function outcome({ good, ended, how, prepared }: Attempt): string {
  if (ended === undefined) return "-";
  return `${how ?? "?"} after ${duration(good ?? prepared, ended)}`;
}

function reshapeLines({ reshaped }: Attempt): string[] {
  if (reshaped === undefined) return [];
  const { release, why } = reshaped;
  return [`    changed the machine first: ${printable(release)} ${printable(why, 500)}`];
}

function attemptDocument(attempt: Attempt) {
  return {
    id: attempt.id,
    asked: attempt.asked,
    askedBy: attempt.askedBy,
    prepared: attempt.prepared,
    started: attempt.started ?? null,
    up: attempt.up ?? null,
    good: attempt.good ?? null,
    ended: attempt.ended ?? null,
    how: attempt.how ?? null,
    assessment: assessAttempt(attempt),
    timeout: attempt.timeout ?? null,
    kernel: printable(attempt.pair.release),
    pair: attempt.pair.id,
    source: attempt.source,
    why: printable(attempt.why, 300),
    reshaped:
      attempt.reshaped === undefined
        ? null
        : {
            at: attempt.reshaped.t,
            layout: describeLayout(attempt.reshaped.to),
            release: printable(attempt.reshaped.release),
            why: printable(attempt.reshaped.why, 500),
          },
    reported: attempt.reported === undefined ? null : printable(attempt.reported),
    skipped: skippedOf(attempt.skipped),
  };
}
