import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isDebianArch } from "../../../src/kernel/arch.ts";
import { readKernelImage } from "../../../src/kernel/image.ts";
import { KERNEL_HEAD_BYTES } from "../../../src/kernel/limits.ts";
import { bzImage, elf, plainImage, s390, zboot, zImage } from "./images.ts";

const read = (image: Buffer, size = image.length) =>
  readKernelImage(image.subarray(0, KERNEL_HEAD_BYTES), size);

/** Puts a multiboot header at an offset. `off` spoils its checksum. */
function multiboot(image: Buffer, offset: number, flags = 0x10003, off = 0): Buffer {
  const copy = Buffer.from(image);
  copy.writeUInt32LE(0x1badb002, offset);
  copy.writeUInt32LE(flags, offset + 4);
  copy.writeUInt32LE((2 ** 33 - 0x1badb002 - flags + off) % 2 ** 32, offset + 8);
  return copy;
}

function patched(image: Buffer, offset: number, bytes: readonly number[]): Buffer {
  const copy = Buffer.from(image);
  copy.set(bytes, offset);
  return copy;
}

describe("readKernelImage knows", () => {
  it.each([
    ["an amd64 bzImage", bzImage(), { format: "bzImage", arches: ["amd64"], release: "6.12.38+deb13-amd64" }],
    [
      "an i386 bzImage",
      bzImage({ xloadflags: 4, release: "6.1.0-50-686-pae" }),
      { format: "bzImage", arches: ["i386"], release: "6.1.0-50-686-pae" },
    ],
    [
      "a bzImage from before protocol 2.12",
      bzImage({ protocol: 0x020a, xloadflags: 0, release: "3.2.0-4-amd64" }),
      { format: "bzImage", arches: ["i386", "amd64"], release: "3.2.0-4-amd64" },
    ],
    [
      "a bzImage with a signature behind it",
      Buffer.concat([bzImage(), Buffer.alloc(1472)]),
      { format: "bzImage" },
    ],
    ["a bzImage whose size was rounded up to 16", bzImage({ systemBytes: 4081 }), { format: "bzImage" }],
    ["an ARM zImage", zImage(), { format: "zImage", arches: ["armhf", "armel"] }],
    ["an arm64 Image", plainImage("arm64"), { format: "Image", arches: ["arm64"] }],
    [
      "an arm64 Image packed with gzip",
      gzipSync(plainImage("arm64")),
      { format: "Image.gz", arches: ["arm64"] },
    ],
    ["an arm64 zboot image", zboot(0xaa64, "gzip"), { format: "zboot", arches: ["arm64"] }],
    ["a riscv64 Image", plainImage("riscv64"), { format: "Image", arches: ["riscv64"] }],
    ["a ppc64el vmlinux", elf(21), { format: "ELF", arches: ["ppc64el"] }],
    ["an s390x image", s390(), { format: "s390", arches: ["s390x"] }],
  ])("%s", (_what, image, facts) => {
    expect(read(image)).toMatchObject({ ok: true, ...facts });
  });

  it("no release where the text is none", () => {
    for (const release of ["../../etc", "6.1\x1b[2J", "", "a".repeat(600)]) {
      const image = read(bzImage({ release, systemBytes: 8192 }));
      expect(image.ok).toBe(true);
      expect(image).not.toHaveProperty("release");
    }
  });

  it("no release where the pointer leads out of the setup sectors", () => {
    expect(read(patched(bzImage(), 0x20e, [0xff, 0xff]))).not.toHaveProperty("release");
  });
});

