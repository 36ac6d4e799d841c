import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isDebianArch } from "../../../src/kernel/arch.ts";
import { readKernelImage } from "../../../src/kernel/image.ts";
import { KERNEL_HEAD_BYTES } from "../../../src/kernel/limits.ts";
import { bzImage, elf, plainImage, s390, zboot, zImage } from "./images.ts";

const read = (image: Buffer, size = image.length) =>
  readKernelImage(image.subarray(0, KERNEL_HEAD_BYTES), size);

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
  const multiboot = patched(Buffer.alloc(4096), 0x40, [0x02, 0xb0, 0xad, 0x1b]);
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
    ["a multiboot image", multiboot, "multiboot"],
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

  function expectResult(bytes: Buffer, size: number): void {
    const image = readKernelImage(bytes, size);
    if (image.ok) {
      expect(image.arches.length).toBeGreaterThan(0);
      expect(image.arches.every(isDebianArch)).toBe(true);
      if (image.release !== undefined) expect(image.release).toMatch(/^[0-9A-Za-z.+~_-]{1,64}$/);
    } else {
      expect(image.reason).toMatch(/^(is|has) [ -~]+$/);
    }
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
