import { randomBytes } from "node:crypto";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import type { InitrdFacts } from "../../../src/kernel/initrd-facts.ts";
import { type LookLimits, lookInto } from "../../../src/preflight/look.ts";
import { cpio, MICROCODE, PACKER_NAMES, type Packer, pack, RELEASE, tree } from "../kernel/initrds.ts";

const LIMITS: LookLimits = { maxBytes: 16 * 1024 * 1024 };
const TREE = cpio(tree());

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "bootshare-look-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

async function look(bytes: Buffer, limits = LIMITS, size = bytes.length): Promise<InitrdFacts> {
  const file = join(dir, "initrd");
  writeFileSync(file, bytes);
  const fd = openSync(file, "r");
  try {
    return await lookInto(fd, size, limits);
  } finally {
    closeSync(fd);
  }
}

/** What is told of a whole initrd of {@link tree}. */
const whole = (formats: readonly string[], archives = 1) => ({
  formats,
  archives,
  bytes: expect.any(Number),
  init: true,
  madeBy: "initramfs-tools",
  releases: [
    {
      release: RELEASE,
      listsBuiltIn: true,
      drivers: expect.objectContaining({ ext4: { state: "present", missing: [] } }),
    },
  ],
});

describe("a whole initrd", () => {
  it("is one archive that is not packed", async () => {
    expect(await look(TREE)).toEqual(whole(["cpio"]));
  });

  it.each(PACKER_NAMES)("is packed by %s", async (packer) => {
    expect(await look(pack(packer, TREE))).toEqual(whole([packer]));
  });

  it.each(PACKER_NAMES)("has microcode in front of what is packed by %s", async (packer) => {
    const bytes = Buffer.concat([MICROCODE, Buffer.alloc(512), pack(packer, TREE)]);
    expect(await look(bytes)).toEqual(whole(["cpio", packer], 2));
  });

  it.each(["zstd", "xz"] as const)("goes on behind a part that is packed by %s", async (packer) => {
    const first = pack(packer, MICROCODE);
    const gap = Buffer.alloc(4 - (first.length % 4));
    for (const next of [TREE, pack("gzip", TREE), pack("zstd", TREE), pack("xz", TREE)]) {
      const facts = await look(Buffer.concat([first, gap, next]));
      expect(facts).toMatchObject({ archives: 2, init: true });
      expect(facts.problem).toBeUndefined();
    }
  });

  it.each(["zstd", "xz", "lz4"] as const)(
    "finds the end of a long part that is packed by %s",
    async (packer) => {
      // What cannot be packed: the part's end comes to stand on both sides of the borders of what is read at once.
      for (const more of [-2, -1, 0, 1, 2, 700]) {
        const content = randomBytes(3 * 1024 * 1024 + 4 * more);
        const bytes = pack(packer, cpio([{ name: "firmware", content }, ...tree()]));
        const gap = Buffer.alloc(4 - (bytes.length % 4));
        const next = packer === "lz4" ? gap : Buffer.concat([gap, TREE]);
        const facts = await look(Buffer.concat([bytes, next]));
        expect(facts).toMatchObject({ archives: packer === "lz4" ? 1 : 2 });
        expect(facts.problem).toBeUndefined();
      }
    },
  );

  it.each(["gzip", "bzip2"] as const)("says so where something follows %s", async (packer) => {
    const facts = await look(Buffer.concat([pack(packer, TREE), MICROCODE]));
    expect(facts).toEqual({ ...whole([packer]), unseenAfter: packer });
  });

  it("has parts that follow each other, packed by the same", async () => {
    for (const packer of ["gzip", "xz", "zstd", "bzip2"] as const) {
      const facts = await look(Buffer.concat([pack(packer, MICROCODE), pack(packer, TREE)]));
      expect(facts).toMatchObject({ archives: 2, init: true });
      expect(facts.problem).toBeUndefined();
    }
  });

  it.each(["gzip", "xz", "zstd", "lz4"] as const)("ends in zeros behind %s", async (packer) => {
    expect(await look(Buffer.concat([pack(packer, TREE), Buffer.alloc(512)]))).toEqual(whole([packer]));
  });
});

describe("an initrd that is cut short", () => {
  /** Lengths: within the head of the file, in its middle, before its last bytes. */
  const cuts = (bytes: Buffer): number[] => [8, 20, bytes.length >> 1, bytes.length - 12, bytes.length - 1];

  it.each(PACKER_NAMES)("is refused, packed by %s", async (packer) => {
    const bytes = pack(packer, TREE);
    for (const length of cuts(bytes)) {
      expect({ length, problem: (await look(bytes.subarray(0, length))).problem }).toEqual({
        length,
        problem: expect.stringMatching(/^(damaged|cut-short)$/),
      });
    }
  });

  it("is refused, not packed", async () => {
    const end = TREE.indexOf("TRAILER!!!") - 110;
    for (const length of [6, 110, end - 1, end, end + 110, TREE.length - 5]) {
      expect(await look(TREE.subarray(0, length))).toMatchObject({ problem: "cut-short" });
    }
  });

  it.each(PACKER_NAMES)(
    "is refused where a part of %s is whole and the archive in it is not",
    async (packer) => {
      const bytes = pack(packer, cpio(tree(), { trailer: false }));
      expect(await look(bytes)).toMatchObject({ problem: "cut-short", archives: 0 });
    },
  );

  it("is refused where only the microcode is there, in part", async () => {
    const bytes = Buffer.concat([MICROCODE, pack("zstd", TREE)]);
    expect(await look(bytes.subarray(0, MICROCODE.length + 2))).toMatchObject({ problem: "unknown-format" });
    expect(await look(bytes.subarray(0, MICROCODE.length + 9))).toMatchObject({ problem: "damaged" });
  });

  it("is refused where it shrank since it was opened", async () => {
    expect(await look(TREE.subarray(0, 2000), LIMITS, TREE.length)).toMatchObject({ problem: "cut-short" });
    expect(await look(Buffer.alloc(0), LIMITS, 1000)).toMatchObject({ problem: "cut-short" });
  });
});

