import { describe, expect, test } from "vitest";
import type { DebianArch } from "../../../src/kernel/arch.ts";
import { type ConfigOption, configOf, type KernelConfig } from "../../../src/kernel/config.ts";
import {
  busFor,
  CCW,
  type DomainMachine,
  describeLayout,
  type Fit,
  fits,
  type Layout,
  MMIO,
  type Needs,
  PCI,
  PCI_LOW,
} from "../../../src/kernel/features.ts";
import { debianConfig, type Release } from "./debian-configs.ts";

const without = (config: KernelConfig, ...options: ConfigOption[]): KernelConfig => ({
  ...config,
  ...Object.fromEntries(options.map((option) => [option, "n"])),
});
const armmp = debianConfig("6.12.107+deb13-armmp");
const lpae = debianConfig("6.12.107+deb13-armmp-lpae");
/** Debian bug 864726. */
const debian9 = without(armmp, "PCI_HOST_GENERIC");

describe("busFor: Debian's kernels", () => {
  test.each<[Release, DebianArch, readonly Layout[]]>([
    ["6.1.0-50-amd64", "amd64", [PCI]],
    ["6.12.107+deb13-amd64", "amd64", [PCI]],
    ["6.12.107+deb13-cloud-amd64", "amd64", [PCI]],
    ["6.1.0-50-686-pae", "i386", [PCI]],
    ["6.1.0-50-arm64", "arm64", [PCI, MMIO]],
    ["6.12.107+deb13-arm64", "arm64", [PCI, MMIO]],
    ["6.1.0-50-armmp-lpae", "armhf", [PCI, MMIO, PCI_LOW]],
    ["6.12.107+deb13-armmp-lpae", "armhf", [PCI, MMIO, PCI_LOW]],
    ["6.1.0-50-armmp", "armhf", [MMIO, PCI_LOW]],
    ["6.12.107+deb13-armmp", "armhf", [MMIO, PCI_LOW]],
    ["6.12.107+deb13-riscv64", "riscv64", [PCI]],
    ["6.1.0-50-powerpc64le", "ppc64el", [PCI]],
    ["6.12.107+deb13-powerpc64le", "ppc64el", [PCI]],
    ["6.1.0-50-s390x", "s390x", [CCW]],
    ["6.12.107+deb13-s390x", "s390x", [CCW]],
  ])("%s", (release, arch, layouts) => {
    expect(busFor(arch, debianConfig(release))).toMatchObject({ ok: true, layouts });
  });

  test.each<Release>(["6.1.0-50-marvell", "6.1.0-50-rpi", "6.12.107+deb13-rpi"])(
    "%s fits no machine",
    (release) => {
      expect(busFor("armel", debianConfig(release))).toEqual({
        ok: false,
        reason: "it is for processors before ARMv7 (no CPU_V7), and QEMU's virt machine has none of them",
      });
    },
  );
});

describe("busFor: other kernels", () => {
  test.each<[string, DebianArch, KernelConfig, readonly Layout[], RegExp]>([
    [
      "Debian 9's armhf kernel",
      "armhf",
      debian9,
      [MMIO],
      /no driver for virt's PCI host \(PCI_HOST_GENERIC\)/,
    ],
    [
      "LPAE without the driver of the PCI host",
      "armhf",
      without(lpae, "PCI_HOST_GENERIC"),
      [MMIO],
      /PCI_HOST/,
    ],
    ["no virtio on PCI", "armhf", without(lpae, "VIRTIO_PCI"), [MMIO], /VIRTIO_PCI/],
    ["no PCI", "armhf", without(lpae, "PCI"), [MMIO], /no PCI/],
    ["an ARMv7 kernel of armel", "armel", without(armmp, "PCI", "VIRTIO_PCI"), [MMIO], /no PCI/],
    [
      "no LPAE and no virtio-mmio",
      "armhf",
      without(armmp, "VIRTIO_MMIO"),
      [PCI_LOW],
      /above 4 GiB, and it has no virtio-mmio/,
    ],
    ["LPAE and no virtio-mmio", "armhf", without(lpae, "VIRTIO_MMIO"), [PCI, PCI_LOW], /LPAE/],
    [
      "arm64 without the PCI host",
      "arm64",
      without(debianConfig("6.1.0-50-arm64"), "PCI_HOST_GENERIC"),
      [MMIO],
      /PCI_HOST/,
    ],
  ])("%s", (_what, arch, config, layouts, reason) => {
    const choice = busFor(arch, config);
    expect(choice).toMatchObject({ ok: true, layouts });
    expect(choice.reason).toMatch(reason);
  });

  test.each<[string, DebianArch, KernelConfig, RegExp]>([
    ["neither bus", "armhf", without(debian9, "VIRTIO_MMIO"), /PCI_HOST_GENERIC.*VIRTIO_MMIO/],
    [
      "riscv64 without the PCI host",
      "riscv64",
      without(debianConfig("6.12.107+deb13-riscv64"), "PCI_HOST_GENERIC"),
      /PCI_HOST/,
    ],
    [
      "amd64 without virtio on PCI",
      "amd64",
      without(debianConfig("6.1.0-50-amd64"), "VIRTIO_PCI"),
      /VIRTIO_PCI/,
    ],
    ["ppc64el without PCI", "ppc64el", without(debianConfig("6.1.0-50-powerpc64le"), "PCI"), /no PCI/],
    ["s390x that is no guest", "s390x", without(debianConfig("6.1.0-50-s390x"), "S390_GUEST"), /S390_GUEST/],
    ["nothing at all", "armhf", configOf({}), /CPU_V7/],
  ])("%s is refused", (_what, arch, config, reason) => {
    const choice = busFor(arch, config);
    expect(choice.ok).toBe(false);
    expect(choice.reason).toMatch(reason);
  });

  test.each<[DebianArch, Layout]>([
    ["amd64", PCI],
    ["armhf", PCI],
    ["s390x", CCW],
  ])("%s of which nothing is known", (arch, layout) => {
    expect(busFor(arch, undefined)).toMatchObject({ ok: true, layouts: [layout] });
  });
});

