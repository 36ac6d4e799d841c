/** The Debian releases that bootshare makes guests of, and the kernel package of each architecture. */
import { EXIT, UserError } from "../errors.ts";
import type { ShareTransport } from "../share/transport.ts";

/** How the boot share reaches the guest. */
export type Transport = ShareTransport["name"];

export interface Suite {
  readonly name: string;
  /** Debian's version number. */
  readonly version: string;
  /** Kernel package of each architecture, by Debian's name of the architecture. */
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

const KERNELS: Readonly<Record<string, string>> = {
  amd64: "linux-image-amd64",
  arm64: "linux-image-arm64",
  // LPAE sees the PCI host of QEMU's `virt` machine as it comes.
  armhf: "linux-image-armmp-lpae",
  ppc64el: "linux-image-powerpc64le",
  s390x: "linux-image-s390x",
};

const SUITES: readonly Suite[] = [
  {
    name: "trixie",
    version: "13",
    kernels: { ...KERNELS, riscv64: "linux-image-riscv64" },
    extraPackages: [],
  },
  {
    name: "bookworm",
    version: "12",
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

// Debian policy 5.6.1, narrowed to kernel images. It ends up in apt's command line.
const KERNEL_PACKAGE = /^linux-image-[a-z0-9][a-z0-9.+-]*$/;
// Policy 5.6.1.
const PACKAGE = /^[a-z0-9][a-z0-9+.-]+$/;

/**
 * The kernel package of a guest: the one asked for, or the suite's default for the architecture.
 *
 * @param asked a package name, as a person typed it
 * @throws {UserError} `KERNEL_PACKAGE_INVALID`, `KERNEL_NEEDS_VIRTIOFS` (Debian's cloud kernels are built without 9p),
 *   `ARCHITECTURE_UNKNOWN`
 */
export function kernelPackage(suite: Suite, arch: string, transport: Transport, asked?: string): string {
  const name = asked ?? (Object.hasOwn(suite.kernels, arch) ? suite.kernels[arch] : undefined);
  if (name === undefined) {
    throw new UserError(
      "ARCHITECTURE_UNKNOWN",
      `Debian ${suite.name} has no kernel for ${JSON.stringify(arch)}.`,
      {
        hint: `Known are ${Object.keys(suite.kernels).sort().join(", ")}; or name a kernel package.`,
        exitCode: EXIT.usage,
      },
    );
  }
  if (!KERNEL_PACKAGE.test(name)) {
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
  return name;
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
