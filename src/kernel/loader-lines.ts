/** The lines of a boot loader's configuration: a key, white space, a value. */
import { utf8 } from "./bytes.ts";
import { LOADER_FILE_MAX_BYTES } from "./limits.ts";

export type LoaderLines =
  | { readonly ok: true; readonly lines: readonly (readonly [key: string, value: string])[] }
  /** A phrase that follows the file's name. Safe to show. */
  | { readonly ok: false; readonly reason: string };

/**
 * Splits a file into keys and values, without white space around them; a value may be empty. Empty lines and those that
 * begin with "#" are left out.
 *
 * @param file the whole file. Not trusted: any bytes give a result, nothing throws, and time grows with the length alone
 */
export function loaderLines(file: Uint8Array): LoaderLines {
  if (file.length > LOADER_FILE_MAX_BYTES)
    return { ok: false, reason: `is larger than ${LOADER_FILE_MAX_BYTES / 1024} KiB` };
  const text = utf8(file);
  if (text === undefined) return { ok: false, reason: "is not UTF-8 text" };
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line): [string, string] => {
      const end = line.search(/[ \t]/);
      return end < 0 ? [line, ""] : [line.slice(0, end), line.slice(end).trim()];
    });
  return { ok: true, lines };
}
