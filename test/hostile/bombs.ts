/** Small files that unpack to more than any initrd may. */
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import { inject } from "vitest";
import { INITRD_MAX_UNPACKED_BYTES } from "../../src/kernel/limits.ts";
import { PACKERS, type Packer, pack } from "../unit/kernel/initrds.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** A folder that lives as long as the run. */
    bombs: string;
  }
}

/** How much one piece unpacks to, in bytes. */
const PIECE = 2 ** 25;
const BYTES = INITRD_MAX_UNPACKED_BYTES + PIECE;

/**
 * Zeros without end, as far as this format goes. Made once in a run: where the format takes one packed file behind another
 * for the same thing, of many copies of a small one, since packing it all takes half a minute.
 */
export function bomb(packer: Packer): Buffer {
  const file = join(inject("bombs"), packer);
  if (!fs.existsSync(file)) {
    if (packer === "gzip" || packer === "bzip2") {
      const piece = pack(packer, Buffer.alloc(PIECE));
      fs.writeFileSync(file, Buffer.concat(Array.from({ length: BYTES / PIECE }, () => piece)));
    } else packZeros(packer, file);
  }
  return fs.readFileSync(file);
}

function packZeros(packer: Packer, file: string): void {
  const zeros = `${file}.zeros`;
  fs.writeFileSync(zeros, "");
  fs.truncateSync(zeros, BYTES);
  const from = fs.openSync(zeros, "r");
  const to = fs.openSync(`${file}.new`, "w");
  const [program, ...args] = PACKERS[packer];
  const { status } = spawnSync(program, [...args, "-1"], { stdio: [from, to, "inherit"] });
  for (const fd of [from, to]) fs.closeSync(fd);
  fs.rmSync(zeros);
  if (status !== 0) throw new Error(`${program} failed`);
  fs.renameSync(`${file}.new`, file);
}
