/**
 * Finds out whether an accelerator really runs a guest, by running one: `/dev/kvm` may be there and answer, and QEMU
 * still abort on it, or the guest never get anywhere, or crawl. The guests are in trial-programs.ts.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DebianArch } from "../kernel/arch.ts";
import { type RunResult, run } from "../process.ts";
import { printable } from "../text.ts";
import type { Accel } from "./accel.ts";
import { NO_32BIT_KERNELS } from "./arm32.ts";
import { TRIAL_PROGRAMS, type TrialProgram } from "./trial-programs.ts";

export interface TrialResult {
  readonly accel: Accel;
  readonly usable: boolean;
  /** One sentence. It may hold a line of QEMU's, made printable. */
  readonly reason: string;
  /** For KVM that finished: its time divided by TCG's in the same run. Below 1 is faster. */
  readonly ratio?: number;
}

/** What came of one run of the trial's guest. */
export interface TrialRun {
  readonly outcome: "right" | "wrong" | "timeout" | "failed";
  /** From QEMU's start to its end. */
  readonly milliseconds: number;
  /** What QEMU said, when it failed. */
  readonly said: string;
}

/** TCG gets this long, in milliseconds: it is the yardstick, and slow on a loaded machine. */
const TCG_LIMIT_MS = 60_000;
/** KVM gets this many times what TCG took in the same run. More than 1 is lost already; the rest is for the message. */
const KVM_LIMIT_RATIO = 3;

/**
 * Runs the trial's guest under an accelerator; for KVM first under TCG, as the yardstick (no absolute time means
 * anything on a machine that is not known). Takes about a second for TCG and at most four times that for KVM.
 *
 * @param qemuBinary the emulator that the domain will name, for example `/usr/bin/qemu-system-x86_64`
 */
export async function tryAccelerator(
  accel: Accel,
  arch: DebianArch,
  qemuBinary: string,
): Promise<TrialResult> {
  const program = TRIAL_PROGRAMS[arch];
  if (program === undefined) {
    return accel === "tcg"
      ? { accel, usable: true, reason: `TCG emulates ${arch} on any host.` }
      : { accel, usable: false, reason: `There is no trial of KVM for ${arch} yet.` };
  }
  const dir = await mkdtemp(join(tmpdir(), "bootshare-trial-"));
  try {
    const image = join(dir, "trial.bin");
    await writeFile(image, program.image());
    const runUnder = async (which: Accel, limitMs: number): Promise<TrialRun> => {
      const start = performance.now();
      // QEMU may abort and leave a core: the working directory is thrown away.
      const options = { cwd: dir, timeoutMs: Math.ceil(limitMs) };
      const result = await run(qemuBinary, qemuArgs(which, program, image), options);
      return trialRun(program, result, performance.now() - start);
    };
    const tcg = await runUnder("tcg", TCG_LIMIT_MS);
    if (accel === "tcg") return judgeTcg(tcg);
    const kvm = await runUnder("kvm", tcg.milliseconds * KVM_LIMIT_RATIO);
    return judgeKvm(kvm, tcg);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function qemuArgs(accel: Accel, program: TrialProgram, image: string): string[] {
  const quiet = ["-display", "none", "-nodefaults", "-no-user-config", "-net", "none", "-no-reboot"];
  const machine = ["-accel", accel, "-cpu", program.cpu[accel], "-machine", program.machine[accel]];
  return [...machine, ...program.devices, ...quiet, program.load, image];
}

/** What a run of QEMU with the guest of a trial came to. */
export function trialRun(
  program: Pick<TrialProgram, "counted">,
  result: RunResult,
  milliseconds: number,
): TrialRun {
  return {
    outcome: result.timedOut ? "timeout" : (program.counted(result) ?? "failed"),
    milliseconds,
    said: result.missing ? "it is not installed" : whatQemuSaid(result.stderr),
  };
}

/** The first line of QEMU's that is no warning, without the program's name. Never more than a line. */
export function whatQemuSaid(stderr: string): string {
  const lines = stderr.split("\n").map((line) => line.replace(/^\S*qemu-system-\S+: (error: )?/, "").trim());
  const telling = lines.find((line) => line !== "" && !line.startsWith("warning: "));
  return printable(telling ?? "nothing", 160);
}

/** Decides from one run of TCG. */
export function judgeTcg(tcg: TrialRun): TrialResult {
  if (tcg.outcome === "right") return { accel: "tcg", usable: true, reason: "TCG ran a guest." };
  return { accel: "tcg", usable: false, reason: `TCG does not run a guest: ${why(tcg)}.` };
}

/** Decides from one run of each. */
export function judgeKvm(kvm: TrialRun, tcg: TrialRun): TrialResult {
  const accel = "kvm";
  if (kvm.outcome === "timeout") {
    const reason =
      tcg.outcome === "right"
        ? `KVM does not run a guest: the trial was not over after ${KVM_LIMIT_RATIO} times what emulation took.`
        : "KVM does not run a guest: the trial did not end.";
    return { accel, usable: false, reason };
  }
  if (kvm.outcome !== "right")
    return { accel, usable: false, reason: `KVM does not run a guest: ${why(kvm)}.` };
  if (tcg.outcome !== "right") return { accel, usable: true, reason: "KVM ran a guest." };
  const ratio = Math.round((kvm.milliseconds / tcg.milliseconds) * 100) / 100;
  if (ratio >= 1) {
    return {
      accel,
      usable: false,
      reason: `KVM is slower than emulation here, ${ratio} times its time.`,
      ratio,
    };
  }
  return { accel, usable: true, reason: `KVM ran a guest in ${ratio} of the time of emulation.`, ratio };
}

function why(trial: TrialRun): string {
  if (trial.outcome === "wrong") return "the guest computed a wrong sum";
  if (trial.outcome === "timeout") return "the trial did not end";
  if (NO_32BIT_KERNELS.test(trial.said)) return "this host's processor has no 32-bit kernel mode (EL1)";
  return `QEMU said "${trial.said}"`;
}
