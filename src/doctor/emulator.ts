/** QEMU. */
import { UserError } from "../errors.ts";
import type { DebianArch } from "../kernel/arch.ts";
import { emulatorPackages, machineShape } from "../machine/shape.ts";
import { printable } from "../text.ts";
import type { Probe } from "./probe.ts";
import { type Finding, met, type Requirement, unmet } from "./requirement.ts";
import { isOlder, type Version, versionOf } from "./versions.ts";

/** The oldest QEMU that bootshare was tried with (docs/requirements.md). */
const TRIED_QEMU: Version = [7, 2];

export function emulatorRequirements(arch: DebianArch, probe: Probe): Requirement[] {
  const qemu: Requirement = {
    id: "qemu",
    title: `QEMU for ${arch}`,
    need: "required",
    check: async () => await checkEmulator(arch, probe),
  };
  const qemuImg: Requirement = {
    id: "qemu-img",
    title: "qemu-img",
    need: "required",
    check: async () => await checkVersion(probe, "qemu-img", "apt-get install qemu-utils"),
  };
  return [qemu, qemuImg];
}

/**
 * Path of the emulator, where it is installed: the one for emulation. Where KVM takes another (armhf on arm64), Debian has
 * both in one package.
 */
export function installedEmulator(arch: DebianArch, probe: Probe): string | undefined {
  try {
    const { emulator } = machineShape(arch, "tcg");
    return "errno" in probe.stat(emulator) ? undefined : emulator;
  } catch (error) {
    // An architecture that no guest can be made of: the check of the emulator says so.
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

async function checkEmulator(arch: DebianArch, probe: Probe): Promise<Finding> {
  const { emulator } = machineShape(arch, "tcg");
  const installs = [...new Set(emulatorPackages(arch))].map((name) => `apt-get install ${name}`);
  return await checkVersion(probe, emulator, installs.join(" || "));
}

async function checkVersion(probe: Probe, program: string, fix: string): Promise<Finding> {
  const result = await probe.run(program, ["--version"]);
  if (result.missing) return unmet(`${program} is not installed`, fix);
  if (result.timedOut) return unmet(`${program} --version does not end`);
  if (result.exitCode !== 0) {
    return unmet(`${program} does not run: ${printable(result.stderr.split("\n")[0] ?? "", 120)}`, fix);
  }
  const version = /\bversion (\d+)\.(\d+)[\d.]*/.exec(result.stdout);
  if (version === null) return met(`${program}, of a version that it does not tell`);
  const text = version[0].replace("version ", "");
  return met(
    isOlder(versionOf(version), TRIED_QEMU)
      ? `${text}, older than any that was tried (${TRIED_QEMU.join(".")})`
      : text,
  );
}
