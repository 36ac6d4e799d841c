/** What was found, for people: a line each, and a sentence at the end. */
import type { WorkMode } from "../mode.ts";
import { printable } from "../text.ts";
import { type Examined, usable } from "./examine.ts";

/** Width of the first column: the longest word and a space. */
const COLUMN = 8;

/** `ok`, `MISSING` (required), `note` (recommended), or `unknown` where it could not be looked at; the fix below it. */
export function linesOf({ title, ok, required, found, fix }: Examined): string[] {
  const word = ok === true ? "ok" : ok === null ? "unknown" : required ? "MISSING" : "note";
  const line = `${word.padEnd(COLUMN)}${title}: ${found}`;
  return fix === null ? [line] : [line, `${" ".repeat(COLUMN)}fix: ${fix}`];
}

/** The first line: whose guests this is about. */
export function subject({ name, uri, stateRoot }: WorkMode): string {
  const whose =
    name === "system" ? "Guests of this machine" : "Guests of this user alone, without root (session mode)";
  return `${whose}: libvirt at ${uri}, folders in ${printable(stateRoot)}.`;
}

/** The last line. @param arch Debian's name of the guests' architecture */
export function verdict(all: readonly Examined[], arch: string): string {
  const required = all.filter((one) => one.required);
  const missing = required.filter((one) => one.ok === false);
  const unseen = required.filter((one) => one.ok === null);
  switch (usable(all)) {
    case true:
      return `Usable: this machine can make and run ${arch} guests.`;
    case false:
      return `Not usable for ${arch} guests: ${count(missing.length)} missing.`;
    case null:
      return `Not known: ${count(unseen.length)} still to be looked at.`;
  }
}

function count(requirements: number): string {
  return requirements === 1 ? "one requirement is" : `${requirements} requirements are`;
}
