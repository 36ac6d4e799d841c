import { describe, expect, test } from "vitest";
import { DEBIAN_ARCHES, type DebianArch } from "../../../src/kernel/arch.ts";
import { CCW, MMIO, PCI, PCI_LOW } from "../../../src/kernel/features.ts";
import {
  emulatorOf,
  emulatorPackages,
  type MachineShape,
  machineShape,
  type ShapeOptions,
  shapedArches,
} from "../../../src/machine/shape.ts";

const host = { mode: "host-passthrough" };
const model = (name: string): object => ({ mode: "custom", model: name });

describe("machineShape", () => {
  test.each<[DebianArch, "kvm" | "tcg", ShapeOptions, Partial<MachineShape> | object]>([
    ["amd64", "kvm", {}, { libvirtArch: "x86_64", machine: "q35", cpu: host, console: "ttyS0", bus: "pci" }],
    ["amd64", "tcg", {}, { cpu: { mode: "maximum" }, features: ["acpi", "apic"], gic: undefined }],
    ["i386", "kvm", {}, { kernelArch: "i386", libvirtArch: "i686", emulator: "/usr/bin/qemu-system-i386" }],
    ["i386", "kvm", { kernelArch: "amd64" }, { arch: "i386", kernelArch: "amd64", libvirtArch: "x86_64" }],
    [
      "arm64",
      "kvm",
      {},
      { libvirtArch: "aarch64", machine: "virt", cpu: host, console: "ttyAMA0", gic: undefined },
    ],
    ["arm64", "kvm", { gic: 3 }, { gic: 3, maxCpus: undefined }],
    ["arm64", "kvm", { gic: 2 }, { gic: 2, maxCpus: 8 }],
    ["arm64", "tcg", { gic: 3 }, { cpu: model("cortex-a72"), features: [], gic: undefined, maxCpus: 8 }],
    [
      "armhf",
      "kvm",
      {},
      { libvirtArch: "armv7l", cpu: host, emulator: "/usr/bin/qemu-system-aarch64", gic: "host" },
    ],
    ["armhf", "kvm", { gic: 3 }, { gic: 3, maxCpus: 8, bus: "pci", highmem: true }],
    ["armhf", "tcg", {}, { cpu: model("cortex-a15"), emulator: "/usr/bin/qemu-system-arm", gic: undefined }],
    ["armhf", "tcg", { layout: MMIO }, { bus: "mmio", highmem: true, maxMemoryMiB: undefined }],
    ["armhf", "tcg", { layout: PCI_LOW }, { bus: "pci", highmem: false, maxMemoryMiB: 3072 }],
    [
      "armhf",
      "kvm",
      { kernelArch: "arm64" },
      { arch: "armhf", libvirtArch: "aarch64", cpu: host, gic: undefined },
    ],
    ["armel", "kvm", {}, { arch: "armel", kernelArch: "armhf", libvirtArch: "armv7l", gic: "host" }],
    ["armel", "tcg", { kernelArch: "arm64" }, { kernelArch: "arm64", cpu: model("cortex-a72") }],
    [
      "riscv64",
      "tcg",
      {},
      { machine: "virt", console: "ttyS0", cpu: { mode: "default" }, bus: "pci", tested: true },
    ],
    [
      "ppc64el",
      "tcg",
      {},
      { libvirtArch: "ppc64le", machine: "pseries", console: "hvc0", cpu: model("POWER9") },
    ],
    ["ppc64el", "kvm", {}, { cpu: host, tested: false }],
    ["s390x", "tcg", {}, { machine: "s390-ccw-virtio", console: "ttysclp0", bus: "ccw", tested: false }],
  ])("%s by %s with %o", (arch, accel, options, expected) => {
    expect(machineShape(arch, accel, options)).toMatchObject({ arch, accel, ...expected });
  });

  test("what bootshare's own tests boot", () => {
    expect(shapedArches().filter((arch) => machineShape(arch, "tcg").tested)).toEqual([
      "amd64",
      "arm64",
      "armhf",
      "riscv64",
    ]);
  });

  test("every architecture of Debian's that guests can have has one", () => {
    expect(shapedArches()).toEqual([...DEBIAN_ARCHES]);
  });

  test.each(shapedArches())("%s: host-passthrough is for KVM only", (arch) => {
    expect(machineShape(arch, "tcg").cpu.mode).not.toBe("host-passthrough");
    expect(machineShape(arch, "kvm").cpu.mode).toBe("host-passthrough");
    expect(emulatorOf(arch)).toMatch(/^\/usr\/bin\/qemu-system-/);
    for (const name of emulatorPackages(arch)) expect(name).toMatch(/^qemu-system-/);
  });

  test("a kernel that boots on no machine is refused by name", () => {
    expect(() => machineShape("armel", "tcg", { kernelArch: "armel" })).toThrow(
      expect.objectContaining({ code: "ARCH_UNSUPPORTED", message: expect.stringContaining("armel") }),
    );
  });

  test.each<[DebianArch, ShapeOptions]>([
    ["amd64", { layout: MMIO }],
    ["arm64", { layout: PCI_LOW }],
    ["armhf", { layout: CCW }],
    ["armhf", { layout: { bus: "mmio", highmem: false } }],
    ["s390x", { layout: PCI }],
    ["riscv64", { layout: MMIO }],
  ])("%s has no machine with %o", (arch, options) => {
    expect(() => machineShape(arch, "tcg", options)).toThrow(
      expect.objectContaining({ code: "LAYOUT_UNSUPPORTED" }),
    );
  });

  test("the emulator of 32-bit ARM is another one in emulation", () => {
    expect(emulatorOf("armhf")).toBe("/usr/bin/qemu-system-aarch64");
    expect(emulatorOf("armhf", "tcg")).toBe("/usr/bin/qemu-system-arm");
    expect(emulatorOf("armel", "tcg")).toBe("/usr/bin/qemu-system-arm");
  });
});
