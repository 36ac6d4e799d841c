/** Names of files in a guest's /boot: which text is one at all, and what a name says. */
import { printable } from "../text.ts";
import { DEBIAN_ARCHES, type DebianArch, imageStems } from "./arch.ts";
import { NAME_MAX_BYTES } from "./limits.ts";

/** Debian's link to the default initrd. */
export const INITRD_LINK = "initrd.img";

/**
 * A release as the kernel has it: at most 64 bytes (__NEW_UTS_LEN in linux/utsname.h), of the characters that kbuild and
 * Debian use. It is shown, logged and compared everywhere, so anything else in a name makes it no kernel.
 */
const RELEASE = /^[0-9A-Za-z][0-9A-Za-z.+~_-]{0,63}$/;

/**
 * What dpkg (`.dpkg-*`), initramfs-tools (`.new`, `.bak`, `.dpkg-bak`), ucf and people put behind a name while they
 * write, or to keep an earlier file. Such a file is no kernel and no initrd, only the trace of one.
 */
const TEMPORARY = /(\.dpkg-[a-z]+|\.ucf-[a-z]+|\.new|\.bak|\.old|\.orig|\.tmp|\.part|~)$/;

export function isRelease(text: string): boolean {
  return RELEASE.test(text) && !TEMPORARY.test(text);
}

export type FileName =
  | { readonly name: string; readonly problem?: undefined }
  /** A phrase that follows what the text is, for example "holds a slash". Safe to show. */
  | { readonly name?: undefined; readonly problem: string };

/**
 * Judges whether a text is one file name that means a file in the same folder and nothing anywhere else.
 *
 * This is the whole rule for a link's text, which a guest's root chooses freely. It is never passed to a program and
 * never given to a shell, so the rule is stricter than that needs, on purpose: what no boot folder has ever had need of
 * is refused, and whoever uses a name later, in a log, a terminal or an argument vector, meets nothing that acts there.
 *
 * - No "/" and not "." or "..", so it cannot leave the folder; no NUL; at most 255 bytes.
 * - No control, format, surrogate, private or unassigned characters and no line separators: nothing that `printable()`
 *   would have to escape. This includes a newline at the end, which is not stripped: QEMU stores a mapped link without
 *   one, and a file name may truly end in one.
 * - No "-" in front: as an argument it would be an option.
 *
 * @param text text that was valid UTF-8 (see `utf8()`); not trusted
 */
export function oneFileName(text: string): FileName {
  if (text === "") return { problem: "is empty" };
  const shown = `"${printable(text, 80)}"`;
  if (text.includes("\0")) return { problem: `holds a NUL character: ${shown}` };
  if (/[\p{C}\p{Zl}\p{Zp}]/u.test(text)) return { problem: `holds a control character: ${shown}` };
  if (text.includes("/"))
    return { problem: `holds a slash, but must name a file in the same folder: ${shown}` };
  if (text === "." || text === "..") return { problem: `names a folder: ${shown}` };
  if (text.startsWith("-")) return { problem: `begins with "-": ${shown}` };
  if (Buffer.byteLength(text) > NAME_MAX_BYTES)
    return { problem: `is longer than ${NAME_MAX_BYTES} bytes: ${shown}` };
  return { name: text };
}

/** The release in a kernel's file name `STEM-RELEASE`; undefined for any other name. */
export function kernelRelease(name: string, arch: DebianArch): string | undefined {
  return releaseAfter(name, imageStems(arch));
}

function releaseAfter(name: string, stems: readonly string[]): string | undefined {
  const stem = stems.find((candidate) => name.startsWith(`${candidate}-`));
  const release = stem === undefined ? "" : name.slice(stem.length + 1);
  return isRelease(release) ? release : undefined;
}

/** The release in an initrd's file name `initrd.img-RELEASE`; undefined for any other name. */
export function initrdRelease(name: string): string | undefined {
  return releaseAfter(name, [INITRD_LINK]);
}

/** The file name of the initrd of a release. */
export function initrdName(release: string): string {
  return `${INITRD_LINK}-${release}`;
}

const STEMS: readonly string[] = [...new Set(DEBIAN_ARCHES.flatMap((arch) => [...imageStems(arch)]))];

/** Debian's names for the links to the default kernel and initrd, of all architectures. */
export const LINK_NAMES: readonly string[] = [...STEMS, INITRD_LINK];

/** Whether a name is that of a kernel image, an initrd, or neither, on any architecture. */
export function bootFileKind(name: string): "kernel" | "initrd" | undefined {
  if (initrdRelease(name) !== undefined) return "initrd";
  return releaseAfter(name, STEMS) === undefined ? undefined : "kernel";
}
