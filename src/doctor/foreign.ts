/** Architectures that are not the host's: programs of them, and 32-bit ARM on 64-bit hosts. */
import type { DebianArch } from "../kernel/arch.ts";
import { type Arm32, measureArm32El0, measureArm32El1 } from "../machine/arm32.ts";
import { KVM_DEVICE } from "../machine/choose.ts";
import { programsFor } from "../provision/provision.ts";
import { runsNatively } from "../provision/second-stage.ts";
import { userEmulation } from "../provision/user-emulation.ts";
import { printable } from "../text.ts";
import type { Probe } from "./probe.ts";
import { type Finding, met, type Requirement, unmet } from "./requirement.ts";

/** @param native the host's architecture */
export function foreignRequirements(
  arch: DebianArch,
  native: DebianArch | undefined,
  probe: Probe,
): Requirement[] {
  const found: Requirement[] = [];
  const runs = runsNatively(arch, { host: native ?? "", arm32El0: undefined });
  if (arch !== native) {
    found.push({
      id: "foreign-programs",
      title: `making ${arch} guests`,
      need: "required",
      check: async () => checkPrograms(programsFor(arch, runs ? "native" : "qemu-user", native), probe),
    });
  }
  if (!runs) {
    found.push({
      id: "binfmt",
      title: `programs of ${arch}`,
      need: "recommended",
      check: async () => await checkBinfmt(arch, native, probe),
    });
  }
  if (native === "arm64") {
    found.push(
      {
        id: "arm32-el1",
        title: "32-bit kernels under KVM",
        need: "recommended",
        check: async () => await checkKernels(probe),
      },
      {
        id: "arm32-el0",
        title: "32-bit programs",
        need: "recommended",
        check: async () => findingOf(await measureArm32El0(probe.run)),
      },
    );
  }
  return found;
}

/** Debian's packages of the programs that are not called as theirs. */
const PACKAGES: Readonly<Record<string, string>> = {
  depmod: "kmod",
  modprobe: "kmod",
  "dpkg-deb": "dpkg",
  xz: "xz-utils",
};

function checkPrograms(programs: readonly string[], probe: Probe): Finding {
  const missing = programs.filter((program) => probe.find(program) === undefined);
  if (missing.length === 0) return met(programs.join(", "));
  const packages = [...new Set(missing.map((program) => PACKAGES[program] ?? program))];
  return unmet(`missing: ${missing.join(", ")}`, `apt-get install ${packages.join(" ")}`);
}

/** Programs of the architecture run here by the processor, or by QEMU's user-mode emulation (provision/user-emulation.ts). */
async function checkBinfmt(arch: DebianArch, native: DebianArch | undefined, probe: Probe): Promise<Finding> {
  const is32BitArm = arch === "armhf" || arch === "armel";
  if (native === "arm64" && is32BitArm && (await measureArm32El0(probe.run)).able === true) {
    return met("not needed here: the processor runs them");
  }
  const { usable, found, fix } = userEmulation(arch, probe.read);
  return usable ? met(printable(found)) : unmet(found, fix);
}

async function checkKernels(probe: Probe): Promise<Finding> {
  const device = probe.stat(KVM_DEVICE);
  if ("errno" in device && device.errno === "ENOENT") return unmet(`this machine has no ${KVM_DEVICE}`);
  return findingOf(await measureArm32El1(probe.run));
}

function findingOf({ able, found }: Arm32): Finding {
  return { ok: able ?? null, found };
}
