/** x86 bzImage, after the kernel's Documentation/arch/x86/boot.rst. */
import { cString, has, u8, u16, u32 } from "./bytes.ts";
import { cutShort, type KernelImage, refused } from "./image-facts.ts";
import { hasMultibootHeader } from "./image-foreign.ts";
import { isRelease } from "./names.ts";

const LOADED_HIGH = 1;
const XLF_KERNEL_64 = 1;

/** Reads a bzImage's setup header; undefined when these bytes do not begin one. */
export function readBzImage(head: Buffer, size: number): KernelImage | undefined {
  if (!has(head, 0x202, "HdrS")) return undefined;
  if (u16(head, 0x1fe) !== 0xaa55) return refused("has an x86 header without the boot flag");
  // QEMU asks for HdrS before it asks for multiboot (hw/i386/x86-common.c), so it would take this for Linux. What is two
  // things at once is refused all the same: which of them is loaded must not hang on the order in which others look.
  if (hasMultibootHeader(head))
    return refused("is a bzImage with a multiboot header in it, as no kernel of Debian has");
  const protocol = u16(head, 0x206);
  const loadFlags = u8(head, 0x211);
  if (protocol === undefined || loadFlags === undefined)
    return refused("is cut short: it ends within its header");
  if (protocol < 0x0204) return refused("has an x86 boot protocol older than 2.04");
  if ((loadFlags & LOADED_HIGH) === 0)
    return refused("is an x86 zImage, loaded low: no kernel of Debian's is");

  // setup_sects 0 means 4; syssize counts paragraphs of 16 bytes and is rounded up.
  const setupBytes = ((u8(head, 0x1f1) || 4) + 1) * 512;
  const systemBytes = (u32(head, 0x1f4) ?? 0) * 16;
  if (systemBytes === 0) return refused("has an x86 header that says it holds no kernel");
  const cut = cutShort(setupBytes + systemBytes - 15, size);
  if (cut !== undefined) return cut;

  const release = readRelease(head, setupBytes);
  return {
    ok: true,
    format: "bzImage",
    // Before protocol 2.12 (Linux 3.8) the header did not tell 64-bit kernels from others.
    arches: protocol < 0x020c ? ["i386", "amd64"] : is64(head) ? ["amd64"] : ["i386"],
    ...(release === undefined ? {} : { release }),
  };
}

function is64(head: Buffer): boolean {
  return ((u16(head, 0x236) ?? 0) & XLF_KERNEL_64) !== 0;
}

/** The first word of the version text, whose offset less 0x200 is at 0x20e. It lies within the setup sectors. */
function readRelease(head: Buffer, setupBytes: number): string | undefined {
  const pointer = u16(head, 0x20e);
  if (pointer === undefined || pointer === 0 || pointer + 0x200 >= setupBytes) return undefined;
  const word = cString(head, pointer + 0x200, 512)?.split(" ", 1)[0];
  return word !== undefined && isRelease(word) ? word : undefined;
}
