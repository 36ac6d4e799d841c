/**
 * The shapes of machines: a row for each architecture of a kernel, so that another architecture is another row.
 * docs/architectures.md explains them, and says which were booted.
 * Sources: QEMU's "System Emulator Targets" (q35, virt, pseries, s390-ccw-virtio), libvirt's "Domain XML format".
 */
import type { DebianArch } from "../kernel/arch.ts";
import { CCW, type Layout, PCI } from "../kernel/features.ts";
import type { KernelFormat } from "../kernel/image-facts.ts";
import type { Accel } from "./accel.ts";

/** The processor, in libvirt's words. */
export type Cpu =
  /** What the host has. KVM only. */
  | { readonly mode: "host-passthrough" }
  /** All that the accelerator can do. */
  | { readonly mode: "maximum" }
  /** One of QEMU's models. */
  | { readonly mode: "custom"; readonly model: string }
  /** QEMU's default for the machine. */
  | { readonly mode: "default" };

/** A clock of the machine: libvirt's `<timer>`. */
export interface Timer {
  readonly name: "rtc" | "pit" | "hpet";
  readonly tickpolicy?: "catchup" | "delay";
  readonly present?: "no";
}

/** What every guest with a kernel of this architecture has. */
export interface Row {
  /** QEMU's machine type, unversioned: libvirt writes down the version when it defines the domain. */
  readonly machine: "q35" | "virt" | "pseries" | "s390-ccw-virtio";
  readonly cpu: Readonly<Record<Accel, Cpu>>;
  /** Absolute path of the emulator. */
  readonly emulator: Readonly<Record<Accel, string>>;
  /** Debian's packages that have it: of trixie, of bookworm. */
  readonly emulatorPackages: readonly [string, string];
  /** The serial port that is the guest's console. */
  readonly console: "ttyS0" | "ttyAMA0" | "hvc0" | "ttysclp0";
  /** libvirt's `<features>`. */
  readonly features: readonly ("acpi" | "apic")[];
  readonly timers: readonly Timer[];
  /** Where the devices are, for Debian's default kernel. */
  readonly layout: Layout;
  /** What Debian's kernel image is, and what else QEMU loads. */
  readonly formats: readonly [KernelFormat, ...KernelFormat[]];
  /** The most processors that the default machine can have, where that is few. */
  readonly maxCpus?: Readonly<Record<Accel, number | undefined>>;
  /**
   * The watchdog that the machine can have and Debian's kernels drive: a guest that hangs is reset by it. i6300esb is on PCI,
   * and armhf's and riscv64's kernels have no driver for it.
   */
  readonly watchdog: "i6300esb" | "diag288" | undefined;
  /** bootshare's own tests boot whole guests of this row. */
  readonly tested: boolean;
}

const HOST: Cpu = { mode: "host-passthrough" };
/** In emulation libvirt gives ARM's virt a GICv2, which has room for 8 processors. */
const GIC_V2_CPUS = 8;

function emulator(name: string): Row["emulator"] {
  const path = `/usr/bin/qemu-system-${name}`;
  return { kvm: path, tcg: path };
}

const PC: Omit<Row, "emulator"> = {
  machine: "q35",
  emulatorPackages: ["qemu-system-x86", "qemu-system-x86"],
  cpu: {
    kvm: HOST,
    // QEMU's default model (qemu64) is x86-64-v1 without AES, SSE4 or AVX, and guests build and run software that asks
    // for more. Nothing is taken away: booting Debian's 6.12 kernel took the same processor time, within the noise,
    // with qemu64, with all, and with all but LA57 (a fifth level of page tables, which TCG walks in software) or SMAP.
    tcg: { mode: "maximum" },
  },
  console: "ttyS0",
  features: ["acpi", "apic"],
  // What virt-manager and virt-install give Linux guests: the HPET costs wake-ups of the host and no Linux needs it.
  timers: [
    { name: "rtc", tickpolicy: "catchup" },
    { name: "pit", tickpolicy: "delay" },
    { name: "hpet", present: "no" },
  ],
  layout: PCI,
  formats: ["bzImage"],
  watchdog: "i6300esb",
  tested: true,
};

const ARM: Pick<
  Row,
  "machine" | "emulatorPackages" | "console" | "features" | "timers" | "layout" | "watchdog" | "tested"
