/** Reading numbers from bytes that may be anything, of any length: out of bounds is `undefined`, never an exception. */

export function u8(bytes: Buffer, offset: number): number | undefined {
  return inside(bytes, offset, 1) ? bytes.readUInt8(offset) : undefined;
}

/** Little-endian, like the others unless the name says otherwise. */
export function u16(bytes: Buffer, offset: number): number | undefined {
  return inside(bytes, offset, 2) ? bytes.readUInt16LE(offset) : undefined;
}

export function u32(bytes: Buffer, offset: number): number | undefined {
  return inside(bytes, offset, 4) ? bytes.readUInt32LE(offset) : undefined;
}

/** Numbers beyond 2^53 lose their last bits: good enough to see that they are absurd. */
export function u64(bytes: Buffer, offset: number): number | undefined {
  return inside(bytes, offset, 8) ? Number(bytes.readBigUInt64LE(offset)) : undefined;
}

/** Whether these bytes stand at `offset`: ASCII text, or a list of byte values. */
export function has(bytes: Buffer, offset: number, expected: string | readonly number[]): boolean {
  const wanted = typeof expected === "string" ? Buffer.from(expected, "latin1") : Buffer.from(expected);
  return (
    inside(bytes, offset, wanted.length) && bytes.subarray(offset, offset + wanted.length).equals(wanted)
  );
}

/** The bytes up to a NUL as Latin-1 text; undefined when there is no NUL within `limit` bytes. */
export function cString(bytes: Buffer, offset: number, limit: number): string | undefined {
  if (!inside(bytes, offset, 1)) return undefined;
  const end = bytes.subarray(offset, offset + limit).indexOf(0);
  return end < 0 ? undefined : bytes.subarray(offset, offset + end).toString("latin1");
}

function inside(bytes: Buffer, offset: number, length: number): boolean {
  return Number.isSafeInteger(offset) && offset >= 0 && offset + length <= bytes.length;
}

/** Bytes as UTF-8 text, exactly as they are (a byte order mark stays); undefined when they are not UTF-8. */
export function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
