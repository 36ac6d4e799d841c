/** Text that came from a guest, made harmless for a terminal, a log line, or a message. */
import { stripVTControlCharacters } from "node:util";

/**
 * Returns `text` with every control, format, surrogate, private and unassigned character, and every line and
 * paragraph separator, written as an escape (`\n`, `\x1b`, `\u202e`), cut to `limit` characters.
 *
 * Use it for every string that a guest may have chosen (file names and link text of the share, report lines, serial
 * output) before it reaches anything a person or a parser reads.
 */
export function printable(text: string, limit = 200): string {
  let out = "";
  for (const char of text) {
    if (out.length >= limit) return `${out}…`;
    out += /[\p{C}\p{Zl}\p{Zp}]|\\/u.test(char) ? escapeChar(char) : char;
  }
  return out;
}

/** A line of a program's output: its colours and cursor movements dropped, whatever else could act in a terminal escaped. */
export function stripForTerminal(line: string, limit = 2000): string {
  return printable(stripVTControlCharacters(line.replace(/\r+$/, "")), limit);
}

/** What is seen at last of a line that goes back to its begin and is drawn over, as a progress is. */
export function lastDrawn(line: string): string {
  return line.replace(/\r+$/, "").split("\r").at(-1) ?? "";
}

/** The first few of what may be many, and how many more there are. @param texts printable */
export function few(texts: readonly string[], shown = 3): string {
  const more = texts.length > shown ? ` and ${texts.length - shown} more` : "";
  return `${texts.slice(0, shown).join(", ")}${more}`;
}

function escapeChar(char: string): string {
  if (char === "\n") return "\\n";
  if (char === "\t") return "\\t";
  if (char === "\r") return "\\r";
  if (char === "\\") return "\\\\";
  const code = char.codePointAt(0) ?? 0;
  if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
  if (code < 0x10000) return `\\u${code.toString(16).padStart(4, "0")}`;
  return `\\u{${code.toString(16)}}`;
}

/** The last `count` lines of a text, each made printable: what a failed step shows of its log. */
export function lastLines(text: string, count = 12): string {
  return text
    .trimEnd()
    .split("\n")
    .slice(-count)
    .map((line) => printable(line, 300))
    .join("\n");
}
