import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseBlkid, parsePartitions } from "../../../../src/provision/image/volumes.ts";

describe("parsePartitions", () => {
  it("reads what partx prints, in bytes", () => {
    const text =
      "1 262144 5980127 F6C9A2D2-0001-4DB9-A9D9-000000000001\n14 2048 6144 \n15 8192 253952 abc-01\n";
    expect(parsePartitions(text)).toEqual([
      { number: 1, offset: 134217728, bytes: 3061825024, partUuid: "f6c9a2d2-0001-4db9-a9d9-000000000001" },
      { number: 14, offset: 1048576, bytes: 3145728, partUuid: undefined },
      { number: 15, offset: 4194304, bytes: 130023424, partUuid: "abc-01" },
    ]);
  });

  it("leaves out what is none, and never throws", () => {
    expect(parsePartitions("NR START SECTORS\n1 x 3\n1 99999999999999999999 3\n")).toEqual([]);
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => Array.isArray(parsePartitions(text))));
  });
});

describe("parseBlkid", () => {
  it("reads names and values, with what it has escaped", () => {
    expect(parseBlkid("DEVNAME=a\nLABEL=cloudimg\\ rootfs\nUUID=1-2\nTYPE=ext4\n")).toEqual({
      type: "ext4",
      uuid: "1-2",
      label: "cloudimg rootfs",
    });
    expect(parseBlkid("")).toEqual({ type: undefined, uuid: undefined, label: undefined });
  });

  it("never throws", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => typeof parseBlkid(text) === "object"));
  });
});
