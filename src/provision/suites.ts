/** The Debian releases that bootshare makes guests of, and the kernel package of each architecture. */
import { EXIT, UserError } from "../errors.ts";
import { type DebianArch, isDebianArch } from "../kernel/arch.ts";
import { KERNELS_FOR } from "../machine/shapes-table.ts";
import type { Transport } from "../share/transport.ts";

export interface Suite {
  readonly name: string;
  /** Debian's version number. */
  readonly version: string;
  /** Architectures of the packages that the suite has: of the programs in a guest. */
  readonly arches: readonly DebianArch[];
  /** The kernel package of each architecture that has a kernel for machines of QEMU's, by Debian's name of it. */
  readonly kernels: Readonly<Record<string, string>>;
  /** What a guest of this suite needs beyond {@link BASE_PACKAGES}. */
  readonly extraPackages: readonly string[];
}

/**
 * What every guest gets, by name; mmdebstrap adds what they depend on, and no recommendations. The first block makes it a
 * machine that boots by itself from a host's folder and is reached by ssh; the second is what an administrator misses at
 * once when it is not there.
 */
export const BASE_PACKAGES: readonly string[] = [
  "systemd-sysv",
  "systemd-resolved",
  "systemd-timesyncd",
  "libpam-systemd",
  "dbus",
  "udev",
  // fsck.ext4 goes into the initrd, and mmdebstrap's variant "apt" leaves it out.
  "e2fsprogs",
  "initramfs-tools",
  "zstd",
  "openssh-server",
  "qemu-guest-agent",

  "iproute2",
  "iputils-ping",
  "less",
  "nano",
  "netbase",
  "procps",
];

const KERNELS = {
  amd64: "linux-image-amd64",
  arm64: "linux-image-arm64",
  // LPAE sees the PCI host of QEMU's `virt` machine as it comes.
  armhf: "linux-image-armmp-lpae",
  ppc64el: "linux-image-powerpc64le",
  s390x: "linux-image-s390x",
} as const;

/**
 * Held against the suites' own package lists. armel's kernels (`marvell` and `rpi` in bookworm, `rpi` in trixie) are not
 * here: they are for ARMv5 and ARMv6 boards and boot on no machine of QEMU's that has virtio (machine/shapes-table.ts).
 */
const SUITES: readonly Suite[] = [
  {
    name: "trixie",
    version: "13",
    // i386 and armel have no installer any more; i386 has no kernel either, armel only that of a board.
    arches: ["amd64", "i386", "arm64", "armhf", "armel", "riscv64", "ppc64el", "s390x"],
    kernels: { ...KERNELS, riscv64: "linux-image-riscv64" },
    extraPackages: [],
  },
  {
    name: "bookworm",
    version: "12",
    arches: ["amd64", "i386", "arm64", "armhf", "armel", "ppc64el", "s390x"],
    kernels: { ...KERNELS, i386: "linux-image-686-pae" },
    extraPackages: [],
  },
];

/** The names of all suites, the default first. */
export function suiteNames(): readonly string[] {
  return SUITES.map((suite) => suite.name);
}

/**
 * @param name a code name, as a person typed it
 * @throws {UserError} `SUITE_UNKNOWN`
 */
export function findSuite(name: string): Suite {
  const suite = SUITES.find((one) => one.name === name);
  if (suite !== undefined) return suite;
  throw new UserError("SUITE_UNKNOWN", `bootshare does not know the suite ${JSON.stringify(name)}.`, {
    hint: `Known are ${suiteNames().join(", ")}.`,
    exitCode: EXIT.usage,
  });
}

// Debian policy 5.6.1, narrowed to kernel images; ":ARCH" as apt has it for another architecture. It ends up in apt's
// command line.
const KERNEL_PACKAGE = /^linux-image-[a-z0-9][a-z0-9.+-]*(?::([a-z0-9]+))?$/;
// Policy 5.6.1.
const PACKAGE = /^[a-z0-9][a-z0-9+.-]+$/;

