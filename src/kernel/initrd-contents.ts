/** Gathers, from the entries of an initrd's archives, what is asked of it: see initrd-facts.ts. */
import type { CpioEntry, CpioVisitor } from "./cpio.ts";
import {
  DRIVERS,
  type Driver,
  type DriverFacts,
  type InitrdFacts,
  MAX_MISSING,
  MAX_RELEASES,
  type ReleaseFacts,
} from "./initrd-facts.ts";

/** Largest list of modules that is read, in bytes (8 MiB). Debian's largest, modules.dep of all of amd64, has 0.7 MB. */
const LIST_MAX_BYTES = 8 * 1024 * 1024;
/** Most modules in an initrd. Debian's amd64 kernel has 4,300. */
const MAX_MODULES = 32 * 1024;

const MODULE_FILE = /^(?:usr\/)?lib\/modules\/([^/]{1,64})\/(?:.*\/)?([^/]{1,64})\.ko(?:\.xz|\.zst|\.gz)?$/;
const MODULE_LIST = /^(?:usr\/)?lib\/modules\/([^/]{1,64})\/modules\.(dep|builtin|softdep|alias)$/;
const INITRAMFS_TOOLS = /^(?:conf\/initramfs\.conf|conf\/arch\.conf|scripts\/functions)$/;
const DRACUT = /^(?:usr\/)?lib\/dracut(?:\/|$)/;

const LISTS = ["dep", "builtin", "softdep", "alias"] as const;

interface Release {
  readonly modules: Set<string>;
  readonly lists: Partial<Record<(typeof LISTS)[number], string>>;
}

/** The name that the kernel has for a module's file: `-` and `_` are the same to it. */
export function moduleNameOf(path: string): string | undefined {
  return /([^/]{1,64})\.ko(?:\.xz|\.zst|\.gz)?$/.exec(path)?.[1]?.replaceAll("-", "_");
}

/** Keeps what matters of the entries, and no more than a few megabytes of it, whatever they are. */
export class InitrdContents implements CpioVisitor {
  readonly #releases = new Map<string, Release>();
  #modules = 0;
  #init = false;
  #madeBy: InitrdFacts["madeBy"] = "unknown";

  get tooManyModules(): boolean {
    return this.#modules > MAX_MODULES;
  }

  entry({ name, size }: CpioEntry): number {
    const path = plainPath(name);
    if (path === "init") this.#init = true;
    else if (INITRAMFS_TOOLS.test(path)) this.#madeBy = "initramfs-tools";
    else if (DRACUT.test(path)) this.#madeBy = "dracut";
    else {
      const [, release = "", module] = MODULE_FILE.exec(path) ?? [];
      if (module !== undefined) this.#addModule(release, module);
      else if (MODULE_LIST.test(path) && size <= LIST_MAX_BYTES) return LIST_MAX_BYTES;
    }
    return 0;
  }

  content({ name }: CpioEntry, content: Buffer): void {
    const [, release = "", last] = MODULE_LIST.exec(plainPath(name)) ?? [];
    const list = LISTS.find((one) => one === last);
    const found = list === undefined ? undefined : this.#release(release);
    if (list !== undefined && found !== undefined) found.lists[list] = content.toString("latin1");
  }

  facts(): Pick<InitrdFacts, "init" | "madeBy" | "releases"> {
    const releases = [...this.#releases].map(([release, found]) => releaseFacts(release, found));
    return { init: this.#init, madeBy: this.#madeBy, releases };
  }

  #addModule(release: string, module: string): void {
    if (++this.#modules <= MAX_MODULES) this.#release(release)?.modules.add(module.replaceAll("-", "_"));
  }

  #release(name: string): Release | undefined {
    const known = this.#releases.get(name);
    if (known !== undefined || this.#releases.size >= MAX_RELEASES) return known;
    const fresh: Release = { modules: new Set(), lists: {} };
    this.#releases.set(name, fresh);
    return fresh;
  }
}

/** Without what archivers put in front: `./`, `/`. */
function plainPath(name: string): string {
  return name.replace(/^(?:\.?\/+)+/, "");
}

function releaseFacts(release: string, { modules, lists }: Release): ReleaseFacts {
  const builtIn = new Set((lists.builtin ?? "").split("\n").flatMap((line) => moduleNameOf(line) ?? []));
  const needs = needsOf(lists.dep ?? "");
  const listsBuiltIn = builtIn.size > 0;
  const has = (module: string): boolean => modules.has(module) || builtIn.has(module);
  const factsOf = (driver: Driver): DriverFacts => {
    if (builtIn.has(driver)) return { state: "built-in", missing: [] };
    if (!modules.has(driver)) return { state: "absent", missing: [] };
    const missing = (needs.get(driver) ?? []).filter((module) => !has(module));
    // Without the list, what serves a name may be built in.
    const soft = listsBuiltIn ? softNeedsOf(lists.softdep ?? "", driver) : [];
    const unserved = soft.filter(
      (name) =>
        ![...modules, ...builtIn].some((module) => serves(module, name)) &&
        !aliasesOf(lists.alias ?? "", name).some(has),
    );
    return { state: "present", missing: [...missing, ...unserved].slice(0, MAX_MISSING) };
  };
  const drivers = Object.fromEntries(DRIVERS.map((driver) => [driver, factsOf(driver)]));
  return { release, listsBuiltIn, drivers: drivers as Record<Driver, DriverFacts> };
}

/** modules.dep: `FILE: FILE…`, what each module needs, all of it (depmod(8)). */
function needsOf(text: string): Map<string, string[]> {
  const needs = new Map<string, string[]>();
  const asked: ReadonlySet<string> = new Set(DRIVERS);
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    const module = moduleNameOf(line.slice(0, Math.max(colon, 0)));
    if (module === undefined || !asked.has(module)) continue;
    needs.set(
      module,
      line
        .slice(colon + 1)
        .split(" ")
        .flatMap((file) => moduleNameOf(file) ?? []),
    );
  }
  return needs;
}

/**
 * modules.softdep: `softdep MODULE pre: NAME… post: …` (modprobe.d(5)). Only ext4's count: it mounts nothing without
 * crc32c, although modules.dep does not say so, for it asks the kernel's crypto for it by that name.
 */
function softNeedsOf(text: string, driver: Driver): string[] {
  if (driver !== "ext4") return [];
  const [, names = ""] = /^softdep ext4 pre: ([^:\n]*?)(?: \w+:.*)?$/m.exec(text) ?? [];
  return names
    .split(" ")
    .filter((name) => /^[\w-]{1,64}$/.test(name))
    .slice(0, MAX_MISSING);
}

/** modules.alias: `alias NAME MODULE`, what else serves a name. */
function aliasesOf(text: string, name: string): string[] {
  return [...text.matchAll(/^alias (\S+) (\S+)$/gm)].flatMap(([, alias = "", module = ""]) =>
    alias === name || alias === `crypto-${name}` ? [module.replaceAll("-", "_")] : [],
  );
}

/** An algorithm of crypto's is in a module of its name, or of its name and where it runs: crc32c_generic, crc32c_intel. */
function serves(module: string, name: string): boolean {
  const wanted = name.replaceAll("-", "_");
  return module === wanted || module.startsWith(`${wanted}_`);
}
