/**
 * Debian's control files: .dsc, .changes (deb-src-control(5), dsc(5), deb-changes(5)). Pure. A .changes comes from a guest: what
 * it names is only to be believed as far as it is checked here.
 */
import { UserError } from "../errors.ts";
import { printable } from "../text.ts";

/** Larger ones are refused; linux's own .changes has some 100 KiB. */
export const MAX_CONTROL_BYTES = 1024 * 1024;
/** Files of one .changes at most. */
const MAX_FILES = 2000;

/** The fields of one paragraph, by their names in lower case. Lines of a field are joined by a line feed, without indent. */
export type Fields = ReadonlyMap<string, string>;

/** A file that a control file names, with what it says of it. */
export interface ListedFile {
  /** A plain name: no folder, nothing that a shell or a terminal would take for anything else. */
  readonly name: string;
  readonly size: number;
  /** Lower case, hexadecimal. */
  readonly sha256: string;
}

/**
 * Reads the first paragraph. A signature around it is left out, and not checked.
 *
 * @returns undefined where the text is no control file
 */
export function parseControl(text: string): Fields | undefined {
  const fields = new Map<string, string>();
  let name = "";
  for (const line of bodyOf(text).split("\n")) {
    if (line.startsWith("#")) continue;
    if (/^[ \t]*$/.test(line)) {
      if (fields.size > 0) break;
      continue;
    }
    const continued = /^[ \t]+(.*)$/.exec(line)?.[1];
    if (continued !== undefined) {
      if (name === "") return undefined;
      fields.set(name, `${fields.get(name) ?? ""}\n${continued.trimEnd()}`);
      continue;
    }
    const [, key, value] = /^([!-9;-~]+):[ \t]*(.*)$/.exec(line) ?? [];
    if (key === undefined || value === undefined) return undefined;
    name = key.toLowerCase();
    if (fields.has(name)) return undefined;
    fields.set(name, value.trimEnd());
  }
  return fields.size > 0 ? fields : undefined;
}

/** The text between the lines of a clear-signed message (RFC 9580, 7), or all of it. */
function bodyOf(text: string): string {
  const lines = text.replaceAll("\r\n", "\n");
  if (!lines.startsWith("-----BEGIN PGP SIGNED MESSAGE-----\n")) return lines;
  const start = lines.indexOf("\n\n");
  const end = lines.indexOf("\n-----BEGIN PGP SIGNATURE-----");
  return start < 0 || end < start ? "" : lines.slice(start + 2, end);
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9.+~_-]{0,254}$/;

/** The files of `Checksums-Sha256`; undefined where there are none, or one of its lines is not as it should be. */
export function listedFiles(fields: Fields): readonly ListedFile[] | undefined {
  const lines = (fields.get("checksums-sha256") ?? "").split("\n").filter((line) => line.trim() !== "");
  if (lines.length === 0 || lines.length > MAX_FILES) return undefined;
  const files: ListedFile[] = [];
  for (const line of lines) {
    const [, sha256 = "", size = "", name = ""] =
      /^([0-9a-f]{64}) +(\d{1,15}) +(\S+)$/.exec(line.trim()) ?? [];
    if (!NAME.test(name) || files.some((file) => file.name === name)) return undefined;
    files.push({ name, size: Number(size), sha256 });
  }
  return files;
}

/** Debian policy 5.6.1 and 5.6.12. */
export const SOURCE_NAME = /^[a-z0-9][a-z0-9+.-]+$/;
export const VERSION_TEXT = /^(?:\d+:)?\d[A-Za-z0-9.+~-]*$/;

export interface SourcePackage {
  readonly name: string;
  /** With its epoch. */
  readonly version: string;
}

/** The name and version of a .dsc; undefined where it has none that are valid. */
export function sourcePackage(fields: Fields): SourcePackage | undefined {
  return valid(fields.get("source") ?? "", fields.get("version") ?? "");
}

/** The name and version of the newest entry of a debian/changelog (deb-changelog(5)). */
export function changelogPackage(text: string): SourcePackage | undefined {
  const first = text.split("\n").find((line) => line.trim() !== "") ?? "";
  const [, name = "", version = ""] = /^(\S+) \(([^()\s]+)\)(?: [-+0-9A-Za-z.]+)+;/.exec(first) ?? [];
  return valid(name, version);
}

function valid(name: string, version: string): SourcePackage | undefined {
  return SOURCE_NAME.test(name) && VERSION_TEXT.test(version) ? { name, version } : undefined;
}

/** The version as it stands in file names: without its epoch. */
export function fileVersion(version: string): string {
  return version.replace(/^\d+:/, "");
}

/** The version of the upstream tarballs: without epoch and Debian revision. */
export function upstreamVersion(version: string): string {
  return fileVersion(version).replace(/-[^-]*$/, "");
}

/** The error for a control file that cannot be used. */
export function controlInvalid(file: string, why: string): UserError {
  return new UserError("CONTROL_INVALID", `${printable(file)} cannot be used: ${why}.`);
}
