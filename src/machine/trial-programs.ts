/** How the guest of an accelerator trial is run and judged, by architecture. One that is missing is never run under KVM. */
import type { DebianArch } from "../kernel/arch.ts";
import type { RunResult } from "../process.ts";
import type { Accel } from "./accel.ts";
import { arm64TrialImage, armhfTrialImage } from "./trial-image-arm.ts";
import { riscv64TrialImage } from "./trial-image-riscv.ts";
import {
  amd64TrialImage,
  EXIT_COUNTED_RIGHT,
  EXIT_COUNTED_WRONG,
  EXIT_PORT,
  i386TrialImage,
} from "./trial-image-x86.ts";
import { LOOP_TURNS, loopSum, sumText } from "./trial-loop.ts";

export interface TrialProgram {
  readonly image: () => Uint8Array;
  /** QEMU's option that loads the image. */
  readonly load: "-bios" | "-kernel";
  readonly machine: Readonly<Record<Accel, string>>;
  /** The CPU that the domain will have (shapes-table.ts); what libvirt makes of host-passthrough, and what is like it. */
  readonly cpu: Readonly<Record<Accel, string>>;
  /** What else the guest needs of QEMU's command line. */
  readonly devices: readonly string[];
  /** What the guest itself said of its sum: nothing but its own code can have. */
  readonly counted: (result: RunResult) => "right" | "wrong" | undefined;
}

const amd64: TrialProgram = {
  image: amd64TrialImage,
  load: "-bios",
  machine: { kvm: "q35", tcg: "q35" },
  cpu: { kvm: "host", tcg: "max" },
  devices: ["-m", "64", "-device", `isa-debug-exit,iobase=${EXIT_PORT},iosize=4`],
  counted({ exitCode }) {
    if (exitCode === EXIT_COUNTED_RIGHT) return "right";
    return exitCode === EXIT_COUNTED_WRONG ? "wrong" : undefined;
  },
};

/** Guests that write their sum to the serial port, behind what firmware printed, and power off. */
const serial: Pick<TrialProgram, "load" | "devices" | "counted"> = {
  load: "-kernel",
  devices: ["-m", "128", "-serial", "stdio"],
  counted({ exitCode, stdout }) {
    if (exitCode !== 0) return undefined;
    if (stdout.endsWith(sumText(loopSum(LOOP_TURNS)))) return "right";
    return /[A-P]{8}$/.test(stdout) ? "wrong" : undefined;
  },
};

/** The interrupt controller has the version that the host's KVM has; the default is another one on many hosts. */
const ARM_MACHINE: TrialProgram["machine"] = { kvm: "virt,gic-version=host", tcg: "virt" };

const armhf: TrialProgram = {
  ...serial,
  image: armhfTrialImage,
  machine: ARM_MACHINE,
  cpu: { kvm: "host,aarch64=off", tcg: "cortex-a15" },
};

/** By the architecture of the guest's own kernel: for armel that is armhf's. */
export const TRIAL_PROGRAMS: Readonly<Partial<Record<DebianArch, TrialProgram>>> = {
  amd64,
  i386: { ...amd64, image: i386TrialImage },
  arm64: {
    ...serial,
    image: arm64TrialImage,
    machine: ARM_MACHINE,
    cpu: { kvm: "host", tcg: "cortex-a72" },
  },
  armhf,
  armel: armhf,
  riscv64: {
    ...serial,
    image: riscv64TrialImage,
    machine: { kvm: "virt", tcg: "virt" },
    cpu: { kvm: "host", tcg: "rv64" },
  },
};
