/** What a guest has for a boot loader of its own, as `kernels` and `inspect` show it. */
import type { Catalogue } from "../kernel/catalogue.ts";
import { printable } from "../text.ts";

/** For `--help`. */
export const ENTRIES_HELP =
  "Entries for a boot loader of the guest's own (loader/entries/*.conf, extlinux/extlinux.conf) are shown with their options, which are never obeyed.";

/** A whole command line of the kernel, which is 4 KiB at most. */
const OPTIONS_SHOWN = 4096;

export interface EntryRow {
  readonly file: string;
  readonly label: string | null;
  readonly title: string | null;
  readonly version: string | null;
  readonly kernel: string | null;
  readonly initrd: string | null;
  /** Never obeyed. */
  readonly options: string;
  readonly devicetree: string | null;
  readonly architecture: string | null;
  /** The one that a boot loader would take. */
  readonly default: boolean;
  readonly problem: string | null;
}

/** The entries as `--json` shows them, the most preferred first; every text printable. */
export function entryRows(catalogue: Catalogue | undefined): EntryRow[] {
  const { entries = [], preferred } = catalogue?.loader ?? {};
  return entries.map((entry) => ({
    file: printable(entry.file, 300),
    label: shown(entry.label),
    title: shown(entry.title),
    version: shown(entry.version),
    kernel: shown(entry.kernel, 300),
    initrd: shown(entry.initrd, 300),
    options: printable(entry.options, OPTIONS_SHOWN),
    devicetree: shown(entry.devicetree),
    architecture: shown(entry.architecture),
    default: entry === preferred,
    problem: shown(entry.problem, 500),
  }));
}

function shown(text: string | undefined, limit?: number): string | null {
  return text === undefined ? null : printable(text, limit);
}

/** Two lines for each entry: what it names, and its options. */
export function entryLines(rows: readonly EntryRow[]): string[] {
  return rows.flatMap((row) => {
    const name = row.label === null ? row.file : `${row.file}, label ${row.label}`;
    const pair = row.kernel === null || row.initrd === null ? "?" : `${row.kernel}, ${row.initrd}`;
    const remarks = [row.default ? "default" : null, row.problem].filter((text) => text !== null);
    const remark = remarks.length === 0 ? "" : `  (${remarks.join("; ")})`;
    const options = row.options === "" ? [] : [`  options, not obeyed: ${row.options}`];
    return [`${name} -> ${pair}${remark}`, ...options];
  });
}
