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
