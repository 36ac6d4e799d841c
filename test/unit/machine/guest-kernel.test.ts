import { describe, expect, test } from "vitest";
import { UserError } from "../../../src/errors.ts";
import { DEBIAN_ARCHES, type DebianArch } from "../../../src/kernel/arch.ts";
import {
  type GuestKernelChoice,
  type GuestKernelOptions,
  guestKernelArch,
  type HostFacts,
} from "../../../src/machine/guest-kernel.ts";
import { KERNELS_FOR, SHAPES } from "../../../src/machine/shapes-table.ts";

const kvm = { usable: true, reason: "KVM ran a guest." };
const noKvm = { usable: false, reason: "This machine has no /dev/kvm." };
const none = { arm32El1: undefined, arm32El0: undefined };
const hosts = {
  pc: { arch: "amd64", kvm, ...none },
  "pc without KVM": { arch: "amd64", kvm: noKvm, ...none },
  /** Cortex-A57, A72. */
  "A72 server": { arch: "arm64", kvm, arm32El1: true, arm32El0: true, gic: 3 },
  /** Neoverse N1, V1. */
  "N1 server": { arch: "arm64", kvm, arm32El1: false, arm32El0: true, gic: 3 },
  /** Neoverse N2, V2, Apple, ThunderX. */
  "64-bit server": { arch: "arm64", kvm, arm32El1: false, arm32El0: false, gic: 3 },
  "arm64 not measured": { arch: "arm64", kvm, ...none },
  "A72 without KVM": { arch: "arm64", kvm: noKvm, arm32El1: true, arm32El0: true },
  riscv: { arch: "riscv64", kvm, ...none },
  s390: { arch: "s390x", kvm, ...none },
  strange: { arch: "loong64", kvm, ...none },
} as const satisfies Record<string, HostFacts>;
type Host = keyof typeof hosts;

/** i386 since trixie. */
const no686: GuestKernelOptions = { kernels: ["amd64"] };

