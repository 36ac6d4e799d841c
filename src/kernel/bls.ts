/** Reads entries of type 1 of the Boot Loader Specification (UAPI.1, version 1.0): `loader/entries/*.conf`. */
import { loaderLines } from "./loader-lines.ts";
import { compareVersions } from "./version.ts";

/** What an entry says. All of it is the guest's own text, unchecked and not safe to show as it is. */
export interface BlsEntry {
  /** The file's name without `.conf`; boot counters stay. */
  readonly id: string;
  /** From the boot counters in the file's name, `+LEFT` or `+LEFT-DONE`; undefined without. */
  readonly triesLeft: number | undefined;
  readonly title: string | undefined;
  readonly version: string | undefined;
  readonly machineId: string | undefined;
  readonly sortKey: string | undefined;
  /** A path from the top of the file system that the entry lies on. */
  readonly linux: string | undefined;
  readonly initrds: readonly string[];
  readonly options: string;
  readonly devicetree: string | undefined;
  /** In the words of EFI: `x64`, `AA64`, … */
  readonly architecture: string | undefined;
}

export type BlsResult =
  | { readonly ok: true; readonly entry: BlsEntry }
  /** A phrase that follows the file's name. Safe to show. */
  | { readonly ok: false; readonly reason: string };

const SUFFIX = ".conf";
/** More digits than any loader writes are no counter. */
const COUNTERS = /\+([0-9]{1,9})(?:-[0-9]{1,9})?$/;

/** Whether a file of `loader/entries` is an entry by its name. */
export function isBlsName(name: string): boolean {
  return name.length > SUFFIX.length && name.endsWith(SUFFIX);
}

/**
 * Reads one entry. `initrd` and `options` may stand there several times and add up; of any other key that does, the last
 * counts. Keys that are not known are passed over.
 *
 * @param name the file's name
 * @param file the whole file. Not trusted: any bytes give a result, and nothing throws
 */
export function parseBls(name: string, file: Uint8Array): BlsResult {
  const read = loaderLines(file);
  if (!read.ok) return read;
  const values = new Map<string, string[]>();
  for (const [key, value] of read.lines) {
    const all = values.get(key) ?? [];
    if (value !== "") all.push(value);
    values.set(key, all);
  }
  const last = (key: string): string | undefined => values.get(key)?.at(-1);
  const id = name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : name;
  const tries = COUNTERS.exec(id)?.[1];
  return {
    ok: true,
    entry: {
      id,
      triesLeft: tries === undefined ? undefined : Number(tries),
      title: last("title"),
      version: last("version"),
      machineId: last("machine-id"),
      sortKey: last("sort-key"),
      linux: last("linux"),
      initrds: values.get("initrd") ?? [],
      options: (values.get("options") ?? []).join(" "),
      devicetree: last("devicetree"),
      architecture: last("architecture"),
    },
  };
}

/**
 * The order of the specification's section Sorting, best first: those without tries left last; by sort-key, machine-id
 * and version, newest first, where both have a sort-key; those with one before those without; the file name.
 *
 * Versions compare as dpkg does it, not by the specification's own order (UAPI.10): one order everywhere is worth more here
 * than agreement on names that Debian's kernels do not have.
 */
export function compareBls(a: BlsEntry, b: BlsEntry): number {
  return (
    Number(a.triesLeft === 0) - Number(b.triesLeft === 0) ||
    Number(a.sortKey === undefined) - Number(b.sortKey === undefined) ||
    (a.sortKey === undefined ? 0 : compareKeys(a, b)) ||
    compareVersions(b.id, a.id) ||
    compareText(a.id, b.id)
  );
}

function compareKeys(a: BlsEntry, b: BlsEntry): number {
  return (
    compareText(a.sortKey, b.sortKey) ||
    compareText(a.machineId, b.machineId) ||
    compareVersions(b.version ?? "", a.version ?? "")
  );
}

/** As strcmp(3) on UTF-8; what is not there comes first. */
function compareText(a = "", b = ""): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
