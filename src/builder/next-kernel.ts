/**
 * What an upgrade of a guest's packages means for its next boot, as the host decides: never by what the guest says it
 * installed. Pure.
 */
import type { Attempt } from "../boot/attempt.ts";
import { type Candidate, isOfShare, type Selection } from "../boot/select.ts";
import type { BootState } from "../boot/state.ts";
import { compareVersions } from "../kernel/version.ts";
import { printable } from "../text.ts";
import type { Expected } from "./upgrade-plan.ts";

type Known = Pick<BootState, "pairsOfFiles">;

/** What would boot next, by what it is known again by; undefined where nothing can be booted. */
export function nextOf({
  candidates,
  reshape,
}: Pick<Selection, "candidates" | "reshape">): Expected | undefined {
  const next: Candidate | undefined = reshape?.candidate ?? candidates[0];
  if (next === undefined) return undefined;
  const what = { release: printable(next.release), source: next.source };
  return isOfShare(next) ? { ...what, files: next.files } : { ...what, pair: next.pair.id };
}

/** Whether these are the bytes that the expected ones are; unknown ones are not. */
function isPair(expected: Expected, id: string, { pairsOfFiles }: Known): boolean {
  return (
    id === (expected.pair ?? (expected.files === undefined ? undefined : pairsOfFiles.get(expected.files)))
  );
}

/** Whether a reboot would bring something else than what runs. */
export function isWaiting(next: Expected | undefined, running: Pick<Attempt, "pair">, known: Known): boolean {
  return next !== undefined && !isPair(next, running.pair.id, known);
}

/**
 * Whether a boot is that of the pair that was to boot. A guest that has made its initrd once more in the meantime boots other
 * bytes, of the same release and by the same rule: that counts.
 */
export function isExpected(
  expected: Expected,
  booted: Pick<Attempt, "pair" | "source">,
  known: Known,
): boolean {
  if (isPair(expected, booted.pair.id, known)) return true;
  const { source, pair } = booted;
  const stored = source === "good" || source === "provided";
  return !stored && source === expected.source && printable(pair.release) === expected.release;
}

/** A kernel that should boot next and will not, with the reason: a phrase. Printable. */
export interface PassedOver {
  readonly release: string;
  readonly reason: string;
}

/**
 * The kernel that was passed over for an older one, where that is so. What a pin, or what Debian's links name, goes before is
 * not passed over: that is how the guest is meant to be.
 *
 * @param linked the release that Debian's links name
 */
export function passedOver(
  { candidates, reshape, skipped }: Selection,
  linked: string | undefined,
): PassedOver | undefined {
  const next = reshape?.candidate ?? candidates[0];
  if (next !== undefined && (next.source === "links" || next.source === "pin")) return undefined;
  const found = skipped.find(({ release }) => {
    if (next === undefined || release === linked) return true;
    // What stands for something without a release: "(share)", "(links)".
    if (release.startsWith("(")) return next.source === "good";
    const order = compareVersions(release, next.release);
    return order > 0 || (order === 0 && next.source === "good");
  });
  if (found === undefined) return undefined;
  return { release: printable(found.release), reason: printable(found.reason, 500) };
}