describe("readKernelImage refuses", () => {
  const unpackable = Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 0]), Buffer.alloc(64, 0xff)]);
  it.each([
    ["nothing", Buffer.alloc(0), "is empty"],
    ["zeros", Buffer.alloc(70_000), "is no kernel image that is known here"],
    ["text", Buffer.from("#!/bin/sh\n"), "is no kernel image that is known here"],
    ["a zImage of x86", patched(bzImage(), 0x211, [0]), "loaded low"],
    ["a header without the boot flag", patched(bzImage(), 0x1fe, [0, 0]), "without the boot flag"],
    ["an x86 header of no kernel", patched(bzImage(), 0x1f4, [0, 0, 0, 0]), "holds no kernel"],
    ["a big-endian ARM kernel", patched(zImage(), 0x24, [0x01, 0x6f, 0x28, 0x18]), "big-endian"],
    ["an ARM header of no kernel", patched(zImage(), 0x2c, [0, 0, 0, 0]), "holds no kernel"],
    ["a big-endian arm64 kernel", patched(plainImage("arm64"), 0x18, [1]), "big-endian"],
    ["an arm64 header without size", patched(plainImage("arm64"), 0x10, Array(8).fill(0)), "without a size"],
    ["a bare x86 ELF", elf(62), "bare ELF file for x86"],
    ["a bare i386 ELF", elf(3), "bare ELF file for x86"],
    ["an aarch64 ELF", elf(183), "not for ppc64el"],
    ["an ELF without segments", patched(elf(21), 0x38, [0, 0]), "holds no program"],
    ["a multiboot image", multiboot(Buffer.alloc(4096), 0x40), "is a multiboot image"],
    [
      "the last place of a multiboot header",
      multiboot(Buffer.alloc(9000), 8192 - 12),
      "is a multiboot image",
    ],
    [
      "a multiboot header beyond its place",
      multiboot(Buffer.alloc(9000), 8192),
      "is no kernel image that is known here",
    ],
    ["a broken gzip file", unpackable, "broken gzip"],
    ["gzip of something else", gzipSync(Buffer.alloc(9000)), "holds no kernel"],
    ["a gzip bomb", gzipSync(Buffer.alloc(64 * 1024 * 1024)), "holds no kernel"],
    ["a riscv64 Image packed with gzip", gzipSync(plainImage("riscv64")), "for arm64 only"],
    ["zboot for riscv64", zboot(0x5064, "gzip"), "does not unpack"],
    ["zboot with zstd", zboot(0xaa64, "zstd"), "packed with zstd"],
    ["zboot for another machine", zboot(0x8664, "gzip"), "not known here"],
  ])("%s", (_what, image, reason) => {
    const result = read(image);
    expect(result).toMatchObject({ ok: false, reason: expect.stringContaining(reason) });
  });

  it.each([
    ["bzImage", bzImage()],
    ["zImage", zImage()],
    ["arm64 Image", plainImage("arm64")],
    ["riscv64 Image", plainImage("riscv64")],
    ["zboot", zboot(0xaa64, "gzip")],
    ["ELF", elf(21)],
  ])("a %s that is cut short, whether the head shows it or the size", (_what, image) => {
    expect(read(image).ok).toBe(true);
    const reason = expect.stringContaining("is cut short");
    expect(read(image, image.length - 16)).toMatchObject({ ok: false, reason });
    expect(read(image.subarray(0, image.length - 16))).toMatchObject({ ok: false, reason });
  });
});

describe("readKernelImage on a file that is two formats at once", () => {
  const both = "is a bzImage with a multiboot header in it, as no kernel of Debian has";
  const elfMark = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1];
  it.each([
    ["bzImage and multiboot, in the boot sector", multiboot(bzImage(), 0x40), both],
    ["bzImage and multiboot, in the kernel", multiboot(bzImage({ systemBytes: 8192 }), 8192 - 12), both],
    ["bzImage and multiboot, with all flags", multiboot(bzImage(), 4, 0xffffffff), both],
    [
      "bzImage and x86 ELF",
      patched(patched(bzImage(), 0, elfMark), 18, [62, 0]),
      "is a bare ELF file for x86",
    ],
    ["zImage and ELF", patched(zImage(), 0, elfMark), "is an ELF file, but not for ppc64el"],
    ["zImage and U-Boot", patched(zImage(), 0, [0x27, 5, 0x19, 0x56]), "is an image for U-Boot"],
    ["Image and U-Boot", patched(plainImage("arm64"), 0, [0x27, 5, 0x19, 0x56]), "is an image for U-Boot"],
    ["Image and gzip", patched(plainImage("arm64"), 0, [0x1f, 0x8b, 8, 0]), "is a broken gzip file"],
    ["s390x and ELF", patched(s390(), 0, elfMark), "is an ELF file, but not for ppc64el"],
  ])("%s", (_what, image, reason) => {
    expect(read(image)).toMatchObject({ ok: false, reason: expect.stringContaining(reason) });
  });

  it.each([
    ["with a checksum that is off by one", multiboot(bzImage(), 0x40, 3, 1)],
    ["that does not stand on 4 bytes", multiboot(bzImage(), 0x42)],
    ["beyond the first 8 KiB", multiboot(bzImage({ systemBytes: 16_384 }), 8192)],
  ])("but a bzImage with a multiboot header %s is a bzImage", (_what, image) => {
    expect(read(image)).toMatchObject({ ok: true, format: "bzImage" });
  });
});

