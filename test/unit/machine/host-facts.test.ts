import { describe, expect, test } from "vitest";
import type { DebianArch } from "../../../src/kernel/arch.ts";
import { EXIT_RAN, EXIT_SHELL } from "../../../src/machine/arm32-program.ts";
import { guestKernelArch, type HostFacts } from "../../../src/machine/guest-kernel.ts";
import { processorModel } from "../../../src/machine/host.ts";
import { gicVersion, hostFacts } from "../../../src/machine/host-facts.ts";

const GICV3 = `           CPU0       CPU1
 11:       4711       4712     GICv3  27 Level     arch_timer
 23:          0          0   ITS-MSI 507904 Edge      xhci_hcd
 45:          2          0     GICv3  33 Level     uart-pl011
`;
const GICV2 = GICV3.replaceAll("GICv3", "GICv2").replace("ITS-MSI", "GICv2m-PCI-MSI");

interface Host {
  readonly arch: string;
  /** Architectures of the kernels that KVM runs. */
  readonly kvm: readonly DebianArch[];
  readonly el1?: string;
  readonly programs?: number;
  readonly interrupts?: string;
}

/** What hostFacts finds on a host, and what it asked, in its order. */
async function factsOn(host: Host, arch: DebianArch): Promise<{ facts: HostFacts; asked: string[] }> {
  const asked: string[] = [];
  const facts = await hostFacts(arch, {
    host: host.arch,
    async kvm(kernelArch) {
      asked.push(`kvm ${kernelArch}`);
      const usable = host.kvm.includes(kernelArch);
      return { accel: "kvm", usable, reason: `KVM ${usable ? "ran" : "does not run"} ${kernelArch}.` };
    },
    async start(program) {
      const name = program.startsWith("/") ? "program" : program;
      asked.push(name);
      const result = { command: "", exitCode: 0, stdout: "", stderr: "", timedOut: false, missing: false };
      if (name === "perl") return { ...result, stdout: host.el1 ?? "0" };
      return name === "lscpu" ? result : { ...result, exitCode: host.programs ?? EXIT_SHELL };
    },
    async read(file) {
      asked.push(file);
      return host.interrupts;
    },
  });
  return { facts, asked };
}

const X86: Host = { arch: "amd64", kvm: ["amd64"] };
const A72: Host = { arch: "arm64", kvm: ["arm64", "armhf"], el1: "1", programs: EXIT_RAN, interrupts: GICV2 };
const N1: Host = { arch: "arm64", kvm: ["arm64"], el1: "0", programs: EXIT_RAN, interrupts: GICV3 };
const APPLE: Host = { arch: "arm64", kvm: ["arm64"], el1: "0", programs: EXIT_SHELL, interrupts: "AIC2" };
const NO_KVM: Host = { arch: "arm64", kvm: [], el1: "1", programs: EXIT_RAN };

