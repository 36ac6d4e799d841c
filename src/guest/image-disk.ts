/** A root disk that is a copy of somebody's disk image, and what machine its system needs. */
import { statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { EXIT, UserError } from "../errors.ts";
import type { DebianArch } from "../kernel/arch.ts";
import { catalogue } from "../kernel/catalogue.ts";
import type { KernelConfig } from "../kernel/config.ts";
import { busFor, type DomainMachine, fits } from "../kernel/features.ts";
import { checkMachineSize } from "../libvirt/domain-create.ts";
import { guestKernelArch } from "../machine/guest-kernel.ts";
import { hostFacts } from "../machine/host-facts.ts";
import { type MachineShape, machineShape } from "../machine/shape.ts";
import { KERNELS_FOR } from "../machine/shapes-table.ts";
import { findVirtiofsd } from "../machine/virtiofsd.ts";
import { requireFree } from "../provision/free-space.ts";
import { type ImageFormat, lookAtImage } from "../provision/image/image-file.ts";
import { changeImage, type OpenImage, openImage } from "../provision/import/import-disk.ts";
import type { Provisioned, ProvisionProgress } from "../provision/provision.ts";
import { bootSize } from "../provision/share-image.ts";
import { readBootFolder } from "../share/folder.ts";
import type { ShareTransport } from "../share/transport.ts";
import { TRANSPORTS } from "../share/transports.ts";
import { printable } from "../text.ts";
import { domainOf, firstBootable } from "./first-bootable.ts";
import {
  type CreatePlan,
  chooseTransport,
  type GuestWishes,
  KVM_NOT_WANTED,
  requireEmulator,
  toMiB,
  userKeys,
} from "./plan.ts";
import { qemuUser } from "./qemu-user.ts";
import type { RootDiskOrder, RootDiskSource } from "./root-disk.ts";
import { presentVirtiofsObstacle, requireNetwork } from "./session.ts";

export class ImageDisk implements RootDiskSource {
  readonly title = "Change the copy of the image";
  readonly #file: string;
  readonly #wishes: GuestWishes;
  #format: ImageFormat | undefined;
  #image: OpenImage | undefined;
  #release = "";
  #notes: readonly string[] = [];

  /** @param file path of the image, which is only read */
  constructor(file: string, wishes: GuestWishes) {
    this.#file = file;
    this.#wishes = wishes;
  }

  /** What a person should know of what was imported; known at the end. Printable. */
  get notes(): readonly string[] {
    return this.#notes;
  }

  /** Whether the image has an ssh server; known once the image has been copied. */
  get hasSshd(): boolean {
    return this.#image?.hasSshd === true;
  }

  async check(): Promise<void> {
    this.#format = lookAtImage(this.#file);
    const { network, sshKeyFile } = this.#wishes;
    requireNetwork(network);
    if (sshKeyFile !== undefined) await userKeys(sshKeyFile);
  }

  /**
   * Copies the image to find out what is on it.
   *
   * @throws {UserError} `NO_SPACE`, those of {@link openImage}, `NOTHING_BOOTABLE`, and those of a machine's choice
   */
  async plan(work: string, progress: ProvisionProgress, signal: AbortSignal): Promise<CreatePlan> {
    const { name, memoryBytes, cpus, share } = this.#wishes;
    if (this.#format === undefined) throw new Error("the image has not been looked at");
    progress.line("copying the image");
    requireFree(dirname(work), statSync(this.#file).blocks * 512 * COPIES, "this import");
    const image = await openImage(this.#file, this.#format, { ...(await qemuUser()), folder: work }, signal);
    this.#image = image;
    const { system, bootDir } = image;
    progress.line(`found ${system.id} ${system.suite}, ${system.arch}`);
    const bootBytes = bootSize(this.#wishes.bootBytes);
    requireBootRoom(image, bootBytes);
    const wanted = chooseTransport(share, findVirtiofsd(), await presentVirtiofsObstacle());
    const { kernelArch, config } = newestKernel(image, this.#file);
    const { accel } = this.#wishes;
    const host = await hostFacts(system.arch, accel === "tcg" ? { kvm: async () => KVM_NOT_WANTED } : {});
    const kernel = guestKernelArch(system.arch, host, kernelArch, { kernels: [kernelArch], accel });
    const layout = busFor(kernelArch, config);
    const shape = machineShape(system.arch, kernel.accel, {
      kernelArch,
      gic: host.gic,
      layout: layout.ok ? layout.layouts[0] : undefined,
    });
    checkMachineSize(shape, cpus, toMiB(memoryBytes));
    requireEmulator(shape);
    const { transport, reason } = fittingTransport(wanted, share, shape, config);
    this.#release = bootableRelease(this.#file, bootDir, domainOf(shape, transport));
    return {
      name,
      suite: system.suite,
      kernel,
      kernelPackage: "the image's own",
      shape,
      gic: host.gic,
      transport,
      transportReason: reason,
      stage: "native",
      bootBytes,
      worker: undefined,
    };
  }

  async make(
    { plan, authorizedKeys }: RootDiskOrder,
    _progress: ProvisionProgress,
    signal: AbortSignal,
  ): Promise<Provisioned> {
    const image = this.#image;
    if (image === undefined) throw new Error("the image has not been copied");
    const shareFstabLine = plan.transport.fstabLine;
    const { diskPath, hostPublicKeys, notes } = await changeImage(
      image,
      { shareFstabLine, authorizedKeys },
      signal,
    );
    this.#notes = [...image.notes, ...notes];
    return {
      diskPath,
      bootDir: image.bootDir,
      root: `UUID=${image.root.uuid}`,
      kernelRelease: this.#release,
      kernelPackage: plan.kernelPackage,
      firstInitrd: undefined,
      hostPublicKeys,
      image: resolve(this.#file),
    };
  }
}

/** A kernel of the image for one of the architectures that run its programs: the newest of the first that has any. */
function newestKernel(
  { system, bootDir }: OpenImage,
  file: string,
): { kernelArch: DebianArch; config: KernelConfig | undefined } {
  for (const kernelArch of KERNELS_FOR[system.arch]) {
    const newest = catalogue(readBootFolder(bootDir), kernelArch).kernels.find(
      ({ image }) => image?.arches.includes(kernelArch) === true,
    );
    if (newest !== undefined) return { kernelArch, config: newest.config };
  }
  throw new UserError("NOTHING_BOOTABLE", `The image ${printable(file)} has no kernel in its /boot.`, {
    exitCode: EXIT.usage,
    hint: `Install one where it runs: the package linux-image-${system.arch === "i386" ? "686" : system.arch}, or the like.`,
  });
}

/**
 * The way to share /boot that was chosen, or the other one where the kernel has only that and nobody insisted.
 *
 * @throws {UserError} `SHARE_NOT_IN_KERNEL`
 */
function fittingTransport(
  chosen: { transport: ShareTransport; reason: string },
  asked: GuestWishes["share"],
  shape: MachineShape,
  config: KernelConfig | undefined,
): { transport: ShareTransport; reason: string } {
  const fit = fits({ release: "", config }, domainOf(shape, chosen.transport));
  if (fit.fits || fit.needs.kind !== "transport") return chosen;
  const { transport } = fit.needs;
  // virtiofs is there only where the host can serve it, and then it is what was chosen.
  if (asked === "auto" && transport === "9p")
    return { transport: TRANSPORTS[transport], reason: `its kernel ${fit.reason}` };
  throw new UserError("SHARE_NOT_IN_KERNEL", `The image's kernel ${fit.reason}.`, {
    exitCode: EXIT.conflict,
    hint:
      asked === "auto"
        ? `It has ${transport}, which this host cannot serve ('bootshare doctor' says why); or install another kernel in the image.`
        : `Take --share ${transport}.`,
  });
}

/** @throws {UserError} `NOTHING_BOOTABLE` */
function bootableRelease(file: string, bootDir: string, machine: DomainMachine): string {
  return firstBootable(
    bootDir,
    machine,
    (tried) =>
      new UserError("NOTHING_BOOTABLE", `Nothing in the /boot of ${printable(file)} can be booted here.`, {
        exitCode: EXIT.conflict,
        detail: tried,
        hint: "An initrd for any machine helps: MODULES=most in /etc/initramfs-tools/initramfs.conf and 'update-initramfs -u', where it runs.",
      }),
  );
}

/** A copy as it is, one as raw, and the disk that is made of it. */
const COPIES = 3;

function requireBootRoom({ bootBytes: has }: OpenImage, limit: number | undefined): void {
  // Two kernels at least: the one that it has, and the next.
  if (limit === undefined || has * 2 < limit) return;
  throw new UserError(
    "IMAGE_BOOT_TOO_LARGE",
    `Its /boot has ${toMiB(has)} MiB, and may take ${toMiB(limit)} MiB at most.`,
    {
      exitCode: EXIT.usage,
      hint: "Allow more: --boot-size 4G",
    },
  );
}