describe("an initrd that is damaged", () => {
  it.each(["gzip", "xz", "zstd", "bzip2"] as const)("is refused, packed by %s", async (packer) => {
    const bytes = pack(packer, TREE);
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 0x10, bytes.length >> 1);
    expect((await look(bytes)).problem).toBeDefined();
  });

  const odd: [string, Buffer, string][] = [
    ["holds nothing but zeros", Buffer.alloc(5000), "cut-short"],
    ["holds text behind its archive", Buffer.concat([TREE, Buffer.from("xxxx")]), "unknown-format"],
    [
      "holds text behind the archive that is packed",
      pack("zstd", Buffer.concat([TREE, Buffer.from("xxxx")])),
      "junk",
    ],
    ["holds no archive in what is packed", pack("xz", Buffer.from("xxxx")), "junk"],
    [
      "is of the old format inside",
      pack("gzip", Buffer.concat([Buffer.from("070707"), Buffer.alloc(200, "0")])),
      "old-format",
    ],
    ["has an archive at an odd place", Buffer.concat([TREE, Buffer.alloc(1), TREE]), "misaligned"],
    [
      "has a wrong checksum",
      pack("zstd", cpio([{ name: "a", content: "x", checksum: 7 }], { magic: "070702" })),
      "bad-checksum",
    ],
    [
      "has more parts than any",
      Buffer.concat(Array.from({ length: 65 }, () => pack("zstd", MICROCODE))),
      "too-many-entries",
    ],
    [
      "has more modules than any",
      cpio(Array.from({ length: 33_000 }, (_, i) => ({ name: `lib/modules/6/m${i}.ko` }))),
      "too-many-modules",
    ],
  ];
  test.each(odd)("%s", async (_what, bytes, problem) => expect(await look(bytes)).toMatchObject({ problem }));

  it("has more entries than it may", async () => {
    expect(await look(TREE, { ...LIMITS, maxEntries: 5 })).toMatchObject({ problem: "too-many-entries" });
  });
});

describe("a bomb", () => {
  const zeros = (packer: Packer): Buffer =>
    pack(packer, cpio([{ name: "big", content: Buffer.alloc(8 * 1024 * 1024) }]));
  it.each(PACKER_NAMES)("of %s is not unpacked further than to the limit", async (packer) => {
    const facts = await look(zeros(packer), { maxBytes: 1024 * 1024 });
    expect(facts).toMatchObject({ problem: "too-large", archives: 0 });
    expect(facts.bytes).toBeLessThan(1.5 * 1024 * 1024);
  });

  it("of many parts has one limit for all", async () => {
    const bytes = Buffer.concat(Array.from({ length: 4 }, () => zeros("zstd")));
    expect(await look(bytes, { maxBytes: 20 * 1024 * 1024 })).toMatchObject({
      problem: "too-large",
      archives: 2,
    });
  });
});

it("what nobody packs an initrd with is not looked into", async () => {
  const bytes = Buffer.concat([MICROCODE, Buffer.from([0x89, 0x4c, 0x5a, 0x4f, 0, 0, 0, 0])]);
  expect(await look(bytes)).toMatchObject({ formats: ["cpio", "lzop"], notUnpacked: "lzop" });
});

it("any bytes come to a result", async () => {
  const parts = [TREE, MICROCODE, ...PACKER_NAMES.map((packer) => pack(packer, MICROCODE))];
  const bytes = fc
    .array(
      fc.oneof(fc.constantFrom(...parts), fc.uint8Array({ maxLength: 64 }), fc.constant(Buffer.alloc(4))),
      { maxLength: 4 },
    )
    .map((list) => Buffer.concat(list));
  const cut = fc.double({ min: 0, max: 1, noNaN: true });
  await fc.assert(
    fc.asyncProperty(bytes, cut, cut, async (whole, length, place) => {
      const changed = Buffer.from(whole.subarray(0, Math.ceil(whole.length * length)));
      if (changed.length > 0) changed.writeUInt8(0xff, Math.floor((changed.length - 1) * place));
      const facts = await look(changed);
      expect(facts.bytes).toBeLessThanOrEqual(LIMITS.maxBytes);
    }),
    { numRuns: 60 },
  );
});