describe("hostFacts", () => {
  const unmeasured = { arm32El1: undefined, arm32El0: undefined };
  const ran = (arch: string) => ({ usable: true, reason: `KVM ran ${arch}.` });
  const not = (arch: string) => ({ usable: false, reason: `KVM does not run ${arch}.` });

  test.each<[string, Host, DebianArch, HostFacts]>([
    ["x86", X86, "amd64", { arch: "amd64", kvm: ran("amd64"), ...unmeasured }],
    ["x86", X86, "i386", { arch: "amd64", kvm: ran("amd64"), ...unmeasured }],
    ["x86", X86, "armhf", { arch: "amd64", kvm: not("armhf"), ...unmeasured }],
    ["a Cortex-A72", A72, "arm64", { arch: "arm64", kvm: ran("arm64"), ...unmeasured, gic: 2 }],
    [
      "a Cortex-A72",
      A72,
      "armhf",
      { arch: "arm64", kvm: ran("arm64"), kvm32: ran("armhf"), arm32El1: true, arm32El0: true, gic: 2 },
    ],
    ["a Cortex-A72", A72, "amd64", { arch: "arm64", kvm: not("amd64"), ...unmeasured }],
    [
      "a Neoverse N1",
      N1,
      "armhf",
      { arch: "arm64", kvm: ran("arm64"), arm32El1: false, arm32El0: true, gic: 3 },
    ],
    [
      "a Neoverse N1",
      N1,
      "armel",
      { arch: "arm64", kvm: ran("arm64"), arm32El1: false, arm32El0: true, gic: 3 },
    ],
    [
      "an Apple M1",
      APPLE,
      "armhf",
      { arch: "arm64", kvm: ran("arm64"), arm32El1: false, arm32El0: false, gic: undefined },
    ],
    [
      "an ARM host without KVM",
      NO_KVM,
      "armhf",
      { arch: "arm64", kvm: not("arm64"), arm32El1: undefined, arm32El0: true, gic: undefined },
    ],
    [
      "a KVM that promises 32-bit kernels and fails",
      { ...A72, kvm: ["arm64"] },
      "armhf",
      { arch: "arm64", kvm: ran("arm64"), kvm32: not("armhf"), arm32El1: true, arm32El0: true, gic: 2 },
    ],
    [
      "a RISC-V host",
      { arch: "riscv64", kvm: ["riscv64"] },
      "riscv64",
      { arch: "riscv64", kvm: ran("riscv64"), ...unmeasured },
    ],
  ])("%s: %o, guests of %s", async (_what, host, arch, facts) => {
    expect((await factsOn(host, arch)).facts).toEqual(facts);
  });

  test.each<[string, Host, DebianArch, string[]]>([
    ["x86", X86, "amd64", ["kvm amd64"]],
    ["x86", X86, "armhf", ["kvm armhf"]],
    ["arm64", A72, "arm64", ["kvm arm64", "/proc/interrupts"]],
    ["arm64", A72, "armhf", ["kvm arm64", "/proc/interrupts", "perl", "program", "lscpu", "kvm armhf"]],
    ["arm64 without KVM", NO_KVM, "armhf", ["kvm arm64", "/proc/interrupts", "program", "lscpu"]],
  ])("on %s nothing is measured that does not matter: %o, %s", async (_what, host, arch, asked) => {
    expect((await factsOn(host, arch)).asked).toEqual(asked);
  });

  test.each<[string, Host, DebianArch, DebianArch, "kvm" | "tcg", RegExp]>([
    ["a Cortex-A72", A72, "armhf", "armhf", "kvm", /32-bit kernel mode/],
    ["a Neoverse N1", N1, "armhf", "arm64", "kvm", /no 32-bit kernel mode/],
    ["an Apple M1", APPLE, "armhf", "armhf", "tcg", /runs no 32-bit programs/],
    ["x86", X86, "armhf", "armhf", "tcg", /KVM on amd64 does not run/],
    ["a KVM that fails", { ...A72, kvm: ["arm64"] }, "armhf", "arm64", "kvm", /KVM does not run armhf/],
  ])("leads to the kernel that suits: %s", async (_what, host, arch, kernelArch, accel, reason) => {
    const { facts } = await factsOn(host, arch);
    const chosen = guestKernelArch(arch, facts, "auto");
    expect(chosen).toMatchObject({ kernelArch, accel, reason: expect.stringMatching(reason) });
  });
});

describe("gicVersion", () => {
  test.each([
    [GICV2, 2],
    [GICV3, 3],
    ["", undefined],
    [" 11:  4711  AIC 27 Level arch_timer\n", undefined],
    [" 11:  4711  GICv5 27 Level arch_timer\n", undefined],
    [GICV2 + GICV3, undefined],
    [" 12:  1  GICv2m-PCI-MSI 1 Edge x\n", undefined],
  ])("%j", (interrupts, version) => expect(gicVersion(interrupts)).toBe(version));
});

describe("processorModel", () => {
  const arm = (part: string): string =>
    `processor\t: 0\nBogoMIPS\t: 50.00\nCPU implementer\t: 0x41\nCPU variant\t: 0x1\nCPU part\t: ${part}\n\n`;
  test.each([
    [
      "processor\t: 0\nmodel name\t: A CPU @ 2 GHz\ncpu MHz\t: 1\n\nmodel name\t: A CPU @ 2 GHz\n",
      "A CPU @ 2 GHz",
    ],
    [arm("0xd07") + arm("0xd07"), "CPU implementer 0x41, CPU variant 0x1, CPU part 0xd07"],
    [arm("0xd03") + arm("0xd08"), "CPU implementer 0x41, CPU variant 0x1, CPU part 0xd03, CPU part 0xd08"],
    ["processor\t: 0\nhart\t: 1\nisa\t: rv64imafdc\n", "isa rv64imafdc"],
    ["", ""],
  ])("%j", (cpuinfo, model) => expect(processorModel(cpuinfo)).toBe(model));
});