describe("guestKernelArch", () => {
  test.each<[DebianArch, Host, GuestKernelChoice, DebianArch, "kvm" | "tcg", GuestKernelOptions?]>([
    ["amd64", "pc", "auto", "amd64", "kvm"],
    ["amd64", "pc without KVM", "auto", "amd64", "tcg"],
    ["amd64", "A72 server", "auto", "amd64", "tcg"],
    ["i386", "pc", "auto", "i386", "kvm"],
    ["i386", "pc", "auto", "amd64", "kvm", no686],
    ["i386", "pc", "amd64", "amd64", "kvm"],
    ["i386", "pc", "native", "i386", "kvm"],
    ["i386", "pc without KVM", "auto", "i386", "tcg"],
    ["i386", "N1 server", "auto", "amd64", "tcg", no686],
    ["arm64", "A72 server", "auto", "arm64", "kvm"],
    ["arm64", "64-bit server", "auto", "arm64", "kvm"],
    ["arm64", "arm64 not measured", "auto", "arm64", "kvm"],
    ["arm64", "pc", "auto", "arm64", "tcg"],
    ["armhf", "A72 server", "auto", "armhf", "kvm"],
    ["armhf", "A72 server", "native", "armhf", "kvm"],
    ["armhf", "A72 server", "arm64", "arm64", "kvm"],
    ["armhf", "N1 server", "auto", "arm64", "kvm"],
    ["armhf", "N1 server", "native", "armhf", "tcg"],
    ["armhf", "N1 server", "armhf", "armhf", "tcg"],
    ["armhf", "N1 server", "arm64", "arm64", "kvm"],
    ["armhf", "N1 server", "auto", "armhf", "tcg", { accel: "tcg" }],
    ["armhf", "N1 server", "auto", "arm64", "kvm", { accel: "kvm" }],
    ["armhf", "64-bit server", "auto", "armhf", "tcg"],
    ["armhf", "64-bit server", "arm64", "arm64", "tcg"],
    ["armhf", "arm64 not measured", "auto", "armhf", "tcg"],
    ["armhf", "A72 without KVM", "auto", "armhf", "tcg"],
    ["armhf", "pc", "auto", "armhf", "tcg"],
    ["armhf", "pc", "arm64", "arm64", "tcg"],
    ["armel", "A72 server", "auto", "armhf", "kvm"],
    ["armel", "N1 server", "auto", "arm64", "kvm"],
    ["armel", "64-bit server", "auto", "armhf", "tcg"],
    ["riscv64", "riscv", "auto", "riscv64", "kvm"],
    ["riscv64", "pc", "auto", "riscv64", "tcg"],
    ["s390x", "s390", "auto", "s390x", "kvm"],
    ["ppc64el", "s390", "auto", "ppc64el", "tcg"],
    ["amd64", "strange", "auto", "amd64", "tcg"],
  ])("%s on a %s, %s: %s kernel, %s", (arch, host, wanted, kernelArch, accel, options = {}) => {
    const choice = guestKernelArch(arch, hosts[host], wanted, options);
    expect(choice).toMatchObject({ kernelArch, accel });
    expect(choice.reason).toMatch(/^[A-Z].*\.$/);
    expect(choice.warning === undefined).toBe(accel === "kvm");
  });

  test.each<[DebianArch, Host, string]>([
    ["armhf", "A72 server", "KVM runs the armhf kernel: this host's processor has 32-bit kernel mode (EL1)."],
    [
      "armhf",
      "N1 server",
      "KVM runs the arm64 kernel under the armhf programs, because: This host's processor has no 32-bit kernel mode (EL1).",
    ],
    [
      "armhf",
      "64-bit server",
      "Emulation (TCG), because: This host's processor has no 32-bit kernel mode (EL1). " +
        "This host's processor runs no 32-bit programs (EL0).",
    ],
    [
      "armhf",
      "arm64 not measured",
      "Emulation (TCG), because: It is not known whether this host's processor has 32-bit kernel mode (EL1). " +
        "It is not known whether this host's processor runs 32-bit programs (EL0).",
    ],
    ["armhf", "A72 without KVM", "Emulation (TCG), because: This machine has no /dev/kvm."],
    [
      "armhf",
      "pc",
      "Emulation (TCG), because: KVM on amd64 does not run armhf kernels. KVM on amd64 does not run arm64 kernels.",
    ],
    [
      "armel",
      "A72 server",
      "KVM runs the armhf kernel under the armel programs: Debian's armel kernels boot on no virtual machine.",
    ],
    ["amd64", "pc", "KVM runs the amd64 kernel on this host."],
  ])("why %s on a %s: %s", (arch, host, reason) => {
    expect(guestKernelArch(arch, hosts[host], "auto").reason).toBe(reason);
  });

  test("why an i386 guest has an amd64 kernel", () => {
    expect(guestKernelArch("i386", hosts.pc, "auto", no686).reason).toBe(
      "KVM runs the amd64 kernel under the i386 programs: the suite has no i386 kernel.",
    );
    expect(guestKernelArch("i386", hosts.pc, "amd64").reason).toBe(
      "KVM runs the amd64 kernel under the i386 programs, as was asked for.",
    );
  });

  test.each<[DebianArch, Host, GuestKernelChoice, GuestKernelOptions, string, string]>([
    [
      "armhf",
      "pc",
      "riscv64",
      {},
      "GUEST_KERNEL_UNSUPPORTED",
      "There is no riscv64 kernel for this armhf guest.",
    ],
    [
      "arm64",
      "A72 server",
      "armhf",
      {},
      "GUEST_KERNEL_UNSUPPORTED",
      "There is no armhf kernel for this arm64 guest.",
    ],
    [
      "armel",
      "pc",
      "native",
      {},
      "GUEST_KERNEL_UNSUPPORTED",
      "There is no armel kernel for this armel guest.",
    ],
    [
      "i386",
      "pc",
      "native",
      no686,
      "GUEST_KERNEL_UNSUPPORTED",
      "There is no i386 kernel for this i386 guest.",
    ],
    ["riscv64", "pc", "auto", { kernels: [] }, "GUEST_KERNEL_UNSUPPORTED", "no riscv64 kernel"],
    ["armhf", "64-bit server", "auto", { accel: "kvm" }, "ACCEL_UNUSABLE", "EL1"],
    ["armhf", "N1 server", "native", { accel: "kvm" }, "ACCEL_UNUSABLE", "EL1"],
    ["amd64", "pc without KVM", "auto", { accel: "kvm" }, "ACCEL_UNUSABLE", "/dev/kvm"],
  ])("%s on a %s, %s, %o: refused with %s", (arch, host, wanted, options, code, message) => {
    expect(() => guestKernelArch(arch, hosts[host], wanted, options)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    );
  });

  test("every architecture on every host gets a kernel that runs it and has a machine", () => {
    for (const arch of DEBIAN_ARCHES) {
      for (const host of Object.values(hosts)) {
        for (const wanted of ["auto", "native", ...DEBIAN_ARCHES] as const) {
          try {
            const { kernelArch } = guestKernelArch(arch, host, wanted);
            expect(KERNELS_FOR[arch]).toContain(kernelArch);
            expect(SHAPES[kernelArch]).toBeDefined();
          } catch (error) {
            if (!(error instanceof UserError)) throw error;
            expect(wanted).not.toBe("auto");
          }
        }
      }
    }
  });
});
