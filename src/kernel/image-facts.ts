/** What is known of a kernel image from its first bytes. */
import type { DebianArch } from "./arch.ts";

/**
 * - `bzImage`: x86
 * - `zImage`: 32-bit ARM, unpacks itself
 * - `Image`: arm64 and riscv64, not compressed
 * - `Image.gz`: the same for arm64, which QEMU unpacks
 * - `zboot`: an EFI program that holds a compressed Image
 * - `ELF`: ppc64el's vmlinux
 * - `s390`: s390x's image
 */
export type KernelFormat = "bzImage" | "zImage" | "Image" | "Image.gz" | "zboot" | "ELF" | "s390";

export interface KernelFacts {
  readonly ok: true;
  readonly format: KernelFormat;
  /** The architectures that it may be for. More than one where the header does not tell them apart. */
  readonly arches: readonly DebianArch[];
  /** What `uname -r` will say, where the header has it (x86). Checked to be a release. */
  readonly release?: string;
}

export interface KernelRefused {
  readonly ok: false;
  /** A phrase that follows the file's name: "is cut short: …". Safe to show. */
  readonly reason: string;
}

export type KernelImage = KernelFacts | KernelRefused;

export function refused(reason: string): KernelRefused {
  return { ok: false, reason };
}

/**
 * The refusal when the file ends before the header says. This is no rare case: from Debian 14 on, linux-base copies the
 * image into /boot with cp(1) under its final name, so a kernel may be met half written.
 *
 * @param needed where the image ends by its header, in bytes; undefined when the header does not say
 * @param size of the file in bytes
 */
export function cutShort(needed: number | undefined, size: number): KernelRefused | undefined {
  if (needed === undefined || needed <= size) return undefined;
  return refused(`is cut short: its header says ${needed} bytes, the file has ${size}`);
}
