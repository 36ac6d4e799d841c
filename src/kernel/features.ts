/**
 * What a kernel's configuration means for the machine: which bus its devices must be on, and whether it fits a domain as
 * that is defined. Pure decisions. They stand here and not in machine/ because the hook, which libvirt waits for, asks.
 *
 * Why there is more than one layout. QEMU's `virt` has a PCI host, whose window lies above 4 GiB ("highmem"), and 32
 * virtio-mmio transports below. A 32-bit ARM kernel without LPAE cannot address the window and finds no PCI device; one
 * without the driver for the generic PCI host finds no PCI at all (Debian 9's armhf kernel as released: Debian bug 864726).
 */
import { printable } from "../text.ts";
import type { DebianArch } from "./arch.ts";
import type { ConfigOption, KernelConfig } from "./config.ts";

/** What the guest's virtio devices are attached to. `ccw` is s390x's channel I/O. */
export type Bus = "pci" | "mmio" | "ccw";

/** Where the devices are in a machine. */
export interface Layout {
  readonly bus: Bus;
  /**
   * false: QEMU keeps everything of the machine below 4 GiB (`-machine highmem=off`), which leaves room for
   * {@link LOW_MEMORY_MIB}. Only 32-bit ARM has it.
   */
  readonly highmem: boolean;
}

/** The most memory with `highmem` off, in MiB: it begins at 1 GiB and ends at 4 GiB. */
export const LOW_MEMORY_MIB = 3 * 1024;

export const PCI: Layout = { bus: "pci", highmem: true };
/** PCI with everything below 4 GiB. */
export const PCI_LOW: Layout = { bus: "pci", highmem: false };
export const MMIO: Layout = { bus: "mmio", highmem: true };
export const CCW: Layout = { bus: "ccw", highmem: true };

export type BusChoice =
  /** The layouts that the kernel works in, best first. `reason` is a clause about the kernel: "it has no LPAE, …". */
  | { readonly ok: true; readonly layouts: readonly [Layout, ...Layout[]]; readonly reason: string }
  /** Why it works in none, likewise. */
  | { readonly ok: false; readonly reason: string };

/**
 * Chooses the layout for a kernel.
 *
 * @param arch of the kernel
 * @param config undefined where it is not known: the layout is then that of Debian's default kernel of the architecture
 */
export function busFor(arch: DebianArch, config: KernelConfig | undefined): BusChoice {
  if (config === undefined) {
    const layout = arch === "s390x" ? CCW : PCI;
    return chosen("its configuration is not known, so it gets the usual machine of its architecture", layout);
  }
  if (arch === "s390x") {
    return has(config, "S390_GUEST")
      ? chosen("it has virtio on channel I/O", CCW)
      : none("it has no virtio on channel I/O (S390_GUEST)");
  }
  if (arch === "armhf" || arch === "armel") return busForArm32(config);
  const noPci = pciOf(arch, config);
  // libvirt knows virtio-mmio on ARM's virt alone.
  const mmio = arch === "arm64" && has(config, "VIRTIO_MMIO");
  if (noPci === undefined) {
    const reason = "it drives the machine's PCI host";
    return mmio ? chosen(reason, PCI, MMIO) : chosen(reason, PCI);
  }
  return mmio ? chosen(noPci, MMIO) : none(noPci);
}

function busForArm32(config: KernelConfig): BusChoice {
  if (!has(config, "CPU_V7")) {
    return none("it is for processors before ARMv7 (no CPU_V7), and QEMU's virt machine has none of them");
  }
  const noPci = pciOf("armhf", config);
  const mmio = has(config, "VIRTIO_MMIO");
  if (noPci === undefined && has(config, "ARM_LPAE")) {
    const reason = "it has LPAE and drives the machine's PCI host";
    return mmio ? chosen(reason, PCI, MMIO, PCI_LOW) : chosen(reason, PCI, PCI_LOW);
  }
  if (noPci === undefined) {
    // mmio first: it needs no setting of QEMU's that libvirt does not know, and there is no bus to search.
    const reason = "it has no LPAE, so it cannot reach PCI devices above 4 GiB";
    return mmio
      ? chosen(reason, MMIO, PCI_LOW)
      : chosen(`${reason}, and it has no virtio-mmio (VIRTIO_MMIO)`, PCI_LOW);
  }
  return mmio ? chosen(noPci, MMIO) : none(`${noPci}, and no virtio-mmio (VIRTIO_MMIO) either`);
}

