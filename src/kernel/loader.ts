/**
 * What a guest's own boot loader would be told: entries of the Boot Loader Specification and of extlinux.conf, in one form.
 * They say which kernel and initrd the guest prefers. Their options are shown and never obeyed: the kernel's command line
 * is the domain's.
 */
import { printable } from "../text.ts";
import type { DebianArch } from "./arch.ts";
import { type BlsEntry, compareBls, parseBls } from "./bls.ts";
import { type ExtlinuxEntry, parseExtlinux } from "./extlinux.ts";
import { oneFileName } from "./names.ts";

/** The folder of the specification's entries, below the boot folder. */
export const BLS_FOLDER = ["loader", "entries"] as const;
/** Where extlinux.conf lies, below the boot folder. */
export const EXTLINUX_FILE = ["extlinux", "extlinux.conf"] as const;
const BLS_PREFIX = `${BLS_FOLDER.join("/")}/`;
const EXTLINUX_PATH = EXTLINUX_FILE.join("/");

/** A file that may hold entries. No name of a file in the boot folder itself holds a slash, so these are told from them. */
export interface LoaderFile {
  /** Its path below the boot folder, with "/". */
  readonly name: string;
  /** All of it. */
  readonly head?: Buffer;
  /** Why it was not read: a phrase that follows the name, safe to show. */
  readonly problem?: string;
}

/** One entry. Its texts are the guest's own and not safe to show as they are, but for `problem`. */
export interface LoaderEntry {
  /** Path of the file below the boot folder. */
  readonly file: string;
  /** Of extlinux.conf, whose file has several. */
  readonly label?: string | undefined;
  readonly title?: string | undefined;
  readonly version?: string | undefined;
  /** File name in the boot folder itself, checked to be one; undefined where there is a problem. */
  readonly kernel?: string | undefined;
  /** Likewise. */
  readonly initrd?: string | undefined;
  /** Kernel parameters. Shown, never obeyed. */
  readonly options: string;
  /** Path of a device tree. Shown, never obeyed: the machine is QEMU's, and so is its device tree. */
  readonly devicetree?: string | undefined;
  /** In the words of EFI, as the entry has it. */
  readonly architecture?: string | undefined;
  /** Why it names no pair: a whole phrase that names the file. Safe to show. */
  readonly problem?: string | undefined;
}

/**
 * The entries in these files, the most preferred first: those of the Boot Loader Specification in its order, then those of
 * extlinux.conf with its default first, then what cannot be read.
 *
 * @param files of a boot folder, in any order, with whatever else is in it. Not trusted
 */
export function loaderEntries(files: readonly LoaderFile[]): LoaderEntry[] {
  const bls: BlsEntry[] = [];
  const extlinux: LoaderEntry[] = [];
  const unread: LoaderEntry[] = [];
  for (const { name, head, problem } of files.filter(isLoaderFile)) {
    const fail = (reason: string): void => {
      unread.push({ file: name, options: "", problem: `${printable(name)} ${reason}` });
    };
    if (head === undefined) fail(problem ?? "was not read");
    else if (name === EXTLINUX_PATH) {
      const parsed = parseExtlinux(head);
      if (parsed.ok) extlinux.push(...parsed.entries.map(fromExtlinux));
      else fail(parsed.reason);
    } else {
      const parsed = parseBls(name.slice(BLS_PREFIX.length), head);
      if (parsed.ok) bls.push(parsed.entry);
      else fail(parsed.reason);
    }
  }
  unread.sort((a, b) => (a.file < b.file ? -1 : 1));
  return [...bls.sort(compareBls).map(fromBls), ...extlinux, ...unread];
}

function isLoaderFile({ name }: LoaderFile): boolean {
  return name === EXTLINUX_PATH || name.startsWith(BLS_PREFIX) || name === BLS_FOLDER.join("/");
}

function fromBls({ id, linux, initrds, ...entry }: BlsEntry): LoaderEntry {
  const file = `${BLS_PREFIX}${id}.conf`;
  const { title, version, options, devicetree, architecture } = entry;
  const shown = { file, title, version, options, devicetree, architecture };
  // Relative to the file system's top, with a slash in front or not.
  return { ...shown, ...pairOf(printable(file), linux, initrds, ["/", ""]) };
}

function fromExtlinux({ label, title, linux, initrds, options, devicetree }: ExtlinuxEntry): LoaderEntry {
  const subject = `the label ${printable(label, 80)} of ${EXTLINUX_PATH}`;
  const shown = { file: EXTLINUX_PATH, label, title, options, devicetree };
  // What begins with a slash starts at the file system's top, which is /boot where that is one of its own; anything else
  // at the folder of the file. u-boot-menu writes the first two.
  return { ...shown, ...pairOf(subject, linux, initrds, ["/boot/", "/", "../"]) };
}

/** @param prefixes of a path that leads into the boot folder itself, the longest that fits counts */
function pairOf(
  subject: string,
  linux: string | undefined,
  initrds: readonly string[],
  prefixes: readonly string[],
): Pick<LoaderEntry, "kernel" | "initrd" | "problem"> {
  const [initrd] = initrds;
  if (linux === undefined || linux === "") return { problem: `${subject} names no kernel` };
  if (initrd === undefined) return { problem: `${subject} names no initrd` };
  if (initrds.length > 1)
    return { problem: `${subject} names ${initrds.length} initrds, and a domain has one` };
  const names = [linux, initrd].map((path) => fileInTop(path, prefixes));
  const bad = names.find(({ problem }) => problem !== undefined);
  if (bad !== undefined) return { problem: `${subject} ${bad.problem}` };
  return { kernel: names[0]?.name, initrd: names[1]?.name };
}

function fileInTop(path: string, prefixes: readonly string[]): { name?: string; problem?: string } {
  const prefix = prefixes.find((one) => path.startsWith(one));
  const name = prefix === undefined ? path : path.slice(prefix.length);
  if (prefix === undefined || name.includes("/"))
    return { problem: `names a file outside the top folder, "${printable(path, 80)}": not looked at` };
  const checked = oneFileName(name);
  return checked.problem === undefined ? { name } : { problem: `names a file whose name ${checked.problem}` };
}

const EFI_ARCH: Readonly<Partial<Record<DebianArch, string>>> = {
  amd64: "x64",
  i386: "ia32",
  arm64: "aa64",
  armhf: "arm",
  armel: "arm",
  riscv64: "riscv64",
};

/** The entry that a boot loader on this architecture would take by default; undefined where there is none. */
export function defaultEntry(entries: readonly LoaderEntry[], arch: DebianArch): LoaderEntry | undefined {
  return entries.find(
    ({ architecture }) => architecture === undefined || architecture.toLowerCase() === EFI_ARCH[arch],
  );
}
