/**
 * Whether a 64-bit ARM host still runs 32-bit code: kernels under KVM (AArch32 at EL1), and programs (at EL0). Most arm64
 * servers since Neoverse N1 have only the second, newer ones neither.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunResult, run } from "../process.ts";
import { printable } from "../text.ts";
import { armhfProgram, EXIT_BASH, EXIT_RAN, EXIT_SHELL } from "./arm32-program.ts";

export interface Arm32 {
  /** undefined: it could not be found out. */
  readonly able: boolean | undefined;
  /** What it was found by, or why it was not: a phrase, printable. */
  readonly found: string;
}

/** Starts a program, with a text on its standard input. Tests put in their own. */
export type Starter = (program: string, args: readonly string[], input?: string) => Promise<RunResult>;

const start: Starter = async (program, args, input = "") =>
  await run(program, args, { input, timeoutMs: 10_000 });

/** KVM_CHECK_EXTENSION is `_IO(0xAE, 3)` and KVM_CAP_ARM_EL1_32BIT is 93 (Linux, include/uapi/linux/kvm.h). */
const PERL_ASKS_KVM = `open(my $kvm, "+<", "/dev/kvm") or die "$!\\n";
my $answer = ioctl($kvm, 0xAE03, 93);
defined($answer) or die "$!\\n";
print $answer + 0;`;

/** What QEMU says of `-cpu host,aarch64=off` where KVM has no 32-bit kernel mode (QEMU, target/arm/cpu64.c). */
export const NO_32BIT_KERNELS = /'aarch64' feature cannot be disabled/;

/** QEMU makes such a processor, is told to quit before it runs anything, and complains where the processor has none. */
const QEMU_ARGS = [
  ...["-accel", "kvm", "-machine", "virt", "-cpu", "host,aarch64=off", "-S"],
  ...["-display", "none", "-nodefaults", "-no-user-config", "-monitor", "stdio"],
];

/**
 * Whether KVM runs 32-bit kernels here. Node has no ioctl(2); perl has, and perl-base is on every Debian machine (it is
 * essential). Where there is no perl, QEMU is asked for a processor without AArch64. /dev/kvm must be there.
 */
export async function measureArm32El1(starter: Starter = start): Promise<Arm32> {
  const perl = await starter("perl", ["-e", PERL_ASKS_KVM]);
  if (!perl.missing) {
    const answer = perl.stdout.trim();
    if (perl.exitCode === 0 && /^\d+$/.test(answer)) {
      return { able: Number(answer) > 0, found: `KVM_CAP_ARM_EL1_32BIT is ${answer}` };
    }
    return { able: undefined, found: `/dev/kvm does not tell: ${printable(perl.stderr.trim(), 60)}` };
  }
  const qemu = await starter("qemu-system-aarch64", QEMU_ARGS, "quit\n");
  if (qemu.exitCode === 0) return { able: true, found: "QEMU makes such a processor" };
  if (NO_32BIT_KERNELS.test(qemu.stderr)) {
    return { able: false, found: "QEMU says that the processor has none" };
  }
  return { able: undefined, found: "neither perl nor QEMU could ask KVM" };
}

/**
 * Whether 32-bit programs run here. One is run, and lscpu(1) is asked: the processor may have 32-bit instructions and the
 * kernel be built without them.
 *
 * @throws what the system says when no temporary file can be written
 */
export async function measureArm32El0(starter: Starter = start): Promise<Arm32> {
  const dir = await mkdtemp(join(tmpdir(), "bootshare-arm32-"));
  try {
    const program = join(dir, "arm32");
    await writeFile(program, armhfProgram(), { mode: 0o700 });
    return judgePrograms(startOf(await starter(program, [])), await askLscpu(starter));
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** What became of the 32-bit program: undefined where it was not even tried (a temporary folder without execution). */
export type ProgramStart = "ran" | "refused" | undefined;

/** Decides from the program and from lscpu. Where they differ it says so, and 32-bit programs are not counted on. */
export function judgePrograms(program: ProgramStart, lscpu: Arm32): Arm32 {
  if (program === undefined) return lscpu;
  if (program === "ran") {
    return lscpu.able === false
      ? { able: false, found: `one ran, but ${lscpu.found}: it was emulated` }
      : { able: true, found: "one ran" };
  }
  return lscpu.able === true
    ? { able: false, found: `this kernel starts none (no CONFIG_COMPAT), though ${lscpu.found}` }
    : { able: false, found: "this kernel starts none" };
}

function startOf(result: RunResult): ProgramStart {
  if (result.exitCode === EXIT_RAN) return "ran";
  return result.exitCode === EXIT_SHELL || result.exitCode === EXIT_BASH ? "refused" : undefined;
}

/**
 * lscpu asks for a 32-bit personality(2), which Linux on arm64 refuses where no processor runs 32-bit code (or not all do,
 * Documentation/arch/arm64/asymmetric-32bit.rst).
 */
async function askLscpu(starter: Starter): Promise<Arm32> {
  const { stdout } = await starter("lscpu", []);
  const modes = /^CPU op-mode\(s\):\s*(.+)$/m.exec(stdout)?.[1];
  if (modes === undefined) return { able: undefined, found: "lscpu does not tell" };
  return { able: /\b32-bit\b/.test(modes), found: `lscpu says op-modes ${printable(modes, 40)}` };
}
