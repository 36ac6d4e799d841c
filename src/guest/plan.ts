/** What a creation will make: a person's wishes, held against the suite, this machine, and what libvirt and QEMU have. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { EXIT, messageOf, UserError } from "../errors.ts";
import { DEBIAN_ARCHES, type DebianArch, isDebianArch } from "../kernel/arch.ts";
import { checkMachineSize, type NetworkSpec } from "../libvirt/domain-create.ts";
import type { AccelChoice } from "../machine/accel.ts";
import { type GuestKernel, type GuestKernelChoice, guestKernelArch } from "../machine/guest-kernel.ts";
import { hostArch } from "../machine/host.ts";
import { hostFacts } from "../machine/host-facts.ts";
import { emulatorPackages, type MachineShape, machineShape } from "../machine/shape.ts";
import type { TrialResult } from "../machine/trial.ts";
import { findVirtiofsd } from "../machine/virtiofsd.ts";
import { checkDiskSize } from "../provision/disk.ts";
import { checkPublicKey } from "../provision/guest-files.ts";
import { type SecondStage, type SecondStageChoice, secondStage } from "../provision/second-stage.ts";
import { bootSize } from "../provision/share-image.ts";
import { findSuite, kernelArches, kernelPackage, packageArch } from "../provision/suites.ts";
import type { Emulation } from "../provision/user-emulation.ts";
import type { ShareTransport } from "../share/transport.ts";
import { TRANSPORTS } from "../share/transports.ts";
import { printable } from "../text.ts";
import { checkName } from "./name.ts";
import { presentVirtiofsObstacle, requireNetwork } from "./session.ts";
import { planWorker, type WorkerPlan, type WorkerWishes } from "./worker-plan.ts";

/** What a person can wish of any new guest, however its root disk comes about. */
export interface GuestWishes {
  readonly name: string;
  readonly memoryBytes: number;
  readonly cpus: number;
  /** What its /boot may take, in bytes; null for no limit, undefined for the default. */
  readonly bootBytes: number | null | undefined;
  readonly share: "auto" | "virtiofs" | "9p";
  readonly accel: AccelChoice;
  readonly network: NetworkSpec;
  /** A file with public keys that may log in, beside bootshare's own. */
  readonly sshKeyFile: string | undefined;
  /** Leave what a failed step made where it is. */
  readonly keep: boolean;
  /** For its policy (boot/policy.ts); the defaults where undefined. */
  readonly tries: number | undefined;
  /** Seconds; 0 for no limit. */
  readonly bootTimeout: number | undefined;
  /** For its metadata, of a guest that works for nobody: what bootshare itself uses it for, a plain word. */
  readonly role?: string;
}

/** Of a guest that is installed from Debian's packages. */
export interface CreateOptions extends GuestWishes {
  readonly suite: string;
  /** Of the programs in the guest; the host's when undefined. As a person typed it. */
  readonly arch: string | undefined;
  readonly guestKernelArch: GuestKernelChoice;
  readonly secondStage: SecondStageChoice;
  readonly diskBytes: number;
  readonly kernelPackage: string | undefined;
  readonly mirror: string | undefined;
  readonly securityMirror: string | undefined;
  /** false: without the security suite. */
  readonly security: boolean;
  /** false: without SUITE-updates. */
  readonly updates: boolean;
  /** What it is to work for; undefined for a guest without a role. */
  readonly worker?: WorkerWishes | undefined;
  /** Packages beside those that every guest has. */
  readonly extraPackages?: readonly string[];
  /** A path in the guest for a chroot that packages are built in (provision/build-chroot.ts). */
  readonly buildChroot?: string;
}

