/**
 * The images of 32-bit ARM (Documentation/arch/arm/booting.rst and arch/arm/boot/compressed/head.S), arm64
 * (Documentation/arch/arm64/booting.rst) and riscv64 (Documentation/arch/riscv/boot-image-header.rst), and the two
 * wrappings of arm64's that QEMU unpacks (hw/arm/boot.c).
 */
import { constants, gunzipSync } from "node:zlib";
import type { DebianArch } from "./arch.ts";
import { cString, has, u16, u32, u64 } from "./bytes.ts";
import { cutShort, type KernelImage, refused } from "./image-facts.ts";

/** Reads a 32-bit ARM zImage; undefined when these bytes do not begin one. */
export function readArmZImage(head: Buffer, size: number): KernelImage | undefined {
  const magic = u32(head, 0x24);
  if (magic === 0x18286f01) return refused("is a big-endian ARM kernel");
  if (magic !== 0x016f2818) return undefined;
  const start = u32(head, 0x28);
  const end = u32(head, 0x2c);
  if (start === undefined || end === undefined) return refused("is cut short: it ends within its header");
  if (end <= start) return refused("has an ARM header that says it holds no kernel");
  // Nothing in the header tells armv5 (armel's) from armv7 (armhf's).
  return cutShort(end - start, size) ?? { ok: true, format: "zImage", arches: ["armhf", "armel"] };
}

/** Reads the plain Image of arm64 or riscv64, whose 64-byte headers are one; undefined for anything else. */
export function readPlainImage(head: Buffer, size: number): KernelImage | undefined {
  const arch = has(head, 0x38, "ARM\x64") ? "arm64" : has(head, 0x38, "RSC\x05") ? "riscv64" : undefined;
  if (arch === undefined) return undefined;
  const imageSize = u64(head, 0x10);
  const flags = u32(head, 0x18);
  if (imageSize === undefined || flags === undefined)
    return refused("is cut short: it ends within its header");
  if ((flags & 1) !== 0) return refused(`is a big-endian ${arch} kernel`);
  // image_size is what it takes in memory, with what is cleared behind the file's end: it does not tell the file's size.
  // Since Linux 3.17 (arm64) and from the start (riscv64) it is not zero, and QEMU relies on that.
  if (imageSize === 0) return refused(`has an ${arch} header without a size`);
  return cutShort(peEnd(head), size) ?? { ok: true, format: "Image", arches: [arch] };
}

/** Reads an EFI zboot image (drivers/firmware/efi/libstub/zboot-header.S); undefined for anything else. */
export function readZboot(head: Buffer, size: number): KernelImage | undefined {
  if (!has(head, 0, "MZ") || !has(head, 4, "zimg")) return undefined;
  const offset = u32(head, 8);
  const length = u32(head, 12);
  const compression = cString(head, 24, 32);
  if (offset === undefined || length === undefined || compression === undefined) {
    return refused("is an EFI zboot image with a broken header");
  }
  const arch = peMachine(head);
  if (arch === undefined) return refused("is an EFI zboot image for a machine that is not known here");
  if (arch !== "arm64") return refused(`is an EFI zboot image for ${arch}, which QEMU does not unpack`);
  if (compression !== "gzip") {
    const packer = /^[a-z0-9]+$/.test(compression) ? compression : "something unknown";
    return refused(`is an EFI zboot image packed with ${packer}; every QEMU unpacks gzip only`);
  }
  return cutShort(offset + length, size) ?? { ok: true, format: "zboot", arches: [arch] };
}

/**
 * Reads a kernel that was packed with gzip, by unpacking the first of it; undefined when it is no gzip file. Its end
 * cannot be seen from here.
 */
export function readGzipImage(head: Buffer): KernelImage | undefined {
  if (!has(head, 0, [0x1f, 0x8b])) return undefined;
  let inner: Buffer;
  try {
    // 4 KiB of deflate become 4 MiB at most: a guest cannot fill the memory with this.
    inner = gunzipSync(head.subarray(0, 4096), { finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return refused("is a broken gzip file");
  }
  const image = readPlainImage(inner, Number.POSITIVE_INFINITY);
  if (image === undefined) return refused("is a gzip file that holds no kernel for arm64 or riscv64");
  if (!image.ok) return image;
  // QEMU's hw/riscv/boot.c loads the file as it is.
  if (!image.arches.includes("arm64"))
    return refused("is packed with gzip, which QEMU unpacks for arm64 only");
  return { ok: true, format: "Image.gz", arches: image.arches };
}

/** The architecture in a PE header, of those that zboot is made for. */
function peMachine(head: Buffer): DebianArch | undefined {
  const pe = peHeader(head);
  const machine = pe === undefined ? undefined : u16(head, pe + 4);
  if (machine === 0xaa64) return "arm64";
  return machine === 0x5064 ? "riscv64" : undefined;
}

/**
 * Where the last section of a PE file ends, in bytes from the file's start. Debian's images carry the EFI stub, so they
 * are PE files too, and the sections cover the image to its end (a signature may follow). Where the file ends within its
 * headers, the end of these; undefined for a file without such a header.
 */
function peEnd(head: Buffer): number | undefined {
  const pe = peHeader(head);
  if (pe === undefined) return has(head, 0, "MZ") ? (u32(head, 0x3c) ?? 0x3c) + 24 : undefined;
  const sections = u16(head, pe + 6) ?? 0;
  const table = pe + 24 + (u16(head, pe + 20) ?? 0);
  let end = table + sections * 40;
  for (let i = 0; i < sections; i++) {
    const length = u32(head, table + i * 40 + 16);
    const offset = u32(head, table + i * 40 + 20);
    if (length === undefined || offset === undefined) return end;
    if (length > 0) end = Math.max(end, offset + length);
  }
  return end;
}

function peHeader(head: Buffer): number | undefined {
  const offset = has(head, 0, "MZ") ? u32(head, 0x3c) : undefined;
  return offset !== undefined && has(head, offset, "PE\0\0") ? offset : undefined;
}