const machine = (arch: DebianArch, change: Partial<DomainMachine> = {}): DomainMachine => ({
  arch,
  userland: arch,
  bus: "pci",
  highmem: true,
  modernMmio: false,
  transport: "9p",
  diskBus: "virtio-pci",
  ...change,
});
const judge = (config: KernelConfig | undefined, domain: DomainMachine): Fit =>
  fits({ release: "6.1", arches: [domain.arch], config }, domain);

describe("fits", () => {
  test.each<[string, KernelConfig, DomainMachine]>([
    ["amd64 as it comes", debianConfig("6.1.0-50-amd64"), machine("amd64")],
    [
      "amd64 with virtiofs",
      debianConfig("6.12.107+deb13-amd64"),
      machine("amd64", { transport: "virtiofs" }),
    ],
    [
      "a cloud kernel with virtiofs",
      debianConfig("6.12.107+deb13-cloud-amd64"),
      machine("amd64", { transport: "virtiofs" }),
    ],
    ["LPAE on PCI", lpae, machine("armhf")],
    ["LPAE on virtio-mmio", lpae, machine("armhf", { bus: "mmio" })],
    ["LPAE on PCI below 4 GiB", lpae, machine("armhf", { highmem: false })],
    ["LPAE where both are", lpae, machine("armhf", { bus: "mixed" })],
    ["no LPAE on virtio-mmio", armmp, machine("armhf", { bus: "mmio" })],
    ["no LPAE on PCI below 4 GiB", armmp, machine("armhf", { highmem: false })],
    [
      "no LPAE with virtiofs on modern virtio-mmio",
      armmp,
      machine("armhf", { bus: "mmio", transport: "virtiofs", modernMmio: true }),
    ],
    ["armhf programs on arm64", debianConfig("6.1.0-50-arm64"), machine("arm64", { userland: "armhf" })],
    ["i386 programs on amd64", debianConfig("6.12.107+deb13-amd64"), machine("amd64", { userland: "i386" })],
    ["s390x", debianConfig("6.1.0-50-s390x"), machine("s390x", { bus: "ccw" })],
    [
      "a disk that is not virtio",
      without(debianConfig("6.1.0-50-amd64"), "VIRTIO_BLK"),
      machine("amd64", { diskBus: undefined }),
    ],
    [
      "no virtio device at all",
      lpae,
      machine("armhf", { bus: undefined, diskBus: undefined, transport: undefined }),
    ],
    [
      "high memory off where there is none to speak of",
      debianConfig("6.1.0-50-arm64"),
      machine("arm64", { highmem: false }),
    ],
  ])("%s", (_what, config, domain) => {
    expect(judge(config, domain)).toEqual({ fits: true, notes: [] });
  });

  const amd64 = debianConfig("6.1.0-50-amd64");
  const arm64 = debianConfig("6.1.0-50-arm64");
  const kernel: Needs = { kind: "kernel" };
  const layout = (one: Layout): Needs => ({ kind: "layout", layout: one });
  test.each<[string, KernelConfig, DomainMachine, Needs, string]>([
    [
      "no LPAE on PCI",
      armmp,
      machine("armhf"),
      layout(MMIO),
      "needs devices on virtio-mmio, and the machine has them on PCI: it has no LPAE, so it cannot reach PCI devices above 4 GiB",
    ],
    ["Debian 9 on PCI", debian9, machine("armhf"), layout(MMIO), "PCI_HOST_GENERIC"],
    [
      "Debian 9 on PCI below 4 GiB",
      debian9,
      machine("armhf", { highmem: false }),
      layout(MMIO),
      "(highmem=off)",
    ],
    [
      "no LPAE where both are",
      armmp,
      machine("armhf", { bus: "mixed" }),
      layout(MMIO),
      "some on PCI and some",
    ],
    [
      "no virtio-mmio there",
      without(lpae, "VIRTIO_MMIO"),
      machine("armhf", { bus: "mmio" }),
      layout(PCI),
      "on PCI",
    ],
    [
      "virtiofs on legacy virtio-mmio",
      armmp,
      machine("armhf", { bus: "mmio", transport: "virtiofs" }),
      layout(MMIO),
      "legacy",
    ],
    ["neither bus", without(debian9, "VIRTIO_MMIO"), machine("armhf"), kernel, "fits no machine here"],
    ["ARMv6", debianConfig("6.1.0-50-rpi"), machine("armhf", { bus: "mmio" }), kernel, "ARMv7"],
    ["no initrd", without(amd64, "BLK_DEV_INITRD"), machine("amd64"), kernel, "no initrd"],
    ["no driver for the disk", without(amd64, "VIRTIO_BLK"), machine("amd64"), kernel, "root disk"],
    ["no ext4", without(amd64, "EXT4_FS"), machine("amd64"), kernel, "EXT4_FS"],
    [
      "armhf programs",
      without(arm64, "COMPAT"),
      machine("arm64", { userland: "armhf" }),
      kernel,
      "armhf programs",
    ],
    [
      "armel programs",
      without(arm64, "COMPAT"),
      machine("arm64", { userland: "armel" }),
      kernel,
      "armel programs",
    ],
    [
      "i386 programs",
      without(amd64, "IA32_EMULATION"),
      machine("amd64", { userland: "i386" }),
      kernel,
      "i386",
    ],
    [
      "a cloud kernel with 9p",
      debianConfig("6.12.107+deb13-cloud-amd64"),
      machine("amd64"),
      { kind: "transport", transport: "virtiofs" },
      "9p",
    ],
    [
      "no virtiofs",
      without(amd64, "VIRTIO_FS"),
      machine("amd64", { transport: "virtiofs" }),
      { kind: "transport", transport: "9p" },
      "virtiofs",
    ],
    ["no way to share", without(amd64, "VIRTIO_FS", "9P_FS"), machine("amd64"), kernel, "cannot mount /boot"],
  ])("%s", (_what, config, domain, needs, reason) => {
    expect(judge(config, domain)).toEqual({ fits: false, needs, reason: expect.stringContaining(reason) });
  });

  test("what a layout was asked for, fits", () => {
    for (const config of [
      armmp,
      lpae,
      debian9,
      without(lpae, "VIRTIO_MMIO"),
      without(armmp, "VIRTIO_MMIO"),
    ]) {
      for (const bus of ["pci", "mmio", "mixed"] as const) {
        for (const highmem of [true, false]) {
          const result = judge(config, machine("armhf", { bus, highmem }));
          if (result.fits) continue;
          if (result.needs.kind !== "layout") throw new Error(result.reason);
          expect(judge(config, machine("armhf", result.needs.layout)).fits).toBe(true);
        }
      }
    }
  });

  test("an image for another architecture", () => {
    const domain = machine("arm64");
    expect(fits({ release: "6.1", arches: ["armhf", "armel"], config: undefined }, domain)).toEqual({
      fits: false,
      reason: "is for armhf or armel, and the machine is arm64",
      needs: { kind: "kernel" },
    });
  });

  test("what is not known fits, and is said", () => {
    expect(fits({ release: "5\u001b[31m", config: undefined }, machine("armhf"))).toEqual({
      fits: true,
      notes: ["No configuration of 5\\x1b[31m was found to look at."],
    });
  });

  test("what a guest can boot without is said", () => {
    expect(judge(without(amd64, "VIRTIO_CONSOLE", "VIRTIO_NET"), machine("amd64"))).toEqual({
      fits: true,
      notes: [expect.stringContaining("boot report"), expect.stringContaining("network")],
    });
  });
});

test("describeLayout", () => {
  expect([PCI, PCI_LOW, MMIO, CCW].map(describeLayout)).toEqual([
    "devices on PCI",
    "devices on PCI below 4 GiB (highmem=off)",
    "devices on virtio-mmio",
    "devices on channel I/O",
  ]);
});
