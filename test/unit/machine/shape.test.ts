import { describe, expect, test } from "vitest";
import { emulatorOf, machineShape, shapedArches } from "../../../src/machine/shape.ts";

describe("machineShape", () => {
  test("amd64 has the host's processor under KVM and all of TCG's in emulation", () => {
    expect(machineShape("amd64", "kvm")).toMatchObject({
      libvirtArch: "x86_64",
      machine: "q35",
      console: "ttyS0",
      cpu: { mode: "host-passthrough" },
      features: ["acpi", "apic"],
    });
    expect(machineShape("amd64", "tcg")).toMatchObject({ accel: "tcg", cpu: { mode: "maximum" } });
  });

  test("arm64 has no ACPI and no pointer authentication in emulation", () => {
    expect(machineShape("arm64", "tcg")).toMatchObject({
      libvirtArch: "aarch64",
      machine: "virt",
      console: "ttyAMA0",
      cpu: { mode: "custom" },
      features: [],
    });
  });

  test.each(shapedArches())("%s: host-passthrough is for KVM only", (arch) => {
    expect(machineShape(arch, "tcg").cpu.mode).not.toBe("host-passthrough");
    expect(emulatorOf(arch)).toMatch(/^\/usr\/bin\/qemu-system-/);
  });

  test("an architecture without a row is refused by name", () => {
    expect(() => machineShape("s390x", "kvm")).toThrow(
      expect.objectContaining({ code: "ARCH_UNSUPPORTED", message: expect.stringContaining("s390x") }),
    );
  });
});
