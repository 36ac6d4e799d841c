import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { parseBlkid, parsePartitions, volumesOf } from "../../../../src/provision/image/volumes.ts";

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

describe("volumesOf", () => {
  const folder = mkdtempSync(join(tmpdir(), "bootshare-volumes-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  const MIB = 2 ** 20;
  const BYTES = 32 * MIB;
  const env = { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` };
  const outsider = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, folder };
  const { signal } = new AbortController();
  const make = (name: string): string => {
    const file = join(folder, name);
    writeFileSync(file, "");
    truncateSync(file, BYTES);
    return file;
  };
  const ext4 = async (file: string, offset: number, label: string): Promise<void> => {
    const options = ["-q", "-t", "ext4", "-L", label, "-E", `offset=${offset}`];
    await execa("mke2fs", [...options, file, "8M"], { env });
  };

  it("sees the partitions of a disk, and what they hold", async () => {
    const file = make("gpt.raw");
    const table = "label: gpt\nstart=2048, size=2048\nstart=4096, size=16384\nstart=20480, size=16384\n";
    await execa("sfdisk", ["--quiet", "--no-reread", "--no-tell-kernel", file], { env, input: table });
    await ext4(file, 2 * MIB, "a root");
    const volumes = await volumesOf("gpt.raw", BYTES, outsider, signal);
    expect(
      volumes.map(({ number, offset, bytes, type, label }) => [number, offset, bytes, type, label]),
    ).toEqual([
      [1, MIB, MIB, undefined, undefined],
      [2, 2 * MIB, 8 * MIB, "ext4", "a root"],
      [3, 10 * MIB, 8 * MIB, undefined, undefined],
    ]);
    expect(volumes[1]?.partUuid).toMatch(/^[0-9a-f-]{36}$/);
    expect(volumes[1]?.uuid).toMatch(/^[0-9a-f-]{36}$/);
  });

  it("sees a disk without partitions as one volume", async () => {
    await ext4(make("whole.raw"), 0, "whole");
    expect(await volumesOf("whole.raw", BYTES, outsider, signal)).toEqual([
      expect.objectContaining({ number: undefined, offset: 0, bytes: BYTES, type: "ext4", label: "whole" }),
    ]);
  });

  it("sees nothing on an empty disk", async () => {
    make("empty.raw");
    expect(await volumesOf("empty.raw", BYTES, outsider, signal)).toMatchObject([{ type: undefined }]);
  });
});
