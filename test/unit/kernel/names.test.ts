import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DEBIAN_ARCHES, imageStems, isDebianArch, libvirtArch } from "../../../src/kernel/arch.ts";
import { bootFileKind, initrdRelease, kernelRelease, oneFileName } from "../../../src/kernel/names.ts";
import { printable } from "../../../src/text.ts";

describe("oneFileName", () => {
  it.each([
    "vmlinuz-6.12.38+deb13-amd64",
    "initrd.img-6.1.0-9-amd64",
    "my kernel",
    "kernel-größe",
    ".hidden",
    "...",
    "a".repeat(255),
    "a\\b",
    "$(reboot)",
  ])("takes %s as it is", (name) => {
    expect(oneFileName(name)).toEqual({ name });
  });

  it.each([
    ["", "is empty"],
    [".", "names a folder"],
    ["..", "names a folder"],
    ["/etc/passwd", "slash"],
    ["../../etc/passwd", "slash"],
    ["./vmlinuz", "slash"],
    ["boot/vmlinuz-6.1.0-9-amd64", "slash"],
    ["vmlinuz-6.1/", "slash"],
    ["vmlinuz-6.1.0-9-amd64\n", "control character"],
    ["a\nb", "control character"],
    ["a\x1b[2Jb", "control character"],
    ["a\x7f", "control character"],
    ["a\u0085", "control character"],
    ["a\u202eb", "control character"],
    ["a\u2028b", "control character"],
    ["a\ud800", "control character"],
    ["\ufeffvmlinuz", "control character"],
    ["a\0b", "NUL"],
    ["-a -- passwd -tetc", 'begins with "-"'],
    ["-", 'begins with "-"'],
    ["a".repeat(256), "longer than 255 bytes"],
    ["ö".repeat(128), "longer than 255 bytes"],
  ])("refuses %j", (text, problem) => {
    expect(oneFileName(text)).toEqual({ problem: expect.stringContaining(problem) });
  });

  it("gives a name that is the text, means one file, and needs no escape, or a problem that is safe to show", () => {
    const piece = fc.constantFrom("/", "..", "-", "\0", "\n", "a", "ö", "\u202e", "\\");
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 270 }),
      fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join("")),
    );
    fc.assert(
      fc.property(text, (input) => {
        const { name, problem } = oneFileName(input);
        if (name !== undefined) {
          expect(name).toBe(input);
          expect(name).toMatch(/^[^/\0-]/);
          expect([".", ".."]).not.toContain(name);
          expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
          expect(printable(name.replaceAll("\\", ""), 300)).toBe(name.replaceAll("\\", ""));
        } else {
          expect(problem).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("names of kernels and initrds", () => {
  it.each([
    ["vmlinuz-6.1.0-9-amd64", "6.1.0-9-amd64"],
    ["vmlinuz-6.12.38+deb13-amd64", "6.12.38+deb13-amd64"],
    ["vmlinuz-6.12~rc1", "6.12~rc1"],
    ["vmlinuz-custom_1", "custom_1"],
    ["vmlinuz", undefined],
    ["vmlinuz-", undefined],
    ["vmlinux-6.1.0-9-amd64", undefined],
    ["vmlinuz.old", undefined],
    ["xvmlinuz-6.1", undefined],
    ["vmlinuz-6.1.0-9-amd64.dpkg-new", undefined],
    ["vmlinuz-6.1.0-9-amd64.dpkg-tmp", undefined],
    ["vmlinuz-6.1.0-9-amd64.dpkg-old", undefined],
    ["vmlinuz-6.1.0-9-amd64.new", undefined],
    ["vmlinuz-6.1.0-9-amd64.bak", undefined],
    ["vmlinuz-6.1.0-9-amd64.old", undefined],
    ["vmlinuz-6.1.0-9-amd64~", undefined],
    ["vmlinuz-6.1 copy", undefined],
    ["vmlinuz-../../etc", undefined],
    ["vmlinuz-6.1\n", undefined],
    ["vmlinuz--rf", undefined],
    [`vmlinuz-${"6".repeat(64)}`, "6".repeat(64)],
    [`vmlinuz-${"6".repeat(65)}`, undefined],
  ])("on amd64, %j has the release %s", (name, release) => {
    expect(kernelRelease(name, "amd64")).toBe(release);
    expect(bootFileKind(name) === "kernel").toBe(release !== undefined || name.startsWith("vmlinux-"));
  });

  it.each([
    ["initrd.img-6.1.0-9-amd64", "6.1.0-9-amd64"],
    ["initrd.img", undefined],
    ["initrd.img-6.1.0-9-amd64.new", undefined],
    ["initrd.img-6.1.0-9-amd64.old-dkms", "6.1.0-9-amd64.old-dkms"],
    ["initrd.img-6.1.0-9-amd64.dpkg-bak", undefined],
  ])("%s has the release %s", (name, release) => {
    expect(initrdRelease(name)).toBe(release);
  });
});

describe("architectures", () => {
  it("have Debian's image stems and libvirt's names", () => {
    const table = DEBIAN_ARCHES.map((arch) => [arch, imageStems(arch)[0], libvirtArch(arch)].join(" "));
    expect(table).toEqual([
      "amd64 vmlinuz x86_64",
      "i386 vmlinuz i686",
      "arm64 vmlinuz aarch64",
      "armhf vmlinuz armv7l",
      "armel vmlinuz armv7l",
      "riscv64 vmlinux riscv64",
      "ppc64el vmlinux ppc64le",
      "s390x vmlinuz s390x",
    ]);
  });

  it("are told from other text", () => {
    expect(isDebianArch("armhf")).toBe(true);
    for (const text of ["", "x86_64", "constructor", "AMD64"]) expect(isDebianArch(text)).toBe(false);
  });
});
