import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CpioEntry, CpioReader } from "../../../src/kernel/cpio.ts";
import { cpio, type File } from "./initrds.ts";

/** Reads with pieces of this many bytes; the files' content is kept. */
function read(bytes: Buffer, piece = bytes.length || 1, maxEntries?: number) {
  const found: [string, string | number][] = [];
  const reader = new CpioReader(
    {
      entry: ({ name, size }: CpioEntry) => {
        found.push([name, size]);
        return 1000;
      },
      content: (_entry, content) => {
        const last = found.at(-1);
        if (last !== undefined) last[1] = content.toString("latin1");
      },
    },
    maxEntries,
  );
  let taken = 0;
  for (let at = 0; at < bytes.length; at += piece) {
    const part = bytes.subarray(at, at + piece);
    const length = reader.feed(part);
    taken += length;
    if (length < part.length) break;
  }
  const { problem, archives, complete } = reader;
  return { found, taken, problem, archives, complete };
}

const FILES: File[] = [
  { name: ".", mode: 0o40755 },
  { name: "empty" },
  { name: "a", content: "x" },
  { name: "link", content: "a", mode: 0o120777 },
  { name: "four", content: "1234" },
];
const WHOLE = cpio(FILES);

describe("CpioReader", () => {
  it.each([["070701"], ["070702"]] as const)("reads %s, in pieces of any size", (magic) => {
    const bytes = cpio(FILES, { magic });
    for (const piece of [1, 2, 3, 109, 110, 111, 512, bytes.length]) {
      expect(read(bytes, piece)).toEqual({
        found: [
          [".", 0],
          ["empty", 0],
          ["a", "x"],
          ["link", 1],
          ["four", "1234"],
        ],
        taken: bytes.length,
        problem: undefined,
        archives: 1,
        complete: true,
      });
    }
  });

  it("reads what cpio(1) writes", () => {
    const dir = mkdtempSync(join(tmpdir(), "bootshare-cpio-"));
    try {
      mkdirSync(join(dir, "sub"));
      writeFileSync(join(dir, "sub/file"), "hello");
      for (const format of ["newc", "crc"]) {
        const { stdout } = spawnSync("cpio", ["-o", "--quiet", "-H", format], {
          cwd: dir,
          input: "sub\nsub/file\n",
        });
        expect(read(stdout)).toMatchObject({ archives: 1, complete: true, taken: stdout.length });
        expect(read(stdout).found).toEqual([
          ["sub", 0],
          ["sub/file", "hello"],
        ]);
      }
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it("reads archives one after another, with zeros between and behind", () => {
    const bytes = Buffer.concat([WHOLE, Buffer.alloc(512), WHOLE, Buffer.alloc(3)]);
    expect(read(bytes, 100)).toMatchObject({ archives: 2, complete: true, taken: bytes.length });
  });

  it("stops where something else begins", () => {
    const bytes = Buffer.concat([WHOLE, Buffer.alloc(4), Buffer.from([0x28, 0xb5, 0x2f, 0xfd])]);
    expect(read(bytes)).toMatchObject({
      archives: 1,
      complete: true,
      taken: WHOLE.length + 4,
      problem: undefined,
    });
  });

  it("is complete at the end of the trailer, and nowhere before it", () => {
    for (let length = 1; length < WHOLE.length; length++) {
      expect(read(WHOLE.subarray(0, length))).toMatchObject({
        complete: false,
        archives: 0,
        problem: undefined,
      });
    }
    expect(read(cpio(FILES, { trailer: false }))).toMatchObject({ complete: false, archives: 0 });
  });

  const changed = (at: number, text: string): Buffer => {
    const bytes = Buffer.from(WHOLE);
    bytes.write(text, at, "latin1");
    return bytes;
  };
  it.each([
    ["the old format", changed(0, "070707"), "old-format"],
    ["no magic number", changed(1, "x"), "no-entry"],
    ["a field that is no number", changed(14, "g"), "no-entry"],
    ["a name of no length", changed(94, "00000000"), "no-entry"],
    ["a name without an end", changed(110, "xx"), "no-entry"],
    ["a name beyond PATH_MAX", changed(94, "00001001"), "name-too-long"],
    ["an archive at an odd place", Buffer.concat([WHOLE, Buffer.alloc(1), WHOLE]), "misaligned"],
    [
      "a wrong checksum",
      cpio([{ name: "a", content: "x", checksum: 1 }], { magic: "070702" }),
      "bad-checksum",
    ],
  ])("refuses %s", (_what, bytes, problem) => expect(read(bytes)).toMatchObject({ problem }));

  it("takes no more entries than it was told, the trailer counted", () => {
    expect(read(WHOLE, 64, 6)).toMatchObject({ problem: undefined, complete: true });
    expect(read(WHOLE, 64, 5)).toMatchObject({ problem: "too-many-entries", complete: false });
  });

  it("says the same of any bytes, however they are cut into pieces", () => {
    const mixed = fc.array(
      fc.oneof(fc.uint8Array({ maxLength: 200 }), fc.constant(WHOLE), fc.constant(WHOLE.subarray(0, 150))),
    );
    fc.assert(
      fc.property(mixed, fc.integer({ min: 1, max: 300 }), (parts, piece) => {
        const bytes = Buffer.concat(parts);
        expect(read(bytes, piece)).toEqual({ ...read(bytes), taken: expect.any(Number) });
      }),
    );
  });
});
