/** Knows a kernel image by its first bytes. */
import { readArmZImage, readGzipImage, readPlainImage, readZboot } from "./image-arm.ts";
import { readElf, readS390 } from "./image-elf.ts";
import { type KernelImage, refused } from "./image-facts.ts";
import { readMultiboot, readUBoot } from "./image-foreign.ts";
import { readBzImage } from "./image-x86.ts";

export type { KernelFacts, KernelFormat, KernelImage } from "./image-facts.ts";

/**
 * Reads what a kernel image is from its header, after the kernel's own documentation of each format, and refuses what
 * QEMU's direct kernel boot would not load as a Debian kernel, or what is visibly incomplete. It does not run, unpack
 * (but for the first 4 KiB of a gzip file) or verify the kernel.
 *
 * @param head the file's first bytes, KERNEL_HEAD_BYTES (limits.ts) of them where it has as many. Not trusted: any bytes of
 *   any length give a result, nothing throws
 * @param size the whole file's size in bytes
 */
export function readKernelImage(head: Buffer, size: number): KernelImage {
  if (size === 0 || head.length === 0) return refused("is empty");
  // What a file is by its very first bytes goes before marks further in, as it does in QEMU for all but x86: a guest can
  // make a file that is two formats at once, and what is checked here must be what QEMU loads.
  return (
    readElf(head, size) ??
    readUBoot(head) ??
    readGzipImage(head) ??
    readZboot(head, size) ??
    readBzImage(head, size) ??
    readArmZImage(head, size) ??
    readPlainImage(head, size) ??
    readS390(head) ??
    readMultiboot(head) ??
    refused("is no kernel image that is known here")
  );
}
