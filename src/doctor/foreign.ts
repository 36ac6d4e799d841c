/** Architectures that are not the host's: programs of them, and 32-bit ARM on 64-bit hosts. */
import type { DebianArch } from "../kernel/arch.ts";
import { type Arm32, arm32Kernels, arm32Programs } from "../machine/arm32.ts";
import { printable } from "../text.ts";
import { KVM_DEVICE } from "./accelerator.ts";
import type { Probe } from "./probe.ts";
import { type Finding, met, type Requirement, unmet } from "./requirement.ts";

const BINFMT = "/proc/sys/fs/binfmt_misc";

/** What QEMU's user-mode emulators, and so their entries in binfmt_misc, are called. */
const QEMU_NAMES: Readonly<Record<DebianArch, string>> = {
  amd64: "x86_64",
  i386: "i386",
  arm64: "aarch64",
  armhf: "arm",
  armel: "arm",
  riscv64: "riscv64",
  ppc64el: "ppc64le",
  s390x: "s390x",
};

/** @param native the host's architecture */
export function foreignRequirements(
  arch: DebianArch,
  native: DebianArch | undefined,
  probe: Probe,
): Requirement[] {
  const found: Requirement[] = [];
  // The processor of an amd64 host runs programs of i386.
  if (arch !== native && !(native === "amd64" && arch === "i386")) {
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
        check: async () => findingOf(await arm32Programs(probe.run)),
      },
    );
  }
  return found;
}

/**
 * Whether the kernel hands programs of the architecture to an emulator. Flag F: the kernel holds the emulator open, so
 * that it is found in a root file system that does not have it (Documentation/admin-guide/binfmt-misc.rst).
 */
async function checkBinfmt(arch: DebianArch, native: DebianArch | undefined, probe: Probe): Promise<Finding> {
  const is32BitArm = arch === "armhf" || arch === "armel";
  if (native === "arm64" && is32BitArm && (await arm32Programs(probe.run)).able === true) {
    return met("not needed here: the processor runs them");
  }
  const mount = `mount -t binfmt_misc binfmt_misc ${BINFMT}`;
  const install = "apt-get install qemu-user-static";
  const status = probe.read(`${BINFMT}/status`)?.trim();
  if (status === undefined) return unmet(`${BINFMT} is not mounted`, mount);
  if (status !== "enabled") return unmet("binfmt_misc is switched off", `echo 1 >${BINFMT}/status`);
  const name = `qemu-${QEMU_NAMES[arch]}`;
  const entry = probe.read(`${BINFMT}/${name}`);
  if (entry === undefined) return unmet(`no emulator is registered as ${name}`, install);
  if (!/^enabled$/m.test(entry)) return unmet(`${name} is switched off`, `echo 1 >${BINFMT}/${name}`);
  if (!/^flags: .*F/m.test(entry)) return unmet(`${name} does not work in a chroot (no flag F)`, install);
  return met(printable(/^interpreter (.+)$/m.exec(entry)?.[1] ?? name));
}

async function checkKernels(probe: Probe): Promise<Finding> {
  const device = probe.stat(KVM_DEVICE);
  if ("errno" in device && device.errno === "ENOENT") return unmet(`this machine has no ${KVM_DEVICE}`);
  return findingOf(await arm32Kernels(probe.run));
}

function findingOf({ able, found }: Arm32): Finding {
  return { ok: able ?? null, found };
}
