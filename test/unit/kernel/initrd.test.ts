import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readInitrdHead } from "../../../src/kernel/initrd.ts";

const bytes = (...values: number[]): Buffer => Buffer.concat([Buffer.from(values), Buffer.alloc(32)]);

describe("readInitrdHead", () => {
  it.each([
    ["cpio", Buffer.from("07070100000000")],
    ["cpio", Buffer.from("07070200000000")],
    ["gzip", bytes(0x1f, 0x8b, 8)],
    ["xz", bytes(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0)],
    ["zstd", bytes(0x28, 0xb5, 0x2f, 0xfd)],
    ["lz4", bytes(0x02, 0x21, 0x4c, 0x18)],
    ["lzma", bytes(0x5d, 0, 0, 0x80)],
    ["lzop", bytes(0x89, 0x4c, 0x5a, 0x4f)],
    ["bzip2", Buffer.from("BZh91AY")],
  ])("knows %s", (format, head) => {
    expect(readInitrdHead(head, 5000)).toEqual({ ok: true, format });
  });

  it.each([
    ["is empty", Buffer.alloc(0), 0],
    ["is empty", Buffer.from("070701"), 0],
    ["legacy", bytes(0x04, 0x22, 0x4d, 0x18), 100],
    ["newc", Buffer.from("0707070000"), 100],
    ["does not begin like", Buffer.alloc(512), 512],
    ["does not begin like", Buffer.from("07070"), 5],
    ["does not begin like", Buffer.from("MZ"), 2],
  ])("refuses with %s", (reason, head, size) => {
    expect(readInitrdHead(head, size)).toMatchObject({ ok: false, reason: expect.stringContaining(reason) });
  });

  it("gives a result for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(), (head, size) => {
        const result = readInitrdHead(Buffer.from(head), size);
        if (!result.ok) expect(result.reason).not.toBe("");
      }),
    );
  });
});
