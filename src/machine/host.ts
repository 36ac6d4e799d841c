/** Facts of this host. */
import type { DebianArch } from "../kernel/arch.ts";

const BY_NODE: Readonly<Partial<Record<NodeJS.Architecture, DebianArch>>> = {
  x64: "amd64",
  ia32: "i386",
  arm64: "arm64",
  arm: "armhf",
  riscv64: "riscv64",
  ppc64: "ppc64el",
  s390x: "s390x",
};

/** Debian's name of this host's architecture, or Node's where Debian has none. */
export function hostArch(): DebianArch | NodeJS.Architecture {
  return BY_NODE[process.arch] ?? process.arch;
}

/** What tells processors apart: x86's; ARM's, which have a number instead of a name; RISC-V's. */
const MODEL_FIELDS =
  /^(model name|CPU implementer|CPU architecture|CPU variant|CPU part|CPU revision|isa|mmu|uarch)\s*:\s*(.*)$/gm;

/**
 * The model of the host's processors, to tell whether they are still the same: not for people.
 *
 * @param cpuinfo of /proc/cpuinfo (Linux, fs/proc/cpuinfo.c). What differs among processors of one machine is all kept
 */
export function processorModel(cpuinfo: string): string {
  const fields = [...cpuinfo.matchAll(MODEL_FIELDS)].map(([, name = "", value = ""]) =>
    name === "model name" ? value : `${name} ${value}`,
  );
  return [...new Set(fields)].join(", ");
}
