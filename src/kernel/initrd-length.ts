/**
 * Where a compressed part of an initrd ends, so that what follows can be looked at as the kernel does. Known for the formats
 * that say it without being unpacked. Formats: RFC 8878 (zstd); the .xz file format 1.2; the kernel's lib/decompress_unlz4.c.
 */
import { crc32 } from "node:zlib";

/** Reads `length` bytes at `offset`, fewer at the end. They are good until it is called again. */
export type ReadAt = (offset: number, length: number) => Buffer;

/** The part's end; undefined where it does not end as it should, or the format does not tell. Offsets in bytes. */
export function endOfPart(format: string, read: ReadAt, start: number, size: number): number | undefined {
  if (format === "zstd") return endOfZstd(read, start, size);
  if (format === "xz") return endOfXz(read, start, size);
  if (format === "lz4") return endOfLz4(read, start, size);
  return undefined;
}

/** One frame: the kernel unpacks one at a time. */
function endOfZstd(read: ReadAt, start: number, size: number): number | undefined {
  const descriptor = read(start + 4, 1)[0];
  if (descriptor === undefined) return undefined;
  const single = (descriptor & 0x20) !== 0;
  const contentSize = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3] ?? 0;
  let at = start + 5 + (single ? 0 : 1) + dictionary + contentSize;
  while (at + 3 <= size) {
    const header = read(at, 3);
    if (header.length < 3) return undefined;
    const value = header.readUIntLE(0, 3);
    const kind = (value >> 1) & 3;
    if (kind === 3) return undefined;
    at += 3 + (kind === 1 ? 1 : value >> 3);
    if ((value & 1) === 0) continue;
    at += (descriptor & 4) === 0 ? 0 : 4;
    return at <= size ? at : undefined;
  }
  return undefined;
}

const SCAN_BYTES = 1024 * 1024;
const FOOTER_BYTES = 12;

/** A stream ends in a footer that repeats its header's flags and has a checksum of its own, at a multiple of four bytes. */
function endOfXz(read: ReadAt, start: number, size: number): number | undefined {
  const flags = Buffer.from(read(start + 6, 2));
  for (let at = start + FOOTER_BYTES; at + FOOTER_BYTES <= size; at += SCAN_BYTES) {
    // Pieces overlap by less than a footer.
    const piece = read(at, SCAN_BYTES + FOOTER_BYTES - 4);
    for (let i = 0; i + FOOTER_BYTES <= piece.length && i < SCAN_BYTES; i += 4) {
      if (piece[i + 10] !== 0x59 || piece[i + 11] !== 0x5a) continue;
      if (piece[i + 8] !== flags[0] || piece[i + 9] !== flags[1]) continue;
      if (piece.readUInt32LE(i) === crc32(piece.subarray(i + 4, i + 10))) return at + i + FOOTER_BYTES;
    }
  }
  return undefined;
}

/**
 * Blocks with their length in front, until there is no room for another or one has length zero. The magic number may stand
 * again in between.
 */
function endOfLz4(read: ReadAt, start: number, size: number): number | undefined {
  let at = start + 4;
  while (at < size) {
    const head = read(at, 4);
    if (head.length < 4) return at;
    const length = head.readUInt32LE(0);
    if (length === 0) return at;
    at += 4 + (length === 0x184c2102 ? 0 : length);
  }
  return at === size ? at : undefined;
}