describe("readKernelImage on headers that lie", () => {
  const max = [0xff, 0xff, 0xff, 0xff];
  it.each([
    [
      "bzImage: setup sectors",
      bzImage(),
      0x1f1,
      [0xff],
      "cut short: its header says 135153 bytes, the file has 6144",
    ],
    ["bzImage: size", bzImage(), 0x1f4, max, "is cut short: its header says 68719478753 bytes"],
    ["bzImage: protocol 0", bzImage(), 0x206, [0, 0], "older than 2.04"],
    ["zImage: end", zImage(), 0x2c, max, "is cut short: its header says 4294967295 bytes"],
    ["zImage: start behind the end", zImage(), 0x28, max, "holds no kernel"],
    ["Image: section size", plainImage("arm64"), 0x40 + 24 + 0xa0 + 16, max, "is cut short"],
    ["Image: section offset", plainImage("arm64"), 0x40 + 24 + 0xa0 + 20, max, "is cut short"],
    ["zboot: payload offset", zboot(0xaa64, "gzip"), 8, max, "is cut short"],
    ["zboot: payload size", zboot(0xaa64, "gzip"), 12, max, "is cut short"],
    ["zboot: packer without end", zboot(0xaa64, "gzip"), 24, Array(32).fill(0x61), "a broken header"],
    ["zboot: packer that is no word", zboot(0xaa64, "gzip"), 24, [0x1b], "packed with something unknown"],
    ["zboot: no PE header", zboot(0xaa64, "gzip"), 0x3c, max, "not known here"],
    ["ELF: section table", elf(21), 0x28, [...max, ...max], "is cut short"],
    ["ELF: segment table", elf(21), 0x20, [...max, ...max], "is cut short"],
    ["ELF: segment offset", elf(21), 64 + 8, [...max, ...max], "is cut short"],
    ["ELF: segment size", elf(21), 64 + 32, [...max, ...max], "is cut short"],
    ["ELF: 32 bits", elf(21), 4, [1], "not for ppc64el"],
    ["ELF: big-endian", elf(21), 5, [2], "not for ppc64el"],
  ])("%s", (_what, image, offset, bytes, reason) => {
    expect(read(image).ok).toBe(true);
    expect(read(patched(image, offset, bytes))).toMatchObject({
      ok: false,
      reason: expect.stringContaining(reason),
    });
  });
});

describe("readKernelImage on any bytes", () => {
  const samples = [
    bzImage(),
    zImage(),
    plainImage("arm64"),
    plainImage("riscv64"),
    zboot(0xaa64, "gzip"),
    elf(21),
    s390(),
    gzipSync(plainImage("arm64")),
  ];

  /** Whether the result is one that others can rely on. */
  function isSound(bytes: Buffer, size: number): boolean {
    const image = readKernelImage(bytes, size);
    if (!image.ok) return /^(is|has) [ -~]+$/.test(image.reason);
    const { arches, release = "6.1" } = image;
    return arches.length > 0 && arches.every(isDebianArch) && /^[0-9A-Za-z.+~_-]{1,64}$/.test(release);
  }

  function expectResult(bytes: Buffer, size: number): void {
    expect(isSound(bytes, size)).toBe(true);
  }

  it("gives a result and never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2048, size: "max" }), fc.maxSafeNat(), (bytes, size) => {
        expectResult(Buffer.from(bytes), size);
      }),
    );
  });

  it("gives a result for every beginning of a kernel", () => {
    for (const sample of samples) {
      for (let length = 0; length < Math.min(sample.length, 1200); length++) {
        expectResult(sample.subarray(0, length), sample.length);
      }
    }
  });

  it("takes no kernel whose header tells its size for one before it is whole", () => {
    for (const sample of [bzImage(), zImage(), plainImage("arm64"), zboot(0xaa64, "gzip"), elf(21)]) {
      // x86 counts in units of 16 bytes and rounds up.
      const lengths = Array.from({ length: sample.length - 15 }, (_, length) => length);
      expect(lengths.filter((length) => readKernelImage(sample.subarray(0, length), length).ok)).toEqual([]);
    }
  });

  it("gives a result for every flipped bit of a header", () => {
    for (const sample of samples) {
      const image = Buffer.from(sample);
      const flip = (bit: number): void => {
        image[bit >> 3] = (image[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      };
      const unsound: number[] = [];
      for (let bit = 0; bit < Math.min(sample.length, 0x260) * 8; bit++) {
        flip(bit);
        if (!isSound(image, image.length)) unsound.push(bit);
        flip(bit);
      }
      expect(unsound).toEqual([]);
    }
  });

  it("gives a result for kernels with changed bytes in the header", () => {
    const change = fc.tuple(fc.nat(0x260), fc.nat(255));
    fc.assert(
      fc.property(fc.nat(samples.length - 1), fc.array(change, { maxLength: 12 }), (which, changes) => {
        const image = Buffer.from(samples[which] ?? "");
        for (const [offset, value] of changes) if (offset < image.length) image[offset] = value;
        expectResult(image, image.length);
      }),
      { numRuns: 1000 },
    );
  });
});
