/** What was found, for people: a line each, and a sentence at the end. */
import { type Examined, usable } from "./examine.ts";

/** Width of the first column: the longest word and a space. */
const COLUMN = 8;

/** `ok`, `MISSING` (required), `note` (recommended), or `unknown` where it could not be looked at; the fix below it. */
export function linesOf({ title, ok, required, found, fix }: Examined): string[] {
  const word = ok === true ? "ok" : ok === null ? "unknown" : required ? "MISSING" : "note";
  const line = `${word.padEnd(COLUMN)}${title}: ${found}`;
  return fix === null ? [line] : [line, `${" ".repeat(COLUMN)}fix: ${fix}`];
}

/** The last line. @param arch Debian's name of the guests' architecture */
export function verdict(all: readonly Examined[], arch: string, root: boolean): string {
  const required = all.filter((one) => one.required);
  const missing = required.filter((one) => one.ok === false);
  const unseen = required.filter((one) => one.ok === null);
  switch (usable(all)) {
    case true:
      return `Usable: this machine can make and run ${arch} guests.`;
    case false:
      return `Not usable for ${arch} guests: ${count(missing.length)} missing.`;
    case null:
      return `Not known: ${count(unseen.length)} still to be looked at${root ? "" : "; run it as root"}.`;
  }
}

function count(requirements: number): string {
  return requirements === 1 ? "one requirement is" : `${requirements} requirements are`;
}
