/** The catalogue of a /boot: which kernels are there, which of them are whole, and which one the links name. */
import { printable } from "../text.ts";
import { type DebianArch, imageStems } from "./arch.ts";
import { CONFIG_MAX_BYTES, configName, type KernelConfig, parseKernelConfig } from "./config.ts";
import { type KernelFacts, readKernelImage } from "./image.ts";
import { readInitrdHead } from "./initrd.ts";
import { INITRD_MAX_BYTES, KERNEL_MAX_BYTES } from "./limits.ts";
import { defaultEntry, type LoaderEntry, loaderEntries } from "./loader.ts";
import { INITRD_LINK, initrdName, initrdRelease, kernelRelease, oneFileName } from "./names.ts";
import { compareVersions } from "./version.ts";

/** One name in a /boot, as it was found. All of it is the guest's own and not trusted. */
export interface BootEntry {
  /** A file name; of a boot loader's entries, which lie in folders of their own, the path below the boot folder. */
  readonly name: string;
  /** `other`: a folder, a device, a name that is none, or something that could not be looked at. */
  readonly kind: "file" | "link" | "other";
  /** In bytes; 0 for what is no file. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly mtimeMs: number;
  /** A link's text, unchecked: of a real link, or of the plain file that stands for one in 9p's mapped mode. */
  readonly target?: string;
  /** First bytes of a kernel image or an initrd; a kernel's configuration, or a boot loader's entries, as a whole. */
  readonly head?: Buffer;
  /** What was wrong: a phrase that follows the name, safe to show ("is a FIFO"). Such an entry is never booted. */
  readonly problem?: string;
}

/** A kernel, with or without its initrd. */
export interface KernelPair {
  /** From the kernel's file name; of a name without one, from the image's header, else the file name itself. */
  readonly release: string;
  /** File name in the folder; never a path. */
  readonly kernel: string;
  /** File name in the folder; undefined when there is none of that release. */
  readonly initrd: string | undefined;
  /** In bytes; 0 when it is not there or no file. */
  readonly kernelSize: number;
  /** In bytes; 0 when it is not there or no file. */
  readonly initrdSize: number;
  /** Names, sizes and times of both files: one text for the same pair, as long as nobody changes it. */
  readonly files: string;
  /** Both files are there and look right as far as their first bytes and sizes tell. */
  readonly complete: boolean;
  /** A new version of the kernel or the initrd is being written beside it, or writing it was interrupted. */
  readonly writing: boolean;
  /** Why it cannot boot, each a whole phrase that names the file and is safe to show. Empty exactly when complete. */
  readonly reasons: readonly string[];
  /** What the kernel's header says, when it is a kernel (of whatever architecture). */
  readonly image?: KernelFacts;
  /** What the file `config-RELEASE` beside it says; undefined where there is none, or it cannot be read. */
  readonly config?: KernelConfig;
  /** Why its configuration cannot be read although it is there: a whole phrase that names the file. Safe to show. */
  readonly configProblem?: string;
}

/** One of Debian's default links. */
export interface LinkFact {
  readonly name: string;
  /** The file name it holds, checked to be one. */
  readonly target?: string;
  /** A whole phrase that names the link and is safe to show. */
  readonly problem?: string;
}

/** The pair that the default links name, complete or not; or why they name none. */
export type LinkedPair =
  | (KernelPair & { readonly initrd: string; readonly problem?: undefined })
  | { readonly problem: string };

export interface Catalogue {
  /** Newest release first. */
  readonly kernels: readonly KernelPair[];
  readonly links: { readonly kernel?: LinkFact; readonly initrd?: LinkFact };
  /** Undefined when there are no default links at all. */
  readonly linked: LinkedPair | undefined;
  /** Not there in a /boot without entries for a boot loader. */
  readonly loader?: LoaderFacts;
}

/** What the guest has for a boot loader of its own. */
export interface LoaderFacts {
  /** The most preferred first. */
  readonly entries: readonly LoaderEntry[];
  /** The entry that a boot loader would take by default; undefined where none is for this architecture. */
  readonly preferred: LoaderEntry | undefined;
  /** The pair that this entry names. */
  readonly pair: LinkedPair | undefined;
}

type Folder = ReadonlyMap<string, BootEntry>;

/**
 * Makes the catalogue of a boot folder.
 *
 * @param entries what was found there. Not trusted: names, sizes, link texts and bytes may be anything
 * @param arch the architecture of the kernels that the guest's machine runs. It may differ from that of the guest's
 *   userland (an arm64 kernel under armhf)
 */
export function catalogue(entries: readonly BootEntry[], arch: DebianArch): Catalogue {
  const folder = byName(entries);
  const links = findLinks(folder, arch);
  const loader = findLoader(folder, entries, arch);
  return {
    kernels: findKernels(folder, arch),
    links,
    linked: findLinked(folder, links, arch),
    ...(loader === undefined ? {} : { loader }),
  };
}

