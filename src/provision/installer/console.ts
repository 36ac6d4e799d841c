/**
 * What Debian's installer says on its console: its log, as syslogd writes it, and whatever its text frontend prints. It is another
 * machine's word: bounded, and printable. Pure.
 */
import { lastDrawn, stripForTerminal } from "../../text.ts";

export type InstallerEvent =
  /** It began with an item of its menu. */
  | { readonly kind: "step"; readonly item: string }
  /** A line to show. */
  | { readonly kind: "line"; readonly line: string }
  /** An item of its menu failed. */
  | { readonly kind: "failed"; readonly item: string }
  /** It waits for an answer. */
  | { readonly kind: "question" }
  /** Its mirror has no modules for its kernel. */
  | { readonly kind: "no-modules"; readonly release: string }
  /** Its kernel gave up. */
  | { readonly kind: "panic" };

/** Longest line that is looked at, in characters. */
const MAX_LINE = 2000;
/** So many lines are kept for whoever wants to know what went wrong. */
const KEPT_LINES = 25;

/** What is printed by the text frontend of cdebconf while it waits (cdebconf, src/modules/frontend/text/text.c). */
const PROMPT = /(?:Prompt: '.' for help[^\n]*> |\[Press enter to continue\] ?)$/;

/** A line of syslogd's, or of the kernel's: those go on whatever the frontend does. */
const LOGGED = /^(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d |\[ *\d+\.\d+\] )/;

/** Menu items, which are named after packages, in words. */
const ITEMS: Readonly<Record<string, string>> = {
  localechooser: "language",
  "console-setup-udeb": "keyboard",
  ethdetect: "finding the network device",
  netcfg: "setting up the network",
  "choose-mirror": "asking the mirror",
  "download-installer": "fetching the installer's parts",
  "user-setup-udeb": "users",
  "clock-setup": "clock",
  "disk-detect": "finding the disk",
  "partman-base": "partitioning",
  "bootstrap-base": "installing the base system",
  "apt-setup-udeb": "setting up apt",
  pkgsel: "installing packages",
  nobootloader: "no boot loader",
  "finish-install": "finishing",
};

/** The name of a menu item for people. @param item not trusted */
export function stepName(item: string): string {
  return Object.hasOwn(ITEMS, item) ? (ITEMS[item] ?? item) : item;
}

/** Reads the console as it grows. */
export class InstallerConsole {
  #partial = "";
  #asked = false;
  #mayWait = false;
  #stepsSince = 0;
  readonly #last: string[] = [];

  /** The last lines, printable, the newest at the end. */
  get lastLines(): string {
    const partial = clean(this.#partial);
    return [...this.#last, ...(partial === "" ? [] : [partial])].join("\n");
  }

  /**
   * The last that its frontend printed ends as a question for a password does, which has no sign of its own: where nothing more comes,
   * it waits for one.
   */
  get mayWait(): boolean {
    return (this.#mayWait && this.#stepsSince < 2) || /: ?$/.test(clean(this.#partial, ""));
  }

  /** @param text what came next; not trusted */
  feed(text: string): InstallerEvent[] {
    const lines = (this.#partial + text).split("\n");
    this.#partial = (lines.pop() ?? "").slice(-MAX_LINE);
    const events = lines.flatMap((line) => this.#line(clean(line.slice(-MAX_LINE))));
    // A prompt is no whole line; where the log goes on behind it, it is still asked.
    const waits = PROMPT.test(clean(this.#partial, ""));
    if (waits && !this.#asked) events.push({ kind: "question" });
    this.#asked = waits;
    return events;
  }

  #line(line: string): InstallerEvent[] {
    if (line.trim() === "") return [];
    if (!LOGGED.test(line)) {
      this.#mayWait = /:\s*$/.test(line);
      this.#stepsSince = 0;
    }
    this.#last.push(line);
    if (this.#last.length > KEPT_LINES) this.#last.shift();
    const events = eventOf(line);
    // The log comes a moment late: its word of the very step that asks may stand behind the question. The next step's does not.
    this.#stepsSince += events.filter(({ kind }) => kind === "step").length;
    return events;
  }
}

function clean(line: string, end = ""): string {
  return stripForTerminal(lastDrawn(line), MAX_LINE) + end;
}

function eventOf(line: string): InstallerEvent[] {
  const item = /main-menu\[\d+\]: .*?Menu item '([A-Za-z0-9.+-]{1,80})' (selected|failed)/.exec(line);
  if (item?.[1] !== undefined) return [{ kind: item[2] === "failed" ? "failed" : "step", item: item[1] }];
  const modules = /anna\[\d+\]: .*no packages matching running kernel (\S{1,100}) in archive/.exec(line);
  if (modules?.[1] !== undefined) return [{ kind: "no-modules", release: modules[1] }];
  if (/\] Kernel panic - not syncing/.test(line)) return [{ kind: "panic" }];
  // What programs say at some length: debootstrap, and apt in the new system.
  const said = /\d\d:\d\d:\d\d (?:in-target|debootstrap|bootshare): (?:I: )?(.+)$/.exec(line);
  const fetched = /anna\[\d+\]: DEBUG: retrieving (\S+)/.exec(line);
  if (fetched?.[1] !== undefined) return [{ kind: "line", line: fetched[1] }];
  const shown = said?.[1] === undefined ? undefined : afterProgress(said[1]);
  return shown === undefined ? [] : [{ kind: "line", line: shown }];
}

/** What stays of dpkg's progress, which goes back to the begin of its line: syslogd writes a carriage return as `^M`. */
function afterProgress(text: string): string | undefined {
  const drawn = lastDrawn(text.replaceAll("^M", "\r")).trim();
  return /^(\(Reading database \.\.\. ?)?(\d{1,3}%)?$/.test(drawn) ? undefined : drawn;
}
