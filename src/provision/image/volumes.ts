/**
 * What is on a disk: its partitions, and what each holds. By partx(8) and blkid(8), which read a file as they read a device
 * and need no rights to.
 */
import { UserError } from "../../errors.ts";
import { missingProgram } from "../../process.ts";
import { lastLines } from "../../text.ts";
import { type Outsider, runAsOutsider } from "./outsider.ts";

/** A stretch of the disk, in bytes. */
export interface Extent {
  /** Of the partition table; undefined for the whole disk. */
  readonly number: number | undefined;
  readonly offset: number;
  readonly bytes: number;
  /** PARTUUID, lower case. */
  readonly partUuid: string | undefined;
}

/** What an extent holds, as blkid says it: `ext4`, `vfat`, `LVM2_member`, `crypto_LUKS`, … Not trusted. */
export interface Volume extends Extent {
  readonly type: string | undefined;
  readonly uuid: string | undefined;
  readonly label: string | undefined;
}

const SECTOR = 512;
/** More partitions than any installed system has: what lies beyond is not looked at. */
const MAX_PARTITIONS = 64;

/** Reads what `partx --raw --noheadings --output NR,START,SECTORS,UUID` prints, in sectors of 512 bytes. */
export function parsePartitions(text: string): Extent[] {
  return text
    .split("\n")
    .flatMap((line) => {
      const [, number, start, sectors, uuid] = /^(\d+) (\d+) (\d+)(?: ([0-9A-Fa-f-]+))?\s*$/.exec(line) ?? [];
      if (number === undefined || sectors === undefined) return [];
      const extent = {
        number: Number(number),
        offset: Number(start) * SECTOR,
        bytes: Number(sectors) * SECTOR,
        partUuid: uuid?.toLowerCase(),
      };
      return [extent.number, extent.offset, extent.bytes].every(Number.isSafeInteger) ? [extent] : [];
    })
    .slice(0, MAX_PARTITIONS);
}

/** Reads what `blkid --output export` prints: a line `NAME=VALUE` each, characters other than plain ones with a backslash. */
export function parseBlkid(text: string): Pick<Volume, "type" | "uuid" | "label"> {
  const values = new Map(
    text.split("\n").flatMap((line) => {
      const at = line.indexOf("=");
      return at < 1 ? [] : [[line.slice(0, at), line.slice(at + 1).replace(/\\(.)/g, "$1")] as const];
    }),
  );
  return { type: values.get("TYPE"), uuid: values.get("UUID"), label: values.get("LABEL") };
}

/**
 * All volumes of a disk: the whole disk where it has no partition table.
 *
 * @param raw name of the disk in the outsider's folder
 * @param bytes its size
 * @throws {UserError} `PROGRAM_MISSING`, `PROGRAM_FAILED`
 */
export async function volumesOf(
  raw: string,
  bytes: number,
  outsider: Outsider,
  signal: AbortSignal,
): Promise<Volume[]> {
  const columns = "NR,START,SECTORS,UUID";
  const args = ["--raw", "--noheadings", "--sector-size", String(SECTOR), "--output", columns, raw];
  const table = await runAsOutsider(outsider, "partx", args, { signal });
  signal.throwIfAborted();
  if (table.missing) throw missingProgram("partx");
  const none = /failed to read partition table/.test(table.stderr);
  if (table.exitCode !== 0 && !none) {
    throw new UserError("PROGRAM_FAILED", `partx failed with exit code ${table.exitCode}.`, {
      detail: lastLines(table.stderr),
    });
  }
  const partitions = parsePartitions(table.stdout);
  const whole: Extent = { number: undefined, offset: 0, bytes, partUuid: undefined };
  const extents = partitions.length === 0 ? [whole] : partitions;
  const volumes: Volume[] = [];
  for (const extent of extents) {
    const where = ["--offset", String(extent.offset), "--size", String(extent.bytes)];
    const probe = [
      "--probe",
      "--usages",
      "filesystem,raid,crypto,other",
      "--output",
      "export",
      ...where,
      raw,
    ];
    const found = await runAsOutsider(outsider, "blkid", probe, { signal });
    signal.throwIfAborted();
    // 2: nothing that it knows; 8: more than one thing.
    if (![0, 2, 8].includes(found.exitCode)) {
      throw new UserError("PROGRAM_FAILED", `blkid failed with exit code ${found.exitCode}.`, {
        detail: lastLines(found.stderr),
      });
    }
    volumes.push({ ...extent, ...parseBlkid(found.stdout) });
  }
  return volumes;
}
