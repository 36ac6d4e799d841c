/**
 * The shape of the machine that a guest of an architecture gets: a table, so that another architecture is another row.
 * Sources: QEMU's "System Emulator Targets" (machines q35 and virt), libvirt's "Domain XML format".
 */
import { EXIT, UserError } from "../errors.ts";
import { DEBIAN_ARCHES, type DebianArch, libvirtArch } from "../kernel/arch.ts";
import type { Accel } from "./accel.ts";

/** The processor, in libvirt's words. */
export type Cpu =
  /** What the host has. KVM only. */
  | { readonly mode: "host-passthrough" }
  /** All that the accelerator can do. */
  | { readonly mode: "maximum" }
  /** One of QEMU's models. */
  | { readonly mode: "custom"; readonly model: string };

/** A clock of the machine: libvirt's `<timer>`. */
export interface Timer {
  readonly name: "rtc" | "pit" | "hpet";
  readonly tickpolicy?: "catchup" | "delay";
  readonly present?: "no";
}

export interface MachineShape {
  readonly arch: DebianArch;
  /** The architecture in libvirt's words. */
  readonly libvirtArch: string;
  readonly accel: Accel;
  /** QEMU's machine type, unversioned: libvirt writes down the version when it defines the domain. */
  readonly machine: "q35" | "virt";
  readonly cpu: Cpu;
  /** The serial port that is the guest's console. */
  readonly console: "ttyS0" | "ttyAMA0";
  /** libvirt's `<features>`. */
  readonly features: readonly ("acpi" | "apic")[];
  readonly timers: readonly Timer[];
  /** Absolute path of the emulator. */
  readonly emulator: string;
}

interface Row extends Omit<MachineShape, "arch" | "libvirtArch" | "accel" | "cpu"> {
  readonly cpu: Readonly<Record<Accel, Cpu>>;
}

const SHAPES: Readonly<Partial<Record<DebianArch, Row>>> = {
  amd64: {
    machine: "q35",
    cpu: {
      kvm: { mode: "host-passthrough" },
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
    emulator: "/usr/bin/qemu-system-x86_64",
  },
  arm64: {
    machine: "virt",
    cpu: {
      kvm: { mode: "host-passthrough" },
      // Not "maximum": QEMU's `max` has pointer authentication, whose cipher costs TCG half its speed. Debian's baseline
      // is ARMv8.0, which this model is.
      tcg: { mode: "custom", model: "cortex-a72" },
    },
    console: "ttyAMA0",
    // No ACPI: libvirt allows it on virt with UEFI only, and a kernel that the host loads has the device tree.
    features: [],
    timers: [],
    emulator: "/usr/bin/qemu-system-aarch64",
  },
};

/** Architectures that {@link machineShape} has a row for. */
export function shapedArches(): DebianArch[] {
  return DEBIAN_ARCHES.filter((arch) => SHAPES[arch] !== undefined);
}

/**
 * The machine of a new guest.
 *
 * @throws {UserError} `ARCH_UNSUPPORTED`
 */
export function machineShape(arch: DebianArch, accel: Accel): MachineShape {
  const { cpu, ...row } = rowOf(arch);
  return { arch, libvirtArch: libvirtArch(arch), accel, cpu: cpu[accel], ...row };
}

/** Absolute path of the emulator for an architecture. @throws {UserError} `ARCH_UNSUPPORTED` */
export function emulatorOf(arch: DebianArch): string {
  return rowOf(arch).emulator;
}

function rowOf(arch: DebianArch): Row {
  const row = SHAPES[arch];
  if (row !== undefined) return row;
  throw new UserError("ARCH_UNSUPPORTED", `Guests of the architecture ${arch} cannot be made yet.`, {
    exitCode: EXIT.unusable,
    hint: `Architectures that can: ${shapedArches().join(", ")}.`,
  });
}
