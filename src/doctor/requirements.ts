/**
 * What a machine must have, and should have, to make and run guests of an architecture. A requirement that does not apply
 * (KVM for a foreign architecture, user-mode emulation for the host's own) is left out.
 */
import type { DebianArch } from "../kernel/arch.ts";
import { acceleratorRequirements } from "./accelerator.ts";
import { emulatorRequirements } from "./emulator.ts";
import { folderRequirements } from "./folders.ts";
import { foreignRequirements } from "./foreign.ts";
import { hookRequirements } from "./hook.ts";
import { libvirtRequirements } from "./libvirt.ts";
import type { Probe } from "./probe.ts";
import { programRequirements } from "./programs.ts";
import type { Requirement } from "./requirement.ts";
import { sessionRequirements } from "./session.ts";

/**
 * The requirements in the order in which a person would mend them; the slow trials last.
 *
 * @param arch of the guests
 * @param native the host's, undefined where Debian has no name for it
 */
export function requirements(arch: DebianArch, native: DebianArch | undefined, probe: Probe): Requirement[] {
  return [
    ...emulatorRequirements(arch, probe),
    ...libvirtRequirements(probe),
    ...hookRequirements(arch, probe),
    ...programRequirements(probe),
    ...sessionRequirements(probe),
    ...folderRequirements(probe),
    ...foreignRequirements(arch, native, probe),
    ...acceleratorRequirements(arch, native, probe),
  ];
}
