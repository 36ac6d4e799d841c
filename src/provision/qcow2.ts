/**
 * What the head of a qcow2 image says. Read here and not by qemu-img, which opens whatever file an image names: the QEMU of a
 * guest writes its disk's head, and may have been taken over.
 * Source: QEMU, docs/interop/qcow2.txt.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { UserError } from "../errors.ts";

const MAGIC = 0x514649fb;
/** Bytes of a head of version 3, without what follows it. */
const HEAD_BYTES = 104;
/** The format's own limit for the name of a backing file. */
const MAX_NAME = 1023;
/** The incompatible feature that guest data is in a file of its own. */
const EXTERNAL_DATA = 1n << 2n;
/** Largest table that is looked at: what QEMU itself takes at most, 32 MiB. */
const MAX_L1_BYTES = 32 * 1024 * 1024;

/** No file is that long. */
const MAX_POSITION = BigInt(Number.MAX_SAFE_INTEGER);

export interface Qcow2Head {
  /** Size that the guest sees, in bytes. */
  readonly size: number;
  /** The file that it stands on, as it is named there. Not trusted. */
  readonly backing: string | undefined;
  /** Its data is in another file. */
  readonly external: boolean;
  /** Nothing was ever written to it: all that it holds is what it stands on. */
  readonly untouched: boolean;
}

/** @throws {UserError} `DISK_NOT_QCOW2` */
export function readQcow2(file: string): Qcow2Head {
  const fd = openSync(file, "r");
  try {
    const head = read(fd, HEAD_BYTES, 0);
    const version = head.length === HEAD_BYTES && head.readUInt32BE(0) === MAGIC ? head.readUInt32BE(4) : 0;
    if (version !== 2 && version !== 3) throw notQcow2(file);
    const nameAt = head.readBigUInt64BE(8);
    const nameLength = head.readUInt32BE(16);
    if (nameLength > MAX_NAME || nameAt > MAX_POSITION) throw notQcow2(file);
    const name = nameAt === 0n ? undefined : read(fd, nameLength, Number(nameAt)).toString("utf8");
    const tableBytes = head.readUInt32BE(36) * 8;
    const tableAt = head.readBigUInt64BE(40);
    if (tableBytes > MAX_L1_BYTES || tableAt > MAX_POSITION) throw notQcow2(file);
    return {
      size: Number(head.readBigUInt64BE(24)),
      backing: name,
      external: version === 3 && (head.readBigUInt64BE(72) & EXTERNAL_DATA) !== 0n,
      untouched: read(fd, tableBytes, Number(tableAt)).every((byte) => byte === 0),
    };
  } finally {
    closeSync(fd);
  }
}

function read(fd: number, length: number, position: number): Buffer {
  const buffer = Buffer.alloc(length);
  return buffer.subarray(0, readSync(fd, buffer, 0, length, position));
}

function notQcow2(file: string): UserError {
  return new UserError("DISK_NOT_QCOW2", `${file} is no qcow2 image, so no clone can stand on it.`, {
    hint: "Convert it with 'qemu-img convert -O qcow2', and name the new file in the domain.",
  });
}
