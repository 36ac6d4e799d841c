/** Images that QEMU would boot by another protocol than that of Debian's kernels. None is ever accepted. */
import { has, u32 } from "./bytes.ts";
import { type KernelImage, refused } from "./image-facts.ts";

const MULTIBOOT_MAGIC = 0x1badb002;
const MULTIBOOT_SEARCH_BYTES = 8192;

/**
 * Whether there is a multiboot header (GNU Multiboot 0.6.96, section 3.1): in the first 8 KiB, on 4 bytes, magic, flags and
 * a checksum that makes the sum of the three zero. QEMU looks for the same (hw/i386/multiboot.c).
 */
export function hasMultibootHeader(head: Buffer): boolean {
  for (let offset = 0; offset + 12 <= MULTIBOOT_SEARCH_BYTES; offset += 4) {
    if (u32(head, offset) !== MULTIBOOT_MAGIC) continue;
    const flags = u32(head, offset + 4);
    const checksum = u32(head, offset + 8);
    if (flags === undefined || checksum === undefined) return false;
    if ((MULTIBOOT_MAGIC + flags + checksum) % 2 ** 32 === 0) return true;
  }
  return false;
}

/** A multiboot image: QEMU's loader of these has had bugs by which a kernel ran code on the host. */
export function readMultiboot(head: Buffer): KernelImage | undefined {
  if (!hasMultibootHeader(head)) return undefined;
  return refused("is a multiboot image, not a Linux kernel as Debian has it");
}

/**
 * An image that mkimage wrapped for U-Boot. QEMU looks for this header, and for ELF, before it takes a file for a plain
 * kernel of arm, arm64 or riscv64 (hw/arm/boot.c, hw/riscv/boot.c).
 */
export function readUBoot(head: Buffer): KernelImage | undefined {
  if (!has(head, 0, [0x27, 0x05, 0x19, 0x56])) return undefined;
  return refused("is an image for U-Boot, not a plain kernel");
}
