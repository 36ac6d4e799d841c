/** Finds out what {@link guestKernelArch} decides by. Measured each time, but for trials, which are remembered. */
import { readFile } from "node:fs/promises";
import { errnoOf } from "../errors.ts";
import { type DebianArch, isDebianArch } from "../kernel/arch.ts";
import { measureArm32El0, measureArm32El1, type Starter } from "./arm32.ts";
import { kvmResult } from "./choose.ts";
import type { HostFacts } from "./guest-kernel.ts";
import { hostArch } from "./host.ts";
import { mayRunPrograms } from "./processor.ts";
import type { TrialResult } from "./trial.ts";

/** What {@link hostFacts} asks of the machine. Tests, and doctor, put in their own. */
export interface HostFactsOptions {
  /** Debian's name of the host's architecture, or Node's. */
  readonly host?: string;
  /** Whether KVM runs guests with a kernel of an architecture, from what is remembered or from a trial. */
  readonly kvm?: (kernelArch: DebianArch) => Promise<TrialResult>;
  readonly start?: Starter;
  /** A small file's content; undefined where it cannot be read. */
  readonly read?: (file: string) => Promise<string | undefined>;
}

/**
 * Measures the facts of this host that matter for guests of an architecture, and no others: a trial of KVM for the host's
 * own kernels where KVM may run such guests, and on arm64 hosts for ARM guests the interrupt controller; for 32-bit ones
 * also 32-bit programs and, where KVM runs anything, 32-bit kernels. The first time on a machine this takes some seconds.
 *
 * @param arch of the programs in the guest
 * @throws {UserError} `PROGRAM_MISSING` without QEMU
 */
export async function hostFacts(arch: DebianArch, options: HostFactsOptions = {}): Promise<HostFacts> {
  const host = options.host ?? hostArch();
  const kvmOf = options.kvm ?? (async (kernelArch: DebianArch) => await kvmResult(kernelArch));
  const read = options.read ?? readSmall;
  const possible = mayRunPrograms(arch, host);
  // Where KVM here has nothing for such guests, asking for them says so without a trial.
  const { usable, reason } = await kvmOf(possible && isDebianArch(host) ? host : arch);
  const kvm = { usable, reason };
  if (host !== "arm64" || !possible) {
    return { arch: host, kvm, arm32El1: undefined, arm32El0: undefined };
  }
  const gic = gicVersion((await read("/proc/interrupts")) ?? "");
  if (arch === "arm64") return { arch: host, kvm, arm32El1: undefined, arm32El0: undefined, gic };
  const arm32El1 = usable ? (await measureArm32El1(options.start)).able : undefined;
  const arm32El0 = (await measureArm32El0(options.start)).able;
  // That the processor could is not yet that KVM does.
  const kvm32 = arm32El1 === true ? await kvmOf("armhf") : undefined;
  return {
    ...{ arch: host, kvm, arm32El1, arm32El0, gic },
    ...(kvm32 === undefined ? {} : { kvm32: { usable: kvm32.usable, reason: kvm32.reason } }),
  };
}

/**
 * The version of an ARM host's interrupt controller, which KVM gives its guests, by the name that its driver has in
 * /proc/interrupts (Linux, drivers/irqchip/irq-gic.c and irq-gic-v3.c). Undefined where there is none or another one
 * (Apple's): then QEMU is left to find out what KVM has.
 */
export function gicVersion(interrupts: string): 2 | 3 | undefined {
  const versions = new Set([...interrupts.matchAll(/\bGICv(\d+)\b/g)].map((match) => match[1]));
  if (versions.size !== 1) return undefined;
  if (versions.has("3")) return 3;
  return versions.has("2") ? 2 : undefined;
}

async function readSmall(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}
