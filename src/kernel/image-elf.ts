/** ppc64el's kernel, an ELF file, and s390x's, which has a mark of its own; and what is refused although it is ELF. */
import { has, u8, u16, u64 } from "./bytes.ts";
import { cutShort, type KernelImage, refused } from "./image-facts.ts";

const EM_386 = 3;
const EM_PPC64 = 21;
const EM_X86_64 = 62;

/** Reads an ELF file; undefined when it is none. Only a little-endian 64-bit PowerPC kernel is one that boots here. */
export function readElf(head: Buffer, size: number): KernelImage | undefined {
  if (!has(head, 0, "\x7fELF")) return undefined;
  const is64 = u8(head, 4) === 2;
  const littleEndian = u8(head, 5) === 1;
  const machine = littleEndian ? u16(head, 18) : undefined;
  if (machine === EM_386 || machine === EM_X86_64) {
    // QEMU would try it as a multiboot or PVH image, another protocol than that of Debian's kernels.
    return refused("is a bare ELF file for x86, not a bzImage");
  }
  if (!is64 || machine !== EM_PPC64) return refused("is an ELF file, but not for ppc64el");
  if ((u16(head, 0x38) ?? 0) === 0) return refused("is an ELF file that holds no program");
  return cutShort(elfEnd(head), size) ?? { ok: true, format: "ELF", arches: ["ppc64el"] };
}

/** Where an ELF64 file ends by its headers, in bytes: the section table is the last thing in it, else the segments. */
function elfEnd(head: Buffer): number {
  const sections = (u64(head, 0x28) ?? 0) + (u16(head, 0x3a) ?? 0) * (u16(head, 0x3c) ?? 0);
  const table = u64(head, 0x20) ?? 0;
  const entrySize = u16(head, 0x36) ?? 0;
  const count = u16(head, 0x38) ?? 0;
  let end = Math.max(sections, table + entrySize * count);
  for (let i = 0; i < count; i++) {
    const offset = u64(head, table + i * entrySize + 8);
    const length = u64(head, table + i * entrySize + 32);
    if (offset === undefined || length === undefined) break;
    end = Math.max(end, offset + length);
  }
  return end;
}

/** Reads s390x's image by its table of entry points (arch/s390/boot/head.S). Its header does not tell its size. */
export function readS390(head: Buffer): KernelImage | undefined {
  return has(head, 0x10008, "S390EP") ? { ok: true, format: "s390", arches: ["s390x"] } : undefined;
}
