import { describe, expect, it } from "vitest";
import { UserError } from "../../../src/errors.ts";
import {
  BASE_PACKAGES,
  findSuite,
  guestPackages,
  kernelArches,
  kernelPackage,
  packageArch,
  suiteNames,
} from "../../../src/provision/suites.ts";

const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (error instanceof UserError) return error.code;
    throw error;
  }
  return "none";
};

describe("suites", () => {
  it("knows trixie first, and bookworm", () => {
    expect(suiteNames()).toEqual(["trixie", "bookworm"]);
    expect(findSuite("bookworm").version).toBe("12");
    expect(codeOf(() => findSuite("sid; reboot"))).toBe("SUITE_UNKNOWN");
  });

  it.each([
    ["trixie", "amd64", "9p", undefined, "linux-image-amd64"],
    ["trixie", "arm64", "virtiofs", undefined, "linux-image-arm64"],
    ["trixie", "armhf", "9p", undefined, "linux-image-armmp-lpae"],
    ["trixie", "armhf", "9p", "linux-image-armmp", "linux-image-armmp"],
    ["trixie", "riscv64", "9p", undefined, "linux-image-riscv64"],
    ["bookworm", "i386", "9p", undefined, "linux-image-686-pae"],
    ["bookworm", "amd64", "virtiofs", "linux-image-cloud-amd64", "linux-image-cloud-amd64"],
    ["bookworm", "amd64", "9p", "linux-image-rt-amd64", "linux-image-rt-amd64"],
    ["trixie", "riscv64", "virtiofs", undefined, "linux-image-riscv64"],
    ["trixie", "ppc64el", "9p", undefined, "linux-image-powerpc64le"],
    ["trixie", "s390x", "9p", undefined, "linux-image-s390x"],
    // Of another architecture, because the suite has none of the guest's.
    ["trixie", "i386", "9p", undefined, "linux-image-amd64:amd64"],
    ["trixie", "i386", "9p", "linux-image-rt-amd64", "linux-image-rt-amd64:amd64"],
    ["trixie", "i386", "9p", "linux-image-rt-amd64:amd64", "linux-image-rt-amd64:amd64"],
    ["trixie", "armel", "9p", undefined, "linux-image-armmp-lpae:armhf"],
    ["bookworm", "armel", "9p", undefined, "linux-image-armmp-lpae:armhf"],
  ] as const)("%s %s over %s, asked for %s: %s", (suite, arch, transport, asked, expected) => {
    expect(kernelPackage(findSuite(suite), arch, transport, asked)).toBe(expected);
  });

  it.each([
    ["trixie", "armhf", "arm64", "linux-image-arm64:arm64"],
    ["trixie", "armhf", "armhf", "linux-image-armmp-lpae"],
    ["bookworm", "armel", "arm64", "linux-image-arm64:arm64"],
    ["bookworm", "i386", "amd64", "linux-image-amd64:amd64"],
  ] as const)("%s %s with a kernel of %s: %s", (suite, arch, kernelArch, expected) => {
    expect(kernelPackage(findSuite(suite), arch, "9p", undefined, kernelArch)).toBe(expected);
  });

  it.each([
    ["trixie", "i386", "i386"],
    ["trixie", "arm64", "armhf"],
    ["bookworm", "armhf", "riscv64"],
    ["bookworm", "armel", "armel"],
  ] as const)("%s %s has no kernel of %s", (suite, arch, kernelArch) => {
    expect(codeOf(() => kernelPackage(findSuite(suite), arch, "9p", undefined, kernelArch))).toBe(
      "ARCHITECTURE_UNKNOWN",
    );
  });

  it.each([
    ["trixie", "i386", ["amd64"]],
    ["bookworm", "i386", ["i386", "amd64"]],
    ["trixie", "armhf", ["armhf", "arm64"]],
    ["trixie", "armel", ["armhf", "arm64"]],
    ["trixie", "riscv64", ["riscv64"]],
    ["bookworm", "riscv64", []],
    ["bookworm", "pdp11", []],
    ["trixie", "constructor", []],
  ] as const)("%s %s: kernels of %j", (suite, arch, kernels) => {
    expect(kernelArches(findSuite(suite), arch)).toEqual(kernels);
  });

  it("tells the architecture in a package's name", () => {
    expect(packageArch("linux-image-arm64:arm64")).toBe("arm64");
    expect(packageArch("linux-image-arm64")).toBeUndefined();
    expect(packageArch("linux-image-arm64:any")).toBeUndefined();
  });

  it.each([
    ["trixie", "amd64", "9p", "linux-image-cloud-amd64", "KERNEL_NEEDS_VIRTIOFS"],
    ["trixie", "amd64", "9p", "linux-image-6.12.117+deb13-cloud-amd64", "KERNEL_NEEDS_VIRTIOFS"],
    ["trixie", "i386", "9p", "linux-image-amd64:pdp11", "KERNEL_PACKAGE_INVALID"],
    ["trixie", "i386", "9p", "linux-image-amd64:", "KERNEL_PACKAGE_INVALID"],
    ["bookworm", "riscv64", "9p", undefined, "ARCHITECTURE_UNKNOWN"],
    ["trixie", "toString", "9p", undefined, "ARCHITECTURE_UNKNOWN"],
    ["trixie", "amd64", "9p", "bash", "KERNEL_PACKAGE_INVALID"],
    ["trixie", "amd64", "9p", "linux-image-amd64,evil", "KERNEL_PACKAGE_INVALID"],
    ["trixie", "amd64", "9p", "linux-image-amd64\n", "KERNEL_PACKAGE_INVALID"],
  ] as const)("%s %s over %s, asked for %s: refused with %s", (suite, arch, transport, asked, code) => {
    expect(codeOf(() => kernelPackage(findSuite(suite), arch, transport, asked))).toBe(code);
  });
});

describe("guestPackages", () => {
  const trixie = findSuite("trixie");

  it("names each package once, and certificates for https alone", () => {
    const plain = guestPackages(trixie, "linux-image-amd64", false, ["vim", "less"]);
    expect(plain).toEqual([...BASE_PACKAGES, "linux-image-amd64", "vim"]);
    expect(guestPackages(trixie, "linux-image-amd64", true, [])).toContain("ca-certificates");
  });

  it.each(["a", "vim,nano", "-o", "vim nano", "./file.deb", "vim/sid", "?essential"])(
    "refuses %j",
    (name) => {
      expect(codeOf(() => guestPackages(trixie, "linux-image-amd64", false, [name]))).toBe(
        "PACKAGE_NAME_INVALID",
      );
    },
  );

  it("has what the guest's own files call", () => {
    expect(BASE_PACKAGES).toEqual(
      expect.arrayContaining(["iproute2", "e2fsprogs", "zstd", "systemd-resolved"]),
    );
  });
});
