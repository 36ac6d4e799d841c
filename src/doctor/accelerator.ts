/** What runs a guest's code: KVM where it does, else emulation. */
import type { DebianArch } from "../kernel/arch.ts";
import { KVM_DEVICE, obstacleOf } from "../machine/choose.ts";
import { guestKernelArch, type HostFacts } from "../machine/guest-kernel.ts";
import { hostFacts } from "../machine/host-facts.ts";
import { printable } from "../text.ts";
import { installedEmulator } from "./emulator.ts";
import { phrase } from "./examine.ts";
import { modeText } from "./modes.ts";
import type { Probe } from "./probe.ts";
import { type Finding, met, type Requirement, unknown, unmet } from "./requirement.ts";

/**
 * Trials may take this long, in milliseconds: a minute for emulation, three times that for KVM (machine/trial.ts), and for
 * 32-bit ARM guests there are two.
 */
const TRIAL_LIMIT_MS = 500_000;

/** @param native the host's architecture */
export function acceleratorRequirements(
  arch: DebianArch,
  native: DebianArch | undefined,
  probe: Probe,
): Requirement[] {
  // What a device that everybody may use would leave in the way of KVM: the architecture.
  const host = native ?? probe.nodeArch;
  const possible = obstacleOf(arch, host, { mode: 0o666 }) === undefined;
  let measured: Promise<HostFacts> | undefined;
  const facts = async (): Promise<HostFacts> => {
    measured ??= hostFacts(arch, {
      host,
      kvm: probe.kvm,
      start: probe.run,
      read: async (file) => probe.read(file),
    });
    return await measured;
  };
  const device: Requirement = {
    id: "kvm-device",
    title: KVM_DEVICE,
    need: "recommended",
    check: async () => checkDevice(probe),
  };
  const kvmRuns: Requirement = {
    id: "kvm",
    title: "KVM",
    need: "recommended",
    limitMs: TRIAL_LIMIT_MS,
    check: async () => withoutEmulator(arch, probe) ?? judgeKvm((await facts()).kvm, probe),
  };
  const accelerator: Requirement = {
    id: "accelerator",
    title: "accelerator",
    need: "required",
    limitMs: TRIAL_LIMIT_MS,
    async check() {
      const nothing = withoutEmulator(arch, probe);
      if (nothing !== undefined) return nothing;
      const chosen = possible ? guestKernelArch(arch, await facts(), "auto") : undefined;
      if (chosen?.accel === "kvm") {
        return met(chosen.kernelArch === arch ? "KVM" : phrase(chosen.reason));
      }
      const { usable, reason } = await probe.tcg(arch);
      const found = phrase(reason);
      return usable ? met(`emulation: ${found}`) : unmet(found);
    },
  };
  if (!possible) return [accelerator];
  // In session mode QEMU runs as this user, and whether that one may open the device is what `kvm` finds.
  return probe.mode.name === "session" ? [kvmRuns, accelerator] : [device, kvmRuns, accelerator];
}

function withoutEmulator(arch: DebianArch, probe: Probe): Finding | undefined {
  return installedEmulator(arch, probe) === undefined
    ? unknown(`not tried without QEMU for ${arch}`)
    : undefined;
}

/** /dev/kvm is there, and QEMU's user, who is in the group kvm, may open it. */
function checkDevice(probe: Probe): Finding {
  const device = probe.stat(KVM_DEVICE);
  if ("errno" in device) {
    return device.errno === "ENOENT"
      ? unmet("there is none, so guests are emulated")
      : unknown(`it could not be looked at (${device.errno})`);
  }
  const group = probe.groupName(device.gid) ?? String(device.gid);
  const found = `${modeText(device.mode)} ${device.uid === 0 ? "root" : device.uid}:${printable(group, 32)}`;
  const open = (device.mode & 0o006) === 0o006 || ((device.mode & 0o060) === 0o060 && group === "kvm");
  if (open) return met(found);
  // libvirt 9 moreover examines QEMU anew, for seconds, each time it reads a domain.
  return unmet(
    `${found}: libvirt's QEMU may not open it`,
    `chgrp kvm ${KVM_DEVICE}; chmod 0660 ${KVM_DEVICE}`,
  );
}

function judgeKvm({ usable, reason }: HostFacts["kvm"], { mode, user }: Probe): Finding {
  // The title says KVM already.
  const found = phrase(reason.replace(/^KVM /, ""));
  if (usable) return met(found);
  const outside = mode.name === "session" && /may not open/.test(reason);
  return outside ? unmet(found, `adduser ${printable(user.name)} kvm`) : unmet(found);
}
