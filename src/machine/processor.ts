/** What a host's processor may run beside what is of its own architecture. Whether it does is measured elsewhere. */
import type { DebianArch } from "../kernel/arch.ts";

interface Narrower {
  /** arm64: where the processor has 32-bit instructions for them (EL0). */
  readonly programs: readonly DebianArch[];
  /** Under KVM. arm64: where the processor has 32-bit kernel mode (EL1). Debian's armel kernels are for boards. */
  readonly kernels: readonly DebianArch[];
}

/** By Debian's name of the host's architecture. */
const NARROWER: Readonly<Record<string, Narrower>> = {
  amd64: { programs: ["i386"], kernels: ["i386"] },
  arm64: { programs: ["armhf", "armel"], kernels: ["armhf"] },
};

/**
 * Whether a host's processor may run programs of an architecture.
 *
 * @param host Debian's name of the host's architecture, or Node's where Debian has none
 */
export function mayRunPrograms(arch: DebianArch, host: string): boolean {
  return arch === host || (NARROWER[host]?.programs.includes(arch) ?? false);
}

/** The same for kernels of an architecture, under KVM. */
export function mayRunKernels(arch: DebianArch, host: string): boolean {
  return arch === host || (NARROWER[host]?.kernels.includes(arch) ?? false);
}