/**
 * The architectures of the kernels that the suite has for a guest, the usual one first; empty when there is none. One that
 * is not the guest's own is installed, and upgraded, by the guest's apt from a second architecture (multiarch).
 */
export function kernelArches(suite: Suite, arch: string): readonly DebianArch[] {
  if (!isDebianArch(arch) || !suite.arches.includes(arch)) return [];
  return KERNELS_FOR[arch].filter((kernelArch) => Object.hasOwn(suite.kernels, kernelArch));
}

/**
 * The kernel package of a guest: the one asked for, or the suite's default. For a kernel of another architecture than the
 * guest's it is `PACKAGE:ARCH`, as apt wants it; {@link packageArch} tells.
 *
 * @param arch of the programs in the guest
 * @param asked a package name, as a person typed it
 * @param kernelArch of the kernel (machine/guest-kernel.ts); the first of {@link kernelArches} by default
 * @throws {UserError} `KERNEL_PACKAGE_INVALID`, `KERNEL_NEEDS_VIRTIOFS` (Debian's cloud kernels are built without 9p),
 *   `ARCHITECTURE_UNKNOWN`
 */
export function kernelPackage(
  suite: Suite,
  arch: string,
  transport: Transport,
  asked?: string,
  kernelArch: DebianArch | undefined = kernelArches(suite, arch)[0],
): string {
  const known = kernelArch !== undefined && kernelArches(suite, arch).includes(kernelArch);
  const name = asked ?? (known ? suite.kernels[kernelArch] : undefined);
  if (name === undefined) {
    const what = kernelArch === undefined || kernelArch === arch ? "" : `${kernelArch} `;
    throw new UserError(
      "ARCHITECTURE_UNKNOWN",
      `Debian ${suite.name} has no ${what}kernel for ${JSON.stringify(arch)}.`,
      {
        hint: `Known are ${[...suite.arches].sort().join(", ")}; or name a kernel package.`,
        exitCode: EXIT.usage,
      },
    );
  }
  const match = KERNEL_PACKAGE.exec(name);
  if (match === null || (match[1] !== undefined && !isDebianArch(match[1]))) {
    throw new UserError("KERNEL_PACKAGE_INVALID", `${JSON.stringify(name)} is no name of a kernel package.`, {
      hint: "Kernel packages are named linux-image-…, for example linux-image-amd64.",
      exitCode: EXIT.usage,
    });
  }
  if (transport === "9p" && /-cloud-/.test(name)) {
    throw new UserError("KERNEL_NEEDS_VIRTIOFS", `The kernel ${name} cannot mount a 9p boot share.`, {
      hint: "Debian's cloud kernels are built without 9p: share /boot by virtiofs, or take another kernel.",
      exitCode: EXIT.usage,
    });
  }
  const foreign = match[1] === undefined && kernelArch !== undefined && kernelArch !== arch;
  return foreign ? `${name}:${kernelArch}` : name;
}

/** The architecture in `PACKAGE:ARCH`, which dpkg must be told of before; undefined where the name has none. */
export function packageArch(name: string): DebianArch | undefined {
  const suffix = name.split(":")[1];
  return suffix !== undefined && isDebianArch(suffix) ? suffix : undefined;
}

/**
 * All packages to install by name, each once.
 *
 * @param extra names that a person typed
 * @throws {UserError} `PACKAGE_NAME_INVALID`
 */
export function guestPackages(
  suite: Suite,
  kernel: string,
  https: boolean,
  extra: readonly string[],
): string[] {
  for (const name of extra) {
    if (PACKAGE.test(name)) continue;
    throw new UserError("PACKAGE_NAME_INVALID", `${JSON.stringify(name)} is no name of a Debian package.`, {
      exitCode: EXIT.usage,
    });
  }
  const certificates = https ? ["ca-certificates"] : [];
  return [...new Set([...BASE_PACKAGES, ...suite.extraPackages, kernel, ...certificates, ...extra])];
}
