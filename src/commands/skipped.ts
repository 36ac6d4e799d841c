/** What a choice of kernel passed over, as commands show it; a guest chose these texts. */
import type { Attempt } from "../boot/attempt.ts";
import { printable } from "../text.ts";

interface Skipped {
  readonly release: string;
  readonly reason: string;
}

/** The same, safe to show, as `--json` has it. */
export function skippedOf(skipped: readonly Skipped[]): Skipped[] {
  return skipped.map(({ release, reason }) => ({
    release: printable(release),
    reason: printable(reason, 500),
  }));
}

/** Sentences without a full stop, where an attempt boots a stored pair because what the share has would not do; else none. */
export function fallbackLines({ source, skipped }: Pick<Attempt, "source" | "skipped">): string[] {
  if (source !== "good" && source !== "provided") return [];
  return skippedOf(skipped).map(({ release, reason }) => `${release} was passed over: ${reason}`);
}

/** What is said of a guest whose boot is good: with which kernel, and why not with a better one. */
export function upLines(
  name: string,
  attempt: Pick<Attempt, "source" | "skipped" | "reported"> | undefined,
): string[] {
  const reported = printable(attempt?.reported ?? "?");
  return [`${name} is up with ${reported}.`, ...(attempt === undefined ? [] : fallbackLines(attempt))];
}