/** Why the kernel sees no virtio device on the PCI of its architecture's machine, or undefined where it does. */
function pciOf(arch: DebianArch, config: KernelConfig): string | undefined {
  if (!has(config, "PCI")) return "it has no PCI";
  // QEMU's virt; q35 and pseries are driven by what PCI itself brings.
  const generic = arch === "arm64" || arch === "armhf" || arch === "armel" || arch === "riscv64";
  if (generic && !has(config, "PCI_HOST_GENERIC")) {
    return "it has no driver for virt's PCI host (PCI_HOST_GENERIC)";
  }
  return has(config, "VIRTIO_PCI") ? undefined : "it has no virtio on PCI (VIRTIO_PCI)";
}

/** What is known of a kernel that might be booted. */
export interface PairFacts {
  readonly release: string;
  /** What the image's header says it is for; undefined where it was not read. */
  readonly arches?: readonly DebianArch[] | undefined;
  /** Undefined where there is none beside the image, or it could not be read. */
  readonly config: KernelConfig | undefined;
}

/** What is known of the domain. A part of libvirt/domain-parse.ts's DomainFacts. */
export interface DomainMachine {
  /** Of the kernels that the machine runs. */
  readonly arch: DebianArch;
  /** Of the programs in the guest; `arch` where undefined. */
  readonly userland?: DebianArch | undefined;
  /** What disk, share, network and report port are on; "mixed" where they differ, undefined where there are none. */
  readonly bus: Bus | "mixed" | undefined;
  readonly highmem: boolean;
  /** virtio-mmio is not the legacy kind. */
  readonly modernMmio: boolean;
  /** How /boot is shared; undefined where it is not. */
  readonly transport: "9p" | "virtiofs" | undefined;
  /** Undefined where the root disk is not on virtio. */
  readonly diskBus: string | undefined;
  /** What runs it; undefined where it does not matter. */
  readonly accel?: "kvm" | "tcg" | "other" | undefined;
  /** Undefined where it does not matter. */
  readonly memoryMiB?: number | undefined;
}

/** What must change for a kernel to be bootable. */
export type Needs =
  /** The domain, while it is off: libvirt/domain-update.ts, setLayout. */
  | { readonly kind: "layout"; readonly layout: Layout }
  /** How /boot is shared. */
  | { readonly kind: "transport"; readonly transport: "9p" | "virtiofs" }
  /** Another kernel: there is no domain of this kind that it would fit. */
  | { readonly kind: "kernel" };

export type Fit =
  /** `notes`: sentences on what will not work although it boots. */
  | { readonly fits: true; readonly notes: readonly string[] }
  /** A phrase that follows "kernel RELEASE": "has no virtio_blk, …". Safe to show. */
  | { readonly fits: false; readonly reason: string; readonly needs: Needs };

/**
 * Decides whether a kernel fits a domain as it is defined: for a hook cannot change the definition. What is not known (no
 * config file beside a kernel that somebody built) counts as fitting: the boot gate and the last good kernel are there for it.
 */
export function fits(pair: PairFacts, domain: DomainMachine): Fit {
  const { config, arches } = pair;
  if (arches !== undefined && !arches.includes(domain.arch)) {
    return unfit(`is for ${arches.join(" or ")}, and the machine is ${domain.arch}`, { kind: "kernel" });
  }
  if (domain.transport === "virtiofs" && domain.bus === "mmio" && !domain.modernMmio) {
    return unfit("finds no /boot: virtiofs is on virtio-mmio of the legacy kind, which QEMU refuses", {
      kind: "layout",
      layout: MMIO,
    });
  }
  if (config === undefined) {
    return { fits: true, notes: [`No configuration of ${printable(pair.release)} was found to look at.`] };
  }
  return unfitBus(config, domain) ?? unfitDrivers(config, domain) ?? { fits: true, notes: notesOf(config) };
}

