/** The machine of a guest: the row of its kernel's architecture (shapes-table.ts), and what was chosen for this guest. */
import { EXIT, UserError } from "../errors.ts";
import { DEBIAN_ARCHES, type DebianArch, libvirtArch } from "../kernel/arch.ts";
import { type Bus, type Layout, LOW_MEMORY_MIB } from "../kernel/features.ts";
import type { Accel } from "./accel.ts";
import { type Cpu, KERNELS_FOR, type Row, SHAPES, type Timer } from "./shapes-table.ts";

export type { Cpu, Timer } from "./shapes-table.ts";

export interface MachineShape {
  /** Of the programs in the guest. */
  readonly arch: DebianArch;
  /** Of the kernel, and so of the machine. */
  readonly kernelArch: DebianArch;
  /** The machine's architecture in libvirt's words. */
  readonly libvirtArch: string;
  readonly accel: Accel;
  readonly machine: Row["machine"];
  readonly cpu: Cpu;
  readonly console: Row["console"];
  readonly features: Row["features"];
  readonly timers: readonly Timer[];
  /** Absolute path of the emulator. */
  readonly emulator: string;
  readonly bus: Bus;
  /** See kernel/features.ts, Layout. */
  readonly highmem: boolean;
  /** The version of ARM's interrupt controller; undefined: libvirt chooses, or there is none. */
  readonly gic: 2 | 3 | "host" | undefined;
  /** The most processors and MiB of memory; undefined for no limit that matters. */
  readonly maxCpus: number | undefined;
  readonly maxMemoryMiB: number | undefined;
  /** Resets a machine that hangs; undefined for none. */
  readonly watchdog: Row["watchdog"];
  /** bootshare's own tests boot whole guests with such programs and such a kernel. */
  readonly tested: boolean;
}

export interface ShapeOptions {
  /** Of the guest's kernel (guest-kernel.ts); the usual one for the architecture by default. */
  readonly kernelArch?: DebianArch | undefined;
  /** Where the devices are (kernel/features.ts, busFor); as Debian's default kernel wants them by default. */
  readonly layout?: Layout | undefined;
  /** The host's interrupt controller, where it is known. Of use under KVM only. */
  readonly gic?: 2 | 3 | undefined;
}

/** Architectures that {@link machineShape} makes machines for. */
export function shapedArches(): DebianArch[] {
  return DEBIAN_ARCHES.filter((arch) => SHAPES[KERNELS_FOR[arch][0]] !== undefined);
}

/**
 * The machine of a new guest.
 *
 * @param arch of the programs in the guest
 * @throws {UserError} `ARCH_UNSUPPORTED`, `LAYOUT_UNSUPPORTED`
 */
export function machineShape(arch: DebianArch, accel: Accel, options: ShapeOptions = {}): MachineShape {
  const kernelArch = options.kernelArch ?? KERNELS_FOR[arch][0];
  const row = rowOf(kernelArch);
  const layout = options.layout ?? row.layout;
  if (!hasLayout(kernelArch, row, layout)) {
    throw new UserError(
      "LAYOUT_UNSUPPORTED",
      `The machine of ${kernelArch} kernels has no ${layout.highmem ? layout.bus : `${layout.bus} with highmem=off`}.`,
      { exitCode: EXIT.unusable },
    );
  }
  return {
    arch,
    kernelArch,
    libvirtArch: libvirtArch(kernelArch),
    accel,
    machine: row.machine,
    cpu: row.cpu[accel],
    console: row.console,
    features: row.features,
    timers: row.timers,
    emulator: row.emulator[accel],
    bus: layout.bus,
    highmem: layout.highmem,
    gic: gicOf(kernelArch, accel, options.gic),
    maxCpus: row.maxCpus?.[accel] ?? (accel === "kvm" && options.gic === 2 ? 8 : undefined),
    maxMemoryMiB: layout.highmem ? undefined : LOW_MEMORY_MIB,
    watchdog: row.watchdog === "i6300esb" && layout.bus !== "pci" ? undefined : row.watchdog,
    tested: row.tested && SHAPES[arch]?.tested === true,
  };
}

/**
 * Absolute path of the emulator for guests of an architecture. Only for armhf it differs: KVM runs 32-bit guests in the
 * 64-bit emulator. One Debian package has both.
 *
 * @throws {UserError} `ARCH_UNSUPPORTED`
 */
export function emulatorOf(arch: DebianArch, accel: Accel = "kvm"): string {
  return rowOf(KERNELS_FOR[arch][0]).emulator[accel];
}

/** Debian's packages that have {@link emulatorOf}, in trixie and in bookworm. @throws as {@link emulatorOf} */
export function emulatorPackages(arch: DebianArch): readonly [trixie: string, bookworm: string] {
  return rowOf(KERNELS_FOR[arch][0]).emulatorPackages;
}

/**
 * KVM emulates the interrupt controller that the host has, or the older one on a newer. In libvirt's words "host" is what
 * QEMU finds. It is only said for 32-bit guests: for 64-bit ones libvirt has asked QEMU itself, and writes the version down.
 */
function gicOf(kernelArch: DebianArch, accel: Accel, host: 2 | 3 | undefined): MachineShape["gic"] {
  if (accel !== "kvm" || (kernelArch !== "armhf" && kernelArch !== "arm64")) return undefined;
  return host ?? (kernelArch === "armhf" ? "host" : undefined);
}

function hasLayout(kernelArch: DebianArch, row: Row, { bus, highmem }: Layout): boolean {
  if (!highmem && (bus !== "pci" || kernelArch !== "armhf")) return false;
  if (bus === row.layout.bus) return true;
  return bus === "mmio" && (kernelArch === "armhf" || kernelArch === "arm64");
}

function rowOf(kernelArch: DebianArch): Row {
  const row = SHAPES[kernelArch];
  if (row !== undefined) return row;
  throw new UserError("ARCH_UNSUPPORTED", `No machine that QEMU has boots Debian's ${kernelArch} kernels.`, {
    exitCode: EXIT.unusable,
    hint: `Kernels that have one: ${Object.keys(SHAPES).join(", ")}.`,
  });
}