/** An entry of no use never hides one that is of use, should a guest manage to have two of one name. */
function byName(entries: readonly BootEntry[]): Folder {
  const folder = new Map<string, BootEntry>();
  for (const entry of entries) {
    if (entry.kind !== "other" || !folder.has(entry.name)) folder.set(entry.name, entry);
  }
  return folder;
}

function findKernels(folder: Folder, arch: DebianArch): KernelPair[] {
  const pairs = new Map<string, KernelPair>();
  for (const name of folder.keys()) {
    const release = kernelRelease(name, arch);
    if (release === undefined) continue;
    const pair = judge(folder, { release, kernel: name, initrd: initrdName(release) }, arch);
    const other = pairs.get(release);
    // Two stems with one release (vmlinux-X and vmlinuz-X): the one that can boot, else Debian's own.
    if (other === undefined || beats(pair, other, arch)) pairs.set(release, pair);
  }
  return [...pairs.values()].sort(
    (a, b) => compareVersions(b.release, a.release) || byText(a.release, b.release),
  );
}

function beats(pair: KernelPair, other: KernelPair, arch: DebianArch): boolean {
  if (pair.complete !== other.complete) return pair.complete;
  return pair.kernel.startsWith(`${imageStems(arch)[0]}-`);
}

/** Releases that compare equal still need one order, whatever order the folder was read in. */
function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

interface PairNames {
  readonly release: string;
  readonly kernel: string;
  readonly initrd: string;
}

function judge(folder: Folder, names: PairNames, arch: DebianArch): KernelPair {
  const kernel = folder.get(names.kernel);
  const initrd = folder.get(names.initrd);
  const image = kernel?.head === undefined ? undefined : readKernelImage(kernel.head, kernel.size);
  const reasons = [
    fileReason(kernel, names.kernel, KERNEL_MAX_BYTES) ?? kernelReason(names.kernel, image, arch),
    initrd === undefined
      ? missingInitrd(folder, names.initrd)
      : (fileReason(initrd, names.initrd, INITRD_MAX_BYTES) ?? initrdReason(initrd)),
  ].filter((reason) => reason !== undefined);
  return {
    release: names.release,
    kernel: names.kernel,
    initrd: initrd === undefined ? undefined : names.initrd,
    kernelSize: sizeOf(kernel),
    initrdSize: sizeOf(initrd),
    files: [kernel, initrd].map((file) => `${file?.name} ${file?.size} ${file?.mtimeMs}`).join(" "),
    complete: reasons.length === 0,
    writing:
      beingWritten(folder, names.initrd) !== undefined || beingWritten(folder, names.kernel) !== undefined,
    reasons,
    ...(image?.ok === true ? { image } : {}),
    ...configFacts(folder, names.release),
  };
}

/** A kernel that somebody built need not have a configuration beside it: that alone never keeps it from booting. */
function configFacts(folder: Folder, release: string): Pick<KernelPair, "config" | "configProblem"> {
  const name = configName(release);
  const entry = folder.get(name);
  if (entry === undefined) return {};
  const problem = fileReason(entry, name, CONFIG_MAX_BYTES);
  if (problem !== undefined) return { configProblem: problem };
  const found = parseKernelConfig(entry.head ?? Buffer.alloc(0));
  return found.ok ? { config: found.config } : { configProblem: `${printable(name)} ${found.reason}` };
}

function sizeOf(entry: BootEntry | undefined): number {
  return entry?.kind === "file" ? entry.size : 0;
}

/** What is wrong with a file before its content is looked at. */
function fileReason(entry: BootEntry | undefined, name: string, maxBytes: number): string | undefined {
  const shown = printable(name);
  if (entry === undefined) return `${shown} is not there`;
  if (entry.kind === "link") return `${shown} is a link, not a file`;
  if (entry.problem !== undefined) return `${shown} ${entry.problem}`;
  if (entry.kind !== "file") return `${shown} is not a regular file`;
  if (entry.size === 0) return `${shown} is empty`;
  if (entry.size > maxBytes) return `${shown} is larger than ${maxBytes / 1024 / 1024} MiB`;
  if (entry.head === undefined) return `${shown} was not read`;
  return undefined;
}

function kernelReason(
  name: string,
  image: ReturnType<typeof readKernelImage> | undefined,
  arch: DebianArch,
): string | undefined {
  const shown = printable(name);
  if (image === undefined) return `${shown} was not read`;
  if (!image.ok) return `${shown} ${image.reason}`;
  if (!image.arches.includes(arch))
    return `${shown} is a kernel for ${image.arches.join(" or ")}, not for ${arch}`;
  return undefined;
}

function initrdReason(entry: BootEntry): string | undefined {
  const initrd = readInitrdHead(entry.head ?? Buffer.alloc(0), entry.size);
  return initrd.ok ? undefined : `${printable(entry.name)} ${initrd.reason}`;
}