> = {
  machine: "virt",
  emulatorPackages: ["qemu-system-arm", "qemu-system-arm"],
  console: "ttyAMA0",
  // No ACPI: libvirt allows it on virt with UEFI only, and a kernel that the host loads has the device tree.
  features: [],
  timers: [],
  layout: PCI,
  watchdog: undefined,
  tested: false,
};

/** By the architecture of the kernel. armel is not here: its kernels boot on no machine that QEMU has for it. */
export const SHAPES: Readonly<Partial<Record<DebianArch, Row>>> = {
  amd64: { ...PC, emulator: emulator("x86_64") },
  i386: { ...PC, emulator: emulator("i386"), tested: false },
  arm64: {
    ...ARM,
    emulator: emulator("aarch64"),
    cpu: {
      kvm: HOST,
      // Not "maximum": QEMU's `max` has pointer authentication, whose cipher costs TCG half its speed. Debian's baseline
      // is ARMv8.0, which this model is. It has 32-bit programs and kernels too.
      tcg: { mode: "custom", model: "cortex-a72" },
    },
    formats: ["Image", "Image.gz", "zboot"],
    maxCpus: { kvm: undefined, tcg: GIC_V2_CPUS },
    watchdog: "i6300esb",
    tested: true,
  },
  armhf: {
    ...ARM,
    // KVM runs 32-bit guests on 64-bit hosts only, where libvirt makes `-cpu host,aarch64=off` of host-passthrough.
    emulator: { kvm: "/usr/bin/qemu-system-aarch64", tcg: "/usr/bin/qemu-system-arm" },
    // A processor with LPAE. `max` of qemu-system-arm has later extensions, which Debian's ARMv7 does not use.
    cpu: { kvm: HOST, tcg: { mode: "custom", model: "cortex-a15" } },
    formats: ["zImage"],
    tested: true,
    // Debian's armmp kernels are built for 8 (NR_CPUS), whatever the interrupt controller has room for.
    maxCpus: { kvm: 8, tcg: 8 },
  },
  riscv64: {
    machine: "virt",
    emulator: emulator("riscv64"),
    emulatorPackages: ["qemu-system-riscv", "qemu-system-misc"],
    // QEMU's default (rv64, the GC set and what Debian's kernel finds by itself). No firmware is named: QEMU loads the
    // OpenSBI that qemu-system-data has when there is none, and OpenSBI starts the kernel.
    cpu: { kvm: HOST, tcg: { mode: "default" } },
    console: "ttyS0",
    features: [],
    timers: [],
    layout: PCI,
    formats: ["Image"],
    watchdog: undefined,
    tested: true,
  },
  ppc64el: {
    machine: "pseries",
    emulator: emulator("ppc64"),
    emulatorPackages: ["qemu-system-ppc", "qemu-system-ppc"],
    // Debian's baseline is POWER8. QEMU's default differs from version to version.
    cpu: { kvm: HOST, tcg: { mode: "custom", model: "POWER9" } },
    console: "hvc0",
    features: [],
    timers: [],
    layout: PCI,
    formats: ["ELF"],
    watchdog: undefined,
    tested: false,
  },
  s390x: {
    machine: "s390-ccw-virtio",
    emulator: emulator("s390x"),
    emulatorPackages: ["qemu-system-s390x", "qemu-system-misc"],
    cpu: { kvm: HOST, tcg: { mode: "maximum" } },
    // libvirt's serial port on this machine is the SCLP's VT220.
    console: "ttysclp0",
    features: [],
    timers: [],
    layout: CCW,
    formats: ["s390"],
    watchdog: "diag288",
    tested: false,
  },
};

/**
 * The kernels that run programs of an architecture, the usual one first. Each after it needs a processor that has the
 * sibling's instructions too: every amd64 one has; of arm64 ones many have them for programs (EL0), fewer for kernels.
 *
 * armel has no kernel of its own here: Debian's armel kernels are for ARMv5 and ARMv6 boards (`marvell`, `rpi`), and QEMU's
 * `virt`, the one ARM machine with virtio, has processors from ARMv7 on. ARMv7 runs armel programs.
 */
export const KERNELS_FOR: Readonly<Record<DebianArch, readonly [DebianArch, ...DebianArch[]]>> = {
  amd64: ["amd64"],
  i386: ["i386", "amd64"],
  arm64: ["arm64"],
  armhf: ["armhf", "arm64"],
  armel: ["armhf", "arm64"],
  riscv64: ["riscv64"],
  ppc64el: ["ppc64el"],
  s390x: ["s390x"],
};