/** What the choices came to, for whoever watches. */
export interface CreatePlan {
  readonly name: string;
  readonly suite: string;
  readonly kernel: GuestKernel;
  readonly kernelPackage: string;
  /** As Debian's default kernel wants it; the layout is known when the kernel is. */
  readonly shape: MachineShape;
  readonly gic: 2 | 3 | undefined;
  readonly transport: ShareTransport;
  readonly transportReason: string;
  readonly stage: SecondStage;
  /** The size of the share's own file system; undefined where it is a folder without a limit. */
  readonly bootBytes: number | undefined;
  readonly worker: WorkerPlan | undefined;
  /** Debian's installer makes its root disk. */
  readonly installer?: boolean;
}

/** Somebody who asks for emulation may do so because KVM hangs here: it is not even tried. */
export const KVM_NOT_WANTED: TrialResult = {
  accel: "kvm",
  usable: false,
  reason: "Emulation was asked for.",
};

/**
 * Chooses everything that can be chosen before anything is made, and finds what a person can have got wrong.
 *
 * @param emulation how this host runs programs of an architecture that its processor does not run (user-emulation.ts)
 * @throws {UserError} `NAME_INVALID`, `ARCH_UNKNOWN`, `EMULATOR_MISSING`, `SSH_KEY_UNREADABLE`, `VIRTIOFS_UNAVAILABLE`,
 *   `VIRTIOFSD_MISSING`, and those of the functions that it asks
 */
export async function planGuest(
  options: CreateOptions,
  emulation: (arch: DebianArch) => Promise<Emulation>,
): Promise<CreatePlan> {
  const { name, sshKeyFile, suite: suiteName, accel, cpus, memoryBytes } = options;
  checkName(name);
  const suite = findSuite(suiteName);
  const arch = guestArch(options.arch);
  const { transport, reason: transportReason } = chooseTransport(
    options.share,
    findVirtiofsd(),
    await presentVirtiofsObstacle(),
  );
  requireNetwork(options.network);
  const worker = options.worker === undefined ? undefined : await planWorker(options.worker, options.network);
  if (sshKeyFile !== undefined) await userKeys(sshKeyFile);
  const host = await hostFacts(arch, options.accel === "tcg" ? { kvm: async () => KVM_NOT_WANTED } : {});
  const kernel = guestKernelArch(arch, host, kernelWish(options), {
    kernels: kernelArches(suite, arch),
    accel,
  });
  const { kernelArch } = kernel;
  requireAgreement(options.kernelPackage, kernelArch);
  checkDiskSize(options.diskBytes);
  const bootBytes = bootSize(options.bootBytes);
  const shape = machineShape(arch, kernel.accel, { kernelArch, gic: host.gic });
  checkMachineSize(shape, cpus, toMiB(memoryBytes));
  requireEmulator(shape);
  return {
    name,
    suite: suite.name,
    kernel,
    kernelPackage: kernelPackage(suite, arch, transport.name, options.kernelPackage, kernelArch),
    shape,
    gic: host.gic,
    transport,
    transportReason,
    stage: await secondStage(
      arch,
      {
        host: host.arch,
        arm32El0: host.arm32El0,
        emulation: async () => await emulation(arch),
      },
      options.secondStage,
    ),
    bootBytes,
    worker,
  };
}

/** `--kernel PACKAGE:ARCH` and `--guest-kernel-arch` may both be given. */
function requireAgreement(asked: string | undefined, kernelArch: DebianArch): void {
  const named = asked === undefined ? undefined : packageArch(asked);
  if (named === undefined || named === kernelArch) return;
  throw new UserError(
    "GUEST_KERNEL_UNSUPPORTED",
    `The kernel package ${printable(asked ?? "")} is for ${named}, and a kernel for ${kernelArch} was asked for.`,
    { exitCode: EXIT.usage, hint: "Leave --guest-kernel-arch out, or name a package of that architecture." },
  );
}

/** A package that was named is of the guest's own architecture, unless its name or the person says otherwise. */
function kernelWish({ guestKernelArch: wish, kernelPackage: asked }: CreateOptions): GuestKernelChoice {
  if (wish !== "auto" || asked === undefined) return wish;
  return packageArch(asked) ?? "native";
}

