/**
 * Which kernel a guest gets, and whether KVM runs it: a pure decision from facts of the host that were measured elsewhere.
 *
 * A guest's programs may run on a kernel of a sibling architecture. That is worth it where KVM does not run the guest's
 * own: most arm64 servers since Neoverse N1 have no 32-bit instructions for kernels (EL1), and some have them for programs
 * (EL0). It is the only way where Debian has no kernel of the guest's own: i386 since trixie.
 */
import { EXIT, UserError } from "../errors.ts";
import type { DebianArch } from "../kernel/arch.ts";
import type { Accel, AccelChoice } from "./accel.ts";
import { mayRunKernels } from "./processor.ts";
import { KERNELS_FOR } from "./shapes-table.ts";

/** What was found out about the host. */
export interface HostFacts {
  /** Debian's name, or what Node calls it where Debian has none. */
  readonly arch: string;
  /** Whether KVM really runs a guest of the host's own architecture (trial.ts); the reason is a sentence. */
  readonly kvm: { readonly usable: boolean; readonly reason: string };
  /** arm64: KVM can give a guest 32-bit kernel mode (KVM_CAP_ARM_EL1_32BIT). Undefined: not measured. */
  readonly arm32El1: boolean | undefined;
  /** arm64: whether KVM really runs 32-bit kernels, where that was tried. The reason is a sentence. */
  readonly kvm32?: { readonly usable: boolean; readonly reason: string };
  /** arm64: 32-bit programs run. Undefined: not measured. */
  readonly arm32El0: boolean | undefined;
  /** arm64: the interrupt controller's version. */
  readonly gic?: 2 | 3 | undefined;
}

/** `auto`: what runs best. `native`: a kernel of the guest's own architecture. Else: a kernel of this one. */
export type GuestKernelChoice = "auto" | "native" | DebianArch;

export interface GuestKernel {
  readonly kernelArch: DebianArch;
  readonly accel: Accel;
  /** A sentence, for a person. */
  readonly reason: string;
  /** What it costs, where it does: a sentence. */
  readonly warning?: string;
}

export interface GuestKernelOptions {
  /** Kernels that the suite has for such guests, best first (provision/suites.ts, kernelArches); all by default. */
  readonly kernels?: readonly DebianArch[] | undefined;
  /** What was asked for with `--accel`; auto by default. */
  readonly accel?: AccelChoice | undefined;
}

const COST =
  "Emulation is slow: a guest that boots in seconds under KVM takes about a minute, and building or upgrading many times " +
  "as long as on a machine of its own architecture.";

/**
 * Chooses the kernel's architecture and the accelerator.
 *
 * @param arch of the programs in the guest
 * @throws {UserError} `GUEST_KERNEL_UNSUPPORTED` when the kernel asked for is none for this guest; `ACCEL_UNUSABLE` when KVM
 *   was asked for and runs none of the kernels
 */
export function guestKernelArch(
  arch: DebianArch,
  host: HostFacts,
  wanted: GuestKernelChoice,
  options: GuestKernelOptions = {},
): GuestKernel {
  const [usual, ...others] = candidates(arch, wanted, options.kernels ?? KERNELS_FOR[arch]);
  const accel = options.accel ?? "auto";
  if (accel === "tcg") return emulated(usual, "Emulation (TCG) was asked for.");
  const obstacles: string[] = [];
  for (const kernelArch of [usual, ...others]) {
    const obstacle = kvmObstacle(kernelArch, arch, host);
    if (obstacle === undefined) {
      return { kernelArch, accel: "kvm", reason: whyKvm(kernelArch, arch, host, wanted, obstacles) };
    }
    if (!obstacles.includes(obstacle)) obstacles.push(obstacle);
  }
  const why = obstacles.join(" ");
  if (accel === "auto") return emulated(usual, `Emulation (TCG), because: ${why}`);
  throw new UserError("ACCEL_UNUSABLE", `KVM was asked for and cannot run this guest: ${why}`, {
    exitCode: EXIT.unusable,
    hint: "Use emulation with '--accel tcg', or let bootshare choose with '--accel auto'.",
  });
}

/** Whether a 64-bit kernel runs 32-bit programs: they then need to be told that the machine is a 32-bit one. */
export function isNarrow(arch: DebianArch, kernelArch: DebianArch): boolean {
  const narrow: readonly DebianArch[] = ["i386", "armhf", "armel"];
  return narrow.includes(arch) && !narrow.includes(kernelArch);
}

function candidates(
  arch: DebianArch,
  wanted: GuestKernelChoice,
  kernels: readonly DebianArch[],
): [DebianArch, ...DebianArch[]] {
  const possible = kernels.filter((one) => KERNELS_FOR[arch].includes(one));
  const asked =
    wanted === "auto" ? possible : possible.filter((one) => one === (wanted === "native" ? arch : wanted));
  const [first, ...rest] = asked;
  if (first !== undefined) return [first, ...rest];
  const what =
    wanted === "native" || wanted === "auto" || wanted === arch ? `${arch} kernel` : `${wanted} kernel`;
  throw new UserError("GUEST_KERNEL_UNSUPPORTED", `There is no ${what} for this ${arch} guest.`, {
    exitCode: EXIT.usage,
    hint:
      possible.length === 0
        ? "Choose another suite or architecture."
        : `Kernels that run ${arch} programs here: ${possible.join(", ")} ('--guest-kernel-arch').`,
  });
}

/** Why KVM does not run such a guest here, a sentence; undefined where it does. */
function kvmObstacle(kernelArch: DebianArch, userland: DebianArch, host: HostFacts): string | undefined {
  if (!mayRunKernels(kernelArch, host.arch)) return `KVM on ${host.arch} does not run ${kernelArch} kernels.`;
  if (!host.kvm.usable) return host.kvm.reason;
  if (host.arch === "arm64" && kernelArch === "armhf" && host.arm32El1 !== true) {
    return host.arm32El1 === false
      ? "This host's processor has no 32-bit kernel mode (EL1)."
      : "It is not known whether this host's processor has 32-bit kernel mode (EL1).";
  }
  if (kernelArch === "armhf" && host.kvm32?.usable === false) return host.kvm32.reason;
  if (kernelArch === "arm64" && userland !== "arm64" && host.arm32El0 !== true) {
    return host.arm32El0 === false
      ? "This host's processor runs no 32-bit programs (EL0)."
      : "It is not known whether this host's processor runs 32-bit programs (EL0).";
  }
  return undefined;
}

function whyKvm(
  kernelArch: DebianArch,
  arch: DebianArch,
  host: HostFacts,
  wanted: GuestKernelChoice,
  obstacles: readonly string[],
): string {
  const kernel = `the ${kernelArch} kernel`;
  if (kernelArch === arch) {
    return kernelArch === "armhf" && host.arch === "arm64"
      ? `KVM runs ${kernel}: this host's processor has 32-bit kernel mode (EL1).`
      : `KVM runs ${kernel} on this host.`;
  }
  const under = `KVM runs ${kernel} under the ${arch} programs`;
  if (wanted === kernelArch) return `${under}, as was asked for.`;
  if (obstacles.length > 0) return `${under}, because: ${obstacles.join(" ")}`;
  return arch === "armel"
    ? `${under}: Debian's armel kernels boot on no virtual machine.`
    : `${under}: the suite has no ${arch} kernel.`;
}

function emulated(kernelArch: DebianArch, reason: string): GuestKernel {
  return { kernelArch, accel: "tcg", reason, warning: COST };
}
