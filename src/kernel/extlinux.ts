/**
 * Reads `extlinux.conf`, as Debian's u-boot-menu writes it and U-Boot (doc/README.pxe) and SYSLINUX read it: the few
 * keywords that say what would be booted.
 */
import { MAX_LOADER_ENTRIES } from "./limits.ts";
import { loaderLines } from "./loader-lines.ts";

/** What stands below a label. All of it is the guest's own text, unchecked and not safe to show as it is. */
export interface ExtlinuxEntry {
  readonly label: string;
  /** MENU LABEL, without the mark of its hot key. */
  readonly title: string | undefined;
  /** LINUX or KERNEL: a path. */
  readonly linux: string | undefined;
  readonly initrds: readonly string[];
  /** APPEND. */
  readonly options: string;
  /** FDT or DEVICETREE. */
  readonly devicetree: string | undefined;
}

export type ExtlinuxResult =
  /** The default first, the others in the file's order. */
  | { readonly ok: true; readonly entries: readonly ExtlinuxEntry[] }
  /** A phrase that follows the file's name. Safe to show. */
  | { readonly ok: false; readonly reason: string };

/**
 * Reads the labels of an extlinux.conf. Keywords may be in capitals or not; of one that stands there twice, the last
 * counts. INCLUDE is not followed. Without a DEFAULT, or with one that names no label, the first label is the default.
 *
 * @param file the whole file. Not trusted: any bytes give a result, and nothing throws
 */
export function parseExtlinux(file: Uint8Array): ExtlinuxResult {
  const read = loaderLines(file);
  if (!read.ok) return read;
  let preferred: string | undefined;
  let helpText = false;
  const labels: { label: string; values: Map<string, string> }[] = [];
  for (const [keyword, value] of read.lines) {
    const key = keyword.toLowerCase();
    // Between TEXT HELP and ENDTEXT stand sentences for people.
    if (helpText) helpText = key !== "endtext";
    else if (key === "text") helpText = true;
    else if (key === "default") preferred = value;
    else if (key === "label") labels.push({ label: value, values: new Map() });
    else if (key === "menu" && /^label[ \t]/i.test(value))
      labels.at(-1)?.values.set("title", value.slice("label".length).trim().replace("^", ""));
    else labels.at(-1)?.values.set(key === "kernel" ? "linux" : key, value);
    if (labels.length > MAX_LOADER_ENTRIES)
      return { ok: false, reason: `has more than ${MAX_LOADER_ENTRIES} labels` };
  }
  const entries = labels.map(({ label, values }) => entryOf(label, values));
  const first = entries.find(({ label }) => label === preferred);
  return {
    ok: true,
    entries: first === undefined ? entries : [first, ...entries.filter((one) => one !== first)],
  };
}

function entryOf(label: string, values: ReadonlyMap<string, string>): ExtlinuxEntry {
  return {
    label,
    title: values.get("title"),
    linux: values.get("linux"),
    initrds: (values.get("initrd") ?? "").split(",").filter((path) => path !== ""),
    options: values.get("append") ?? "",
    devicetree: values.get("fdt") ?? values.get("devicetree"),
  };
}