/** What the plan comes to, in a line. */
export function summaryOf({ suite, shape, kernel, transport, stage, installer }: CreatePlan): string {
  const { arch, kernelArch, accel } = shape;
  const by = { native: "", "qemu-user": ", installed by qemu-user", guest: ", installed by itself" }[stage];
  const how = installer === true ? ", installed by Debian's installer" : by;
  return `${suite} on ${archPhrase(arch, kernelArch)}, /boot by ${transport.name}, ${accel}${how} (${kernel.reason})`;
}

/** A guest's architecture, with that of its kernel where it is another. */
export function archPhrase(arch: DebianArch, kernelArch: DebianArch): string {
  return kernelArch === arch ? arch : `${arch} under an ${kernelArch} kernel`;
}

/** @param asked as a person typed it; undefined for the host's. @throws {UserError} `ARCH_UNKNOWN` */
export function guestArch(asked: string | undefined): DebianArch {
  const arch = asked ?? hostArch();
  if (isDebianArch(arch)) return arch;
  throw new UserError("ARCH_UNKNOWN", `bootshare makes no guests of architecture ${printable(arch)}.`, {
    exitCode: EXIT.usage,
    hint: `Name one of Debian's: --arch ${DEBIAN_ARCHES.join(", ")}`,
  });
}

/** @throws {UserError} `EMULATOR_MISSING` */
export function requireEmulator({ emulator, arch }: MachineShape): void {
  if (existsSync(emulator)) return;
  const [package13, package12] = emulatorPackages(arch);
  const names = package13 === package12 ? package13 : `${package13} (Debian 13) or ${package12} (Debian 12)`;
  throw new UserError("EMULATOR_MISSING", `This host has no ${emulator}, which ${arch} guests run in.`, {
    exitCode: EXIT.unusable,
    hint: `Install it: apt-get install ${names}`,
  });
}

/**
 * virtiofs where the host can serve it, else 9p mapped. Debian's kernels of every suite that bootshare makes guests of
 * have virtiofs; what a cloud kernel needs is checked with the kernel's package.
 */
export function chooseTransport(
  asked: "auto" | "virtiofs" | "9p",
  virtiofsd: string | undefined,
  obstacle?: string,
): { transport: ShareTransport; reason: string } {
  if (asked === "9p") return { transport: TRANSPORTS["9p"], reason: "it was asked for" };
  if (obstacle !== undefined) {
    if (asked === "auto") return { transport: TRANSPORTS["9p"], reason: obstacle };
    throw new UserError("VIRTIOFS_UNAVAILABLE", `virtiofs was asked for, and ${obstacle}.`, {
      exitCode: EXIT.unusable,
      hint: "Take --share 9p.",
    });
  }
  if (virtiofsd !== undefined) {
    return {
      transport: TRANSPORTS.virtiofs,
      reason: asked === "auto" ? `this host has ${virtiofsd}` : "it was asked for",
    };
  }
  if (asked === "auto") return { transport: TRANSPORTS["9p"], reason: "this host has no virtiofsd" };
  throw new UserError("VIRTIOFSD_MISSING", "virtiofs was asked for, and this host has no virtiofsd.", {
    exitCode: EXIT.unusable,
    hint: "Install it (Debian 13: apt-get install virtiofsd; Debian 12: it is in qemu-system-common), or take --share 9p.",
  });
}

/** The public keys of a file of a person's, a line each. @throws {UserError} `SSH_KEY_UNREADABLE`, `SSH_KEY_INVALID` */
export async function userKeys(file: string): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new UserError(
      "SSH_KEY_UNREADABLE",
      `The ssh key ${printable(file)} cannot be read: ${messageOf(error)}.`,
      {
        exitCode: EXIT.usage,
      },
    );
  }
  const keys = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  for (const key of keys) checkPublicKey(key);
  return keys;
}

/** MiB, rounded. */
export function toMiB(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
