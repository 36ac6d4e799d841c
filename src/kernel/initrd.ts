/** Knows an initrd by its first bytes. */
import { has } from "./bytes.ts";

/** `cpio` is what the archive begins with when it is not compressed, or when processor microcode stands in front. */
export const INITRD_FORMATS = ["cpio", "gzip", "xz", "zstd", "lz4", "lzma", "lzop", "bzip2"] as const;
export type InitrdFormat = (typeof INITRD_FORMATS)[number];

export type InitrdHead =
  | { readonly ok: true; readonly format: InitrdFormat }
  /** A phrase that follows the file's name. Safe to show. */
  | { readonly ok: false; readonly reason: string };

// The kernel's own table (lib/decompress.c), and the two cpio formats of init/initramfs.c.
const MAGICS: readonly (readonly [InitrdFormat, string | readonly number[]])[] = [
  ["cpio", "070701"],
  ["cpio", "070702"],
  ["gzip", [0x1f, 0x8b]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["zstd", [0x28, 0xb5, 0x2f, 0xfd]],
  ["lz4", [0x02, 0x21, 0x4c, 0x18]],
  ["lzma", [0x5d, 0x00, 0x00]],
  ["lzop", [0x89, 0x4c]],
  ["bzip2", "BZh"],
];

/** What looks like an initrd and is not one that a kernel unpacks. */
const UNUSABLE: readonly (readonly [string, string | readonly number[]])[] = [
  [
    "is packed with lz4 in its newer format; the kernel unpacks the legacy one only (lz4 -l)",
    [0x04, 0x22, 0x4d, 0x18],
  ],
  ['is a cpio archive of the old format; the kernel needs "newc"', "070707"],
];

/**
 * Reads which format an initrd begins with. This is shallow: a broken or unfinished archive passes (preflight/ looks deeper).
 *
 * @param head the file's first bytes, of any length; not trusted, nothing throws
 * @param size the whole file's size in bytes
 */
export function readInitrdHead(head: Buffer, size: number): InitrdHead {
  if (size === 0 || head.length === 0) return { ok: false, reason: "is empty" };
  for (const [format, magic] of MAGICS) if (has(head, 0, magic)) return { ok: true, format };
  for (const [reason, magic] of UNUSABLE) if (has(head, 0, magic)) return { ok: false, reason };
  return {
    ok: false,
    reason: "does not begin like an initrd (cpio, or a compression that the kernel knows)",
  };
}