function unfitBus(config: KernelConfig, domain: DomainMachine): Fit | undefined {
  const { arch, bus, highmem } = domain;
  if (bus === undefined) return undefined;
  const choice = busFor(arch, config);
  if (!choice.ok) return unfit(`fits no machine here: ${choice.reason}`, { kind: "kernel" });
  const wanted: readonly Bus[] = bus === "mixed" ? ["pci", "mmio"] : [bus];
  const anyMemory = arch !== "armhf" && arch !== "armel";
  const works = wanted.every((one) =>
    choice.layouts.some(
      (layout) => layout.bus === one && (one !== "pci" || anyMemory || layout.highmem === highmem),
    ),
  );
  if (works) return undefined;
  const [layout] = choice.layouts;
  return unfit(
    `needs ${describeLayout(layout)}, and the machine has ${describeDomain(domain)}: ${choice.reason}`,
    {
      kind: "layout",
      layout,
    },
  );
}

function unfitDrivers(config: KernelConfig, domain: DomainMachine): Fit | undefined {
  const { arch, userland = arch, transport, diskBus } = domain;
  const kernel: Needs = { kind: "kernel" };
  const lacks = (...options: ConfigOption[]): boolean => options.some((option) => !has(config, option));
  if (lacks("BLK_DEV_INITRD")) return unfit("takes no initrd (BLK_DEV_INITRD)", kernel);
  if (diskBus !== undefined && lacks("VIRTIO_BLK")) {
    return unfit("has no driver for the root disk (VIRTIO_BLK)", kernel);
  }
  if (lacks("EXT4_FS")) return unfit("has no driver for the root file system (EXT4_FS)", kernel);
  if (arch === "arm64" && (userland === "armhf" || userland === "armel") && lacks("COMPAT")) {
    return unfit(`runs no ${userland} programs (COMPAT)`, kernel);
  }
  if (arch === "amd64" && userland === "i386" && lacks("IA32_EMULATION")) {
    return unfit("runs no i386 programs (IA32_EMULATION)", kernel);
  }
  const ninep = !lacks("NET_9P", "NET_9P_VIRTIO", "9P_FS");
  if (transport === "9p" && !ninep) {
    return unfit(
      "cannot mount /boot, which is shared by 9p (9P_FS, NET_9P_VIRTIO)",
      lacks("VIRTIO_FS") ? kernel : { kind: "transport", transport: "virtiofs" },
    );
  }
  if (transport === "virtiofs" && lacks("VIRTIO_FS")) {
    return unfit(
      "cannot mount /boot, which is shared by virtiofs (VIRTIO_FS)",
      ninep ? { kind: "transport", transport: "9p" } : kernel,
    );
  }
  return undefined;
}

/** What a guest can boot without, and miss. */
function notesOf(config: KernelConfig): string[] {
  const missed: [ConfigOption, string][] = [
    ["VIRTIO_CONSOLE", "It has no VIRTIO_CONSOLE: no boot report, so the boot cannot be judged good."],
    ["VIRTIO_NET", "It has no VIRTIO_NET: no network."],
  ];
  return missed.filter(([option]) => !has(config, option)).map(([, note]) => note);
}

/** A domain as it would be in another layout: all its virtio devices are moved. */
export function inLayout(domain: DomainMachine, { bus, highmem }: Layout): DomainMachine {
  const diskBus = domain.diskBus === undefined ? undefined : `virtio-${bus}`;
  return { ...domain, bus, diskBus, highmem, modernMmio: true };
}

/** A layout in words, for a sentence: "devices on PCI". */
export function describeLayout({ bus, highmem }: Layout): string {
  if (bus === "mmio") return "devices on virtio-mmio";
  if (bus === "ccw") return "devices on channel I/O";
  return highmem ? "devices on PCI" : "devices on PCI below 4 GiB (highmem=off)";
}

function describeDomain({ bus, highmem }: DomainMachine): string {
  if (bus === undefined || bus === "mixed") return "some on PCI and some on virtio-mmio";
  return describeLayout({ bus, highmem }).replace(/^devices/, "them");
}

function has(config: KernelConfig, option: ConfigOption): boolean {
  return config[option] !== "n";
}

function chosen(reason: string, ...layouts: [Layout, ...Layout[]]): BusChoice {
  return { ok: true, layouts, reason };
}

function none(reason: string): BusChoice {
  return { ok: false, reason };
}

function unfit(reason: string, needs: Needs): Fit {
  return { fits: false, reason, needs };
}