/**
 * dpkg makes the links and the kernel long before the initrd is whole: update-initramfs writes `initrd.img-X.new` for
 * seconds, under emulation for minutes, and renames it then.
 */
function missingInitrd(folder: Folder, name: string): string {
  const partial = beingWritten(folder, name);
  if (partial === undefined) return `its initrd ${printable(name)} is not there`;
  return `its initrd ${printable(name)} is not there yet (being written: ${printable(partial)})`;
}

/** The name under which update-initramfs (`.new`) or dpkg (`.dpkg-new`) is writing this file, if one is. */
function beingWritten(folder: Folder, name: string): string | undefined {
  return [`${name}.new`, `${name}.dpkg-new`].find((candidate) => folder.has(candidate));
}

function findLinks(folder: Folder, arch: DebianArch): Catalogue["links"] {
  const stem = imageStems(arch).find((name) => folder.has(name));
  const kernel = stem === undefined ? undefined : readLink(folder, stem);
  const initrd = readLink(folder, INITRD_LINK);
  return { ...(kernel === undefined ? {} : { kernel }), ...(initrd === undefined ? {} : { initrd }) };
}

function readLink(folder: Folder, name: string): LinkFact | undefined {
  const entry = folder.get(name);
  if (entry === undefined) return undefined;
  if (entry.problem !== undefined) return { name, problem: `${name} ${entry.problem}` };
  if (entry.kind !== "link" || entry.target === undefined) {
    return { name, problem: `${name} is ${entry.kind === "file" ? "a file and not a link" : "no link"}` };
  }
  const target = oneFileName(entry.target);
  if (target.problem !== undefined)
    return { name, problem: `the text of the link ${name} ${target.problem}` };
  return { name, target: target.name };
}

function findLinked(folder: Folder, links: Catalogue["links"], arch: DebianArch): LinkedPair | undefined {
  const { kernel, initrd } = links;
  if (kernel === undefined && initrd === undefined) return undefined;
  if (kernel === undefined)
    return { problem: `there is no link ${imageStems(arch)[0]} beside ${INITRD_LINK}` };
  if (initrd === undefined) return { problem: `there is no link ${INITRD_LINK} beside ${kernel.name}` };
  return namedPair(folder, kernel, initrd, arch);
}

function findLoader(
  folder: Folder,
  entries: readonly BootEntry[],
  arch: DebianArch,
): LoaderFacts | undefined {
  const found = loaderEntries(entries);
  if (found.length === 0) return undefined;
  const preferred = defaultEntry(found, arch);
  return { entries: found, preferred, pair: preferred && entryPair(folder, preferred, arch) };
}

function entryPair(folder: Folder, entry: LoaderEntry, arch: DebianArch): LinkedPair {
  const { kernel, initrd, problem } = entry;
  const file = printable(entry.file);
  if (kernel === undefined || initrd === undefined) return { problem: problem ?? `${file} names no pair` };
  return namedPair(
    folder,
    { name: `linux in ${file}`, target: kernel },
    { name: `initrd in ${file}`, target: initrd },
    arch,
  );
}

/** The pair of two files that two links name, or an entry does, whatever they are called. */
function namedPair(folder: Folder, kernel: LinkFact, initrd: LinkFact, arch: DebianArch): LinkedPair {
  const kernelFile = targetFile(folder, kernel);
  if (typeof kernelFile === "string") return { problem: kernelFile };
  const initrdFile = targetFile(folder, initrd);
  if (typeof initrdFile === "string") return { problem: initrdFile };

  const named = kernelRelease(kernelFile.name, arch);
  const wanted = initrdRelease(initrdFile.name);
  if (named !== undefined && wanted !== undefined && named !== wanted) {
    return { problem: `${kernel.name} names release ${named}, but ${initrd.name} names ${wanted}` };
  }
  const pair = judge(
    folder,
    { release: named ?? "", kernel: kernelFile.name, initrd: initrdFile.name },
    arch,
  );
  const release = named ?? pair.image?.release ?? kernelFile.name;
  return { ...pair, release, initrd: initrdFile.name };
}

/** The regular file that a link names, or a whole phrase that says why there is none. Links to links are not followed. */
function targetFile(folder: Folder, link: LinkFact): BootEntry | string {
  if (link.target === undefined) return link.problem ?? `${link.name} holds nothing`;
  const shown = printable(link.target);
  const entry = folder.get(link.target);
  if (entry === undefined) {
    const partial = beingWritten(folder, link.target);
    const note = partial === undefined ? "" : ` yet (being written: ${printable(partial)})`;
    return `${link.name} names ${shown}, which is not there${note}`;
  }
  if (entry.kind === "link") return `${link.name} names ${shown}, which is a link itself`;
  if (entry.kind !== "file")
    return `${link.name} names ${shown}, which ${entry.problem ?? "is not a regular file"}`;
  return entry;
}
