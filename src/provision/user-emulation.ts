/**
 * Programs of another architecture on this host, through QEMU's user-mode emulation and the kernel's binfmt_misc
 * (Documentation/admin-guide/binfmt-misc.rst).
 */
import { existsSync, readFileSync } from "node:fs";
import { errnoOf } from "../errors.ts";
import type { DebianArch } from "../kernel/arch.ts";
import { run } from "../process.ts";

export const BINFMT = "/proc/sys/fs/binfmt_misc";

/** What QEMU's user-mode emulators are called, behind `qemu-`: the name of their entry in binfmt_misc too. */
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

/** The name of the entry in binfmt_misc for programs of an architecture. */
export function binfmtEntry(arch: DebianArch): string {
  return `qemu-${QEMU_NAMES[arch]}`;
}

/** Reads a file of binfmt_misc; undefined where it is not there. */
export type ReadFile = (file: string) => string | undefined;

export interface Emulation {
  readonly usable: boolean;
  /** Where it is usable the emulator, else what is in the way: a phrase. From files of root's. */
  readonly found: string;
  /** The command of a person that mends it. */
  readonly fix?: string;
}

/**
 * Whether the kernel hands programs of an architecture to an emulator, in a chroot too. Flag F: the kernel holds the
 * emulator open, so that it is found in a root file system that does not have it.
 */
export function userEmulation(arch: DebianArch, read: ReadFile = readIfThere): Emulation {
  const install = "apt-get install qemu-user-static";
  const status = read(`${BINFMT}/status`)?.trim();
  if (status === undefined) {
    return {
      usable: false,
      found: `${BINFMT} is not mounted`,
      fix: `mount -t binfmt_misc binfmt_misc ${BINFMT}`,
    };
  }
  if (status !== "enabled") {
    return { usable: false, found: "binfmt_misc is switched off", fix: `echo 1 >${BINFMT}/status` };
  }
  const name = binfmtEntry(arch);
  const entry = read(`${BINFMT}/${name}`);
  if (entry === undefined)
    return { usable: false, found: `no emulator is registered as ${name}`, fix: install };
  if (!/^enabled$/m.test(entry)) {
    return { usable: false, found: `${name} is switched off`, fix: `echo 1 >${BINFMT}/${name}` };
  }
  if (!/^flags: .*F/m.test(entry)) {
    return { usable: false, found: `${name} does not work in a chroot (no flag F)`, fix: install };
  }
  return { usable: true, found: /^interpreter (.+)$/m.exec(entry)?.[1] ?? name };
}

/**
 * {@link userEmulation}, after mounting binfmt_misc and registering the emulator where that is all that is missing, as on
 * a machine without systemd. What somebody switched off stays off. Needs root.
 */
export async function ensureUserEmulation(arch: DebianArch): Promise<Emulation> {
  if (readIfThere(`${BINFMT}/status`) === undefined) {
    await run("mount", ["-t", "binfmt_misc", "binfmt_misc", BINFMT], { timeoutMs: 10_000 });
  }
  const configuration = configurationOf(arch);
  if (!existsSync(`${BINFMT}/${binfmtEntry(arch)}`) && existsSync(configuration)) {
    // systemd's own program for this needs no systemd that runs.
    await run("/usr/lib/systemd/systemd-binfmt", [configuration], { timeoutMs: 10_000 });
  }
  return userEmulation(arch);
}

/** What {@link ensureUserEmulation} would most likely come to, without changing anything. */
export async function foreseenEmulation(arch: DebianArch): Promise<Emulation> {
  const present = userEmulation(arch);
  const status = readIfThere(`${BINFMT}/status`)?.trim();
  const off = status !== undefined && (status !== "enabled" || existsSync(`${BINFMT}/${binfmtEntry(arch)}`));
  // Only root may mend what is missing, and nobody undoes what was switched off.
  if (present.usable || off || process.getuid?.() !== 0 || !existsSync(configurationOf(arch))) return present;
  return { usable: true, found: configurationOf(arch) };
}

/** What the emulator's package would have systemd register. */
function configurationOf(arch: DebianArch): string {
  return `/usr/lib/binfmt.d/${binfmtEntry(arch)}.conf`;
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}
