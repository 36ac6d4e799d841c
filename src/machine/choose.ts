/** Whether KVM can be chosen for a guest: what a trial shows, which is remembered. */
import { constants } from "node:fs";
import { access, readFile, stat } from "node:fs/promises";
import { release } from "node:os";
import { dirname } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { errnoOf } from "../errors.ts";
import { makeStateFolder } from "../folders.ts";
import { DEBIAN_ARCHES, type DebianArch } from "../kernel/arch.ts";
import { type WorkMode, workMode } from "../mode.ts";
import { statePaths } from "../paths.ts";
import { missingProgram, run } from "../process.ts";
import { hostArch, processorModel } from "./host.ts";
import { mayRunPrograms } from "./processor.ts";
import { emulatorOf } from "./shape.ts";
import { type TrialResult, tryAccelerator } from "./trial.ts";

/** What a trial's result depends on. Where one of these changed, the trial is done again. */
export interface TrialKey {
  readonly arch: DebianArch;
  /** Release of the host's kernel, for KVM is part of it. */
  readonly kernel: string;
  /** First line of `qemu-system-… --version`. */
  readonly qemu: string;
  /** The host's processor (host.ts, processorModel). */
  readonly cpu: string;
}

/** What {@link kvmResult} asks of the machine. Tests put in their own. */
export interface Probe {
  readonly key: (arch: DebianArch, qemuBinary: string) => Promise<TrialKey>;
  /** Why KVM cannot even be tried, or undefined. */
  readonly kvmObstacle: (arch: DebianArch) => Promise<string | undefined>;
  readonly tryAccelerator: typeof tryAccelerator;
}

export interface ChooseOptions {
  /** Where results are kept; {@link statePaths}().trials by default. */
  readonly trialsFile?: string;
  /** The emulator; the one of the architecture's machine shape by default. */
  readonly qemuBinary?: string;
  readonly probe?: Probe;
}

/**
 * Whether KVM runs guests of an architecture here, from the file of results or from a new trial. The trial runs once, and again
 * when the host's kernel, QEMU or the processor is another one.
 *
 * @throws {UserError} `PROGRAM_MISSING` without QEMU
 */
export async function kvmResult(arch: DebianArch, options: ChooseOptions = {}): Promise<TrialResult> {
  const probe = options.probe ?? machineProbe;
  const binary = options.qemuBinary ?? emulatorOf(arch);
  const obstacle = await probe.kvmObstacle(arch);
  if (obstacle !== undefined) return { accel: "kvm", usable: false, reason: obstacle };
  const key = await probe.key(arch, binary);
  const file = options.trialsFile ?? statePaths().trials;
  const known = await readTrials(file);
  const hit = known.find((trial) => sameKey(trial.key, key) && trial.result.accel === "kvm");
  if (hit !== undefined) return resultOf(hit.result);
  const result = await probe.tryAccelerator("kvm", arch, binary);
  // One result for each architecture: what the machine was before is of no use.
  const others = known.filter((trial) => trial.key.arch !== arch);
  await writeTrials(file, [...others, { key, result, at: new Date().toISOString() }]);
  return result;
}

const trialSchema = z.object({
  key: z.object({ arch: z.enum(DEBIAN_ARCHES), kernel: z.string(), qemu: z.string(), cpu: z.string() }),
  result: z.object({
    accel: z.enum(["kvm", "tcg"]),
    usable: z.boolean(),
    reason: z.string(),
    ratio: z.number().optional(),
  }),
  at: z.string(),
});
type Trial = z.infer<typeof trialSchema>;

/** The version of the file and of the trial's guest: raise it when a result of the old guest is not to be believed. */
const SCHEMA = 2;
const fileSchema = z.object({ schema: z.literal(SCHEMA), trials: z.array(trialSchema) });

/** The results on file. A file that cannot be read, or is of another version, holds none: it is a cache. */
async function readTrials(file: string): Promise<Trial[]> {
  try {
    return fileSchema.parse(JSON.parse(await readFile(file, "utf8"))).trials;
  } catch {
    return [];
  }
}

/** Keeps results where it can. Where it cannot (not root, a full disk) the trial is done each time: it is a cache. */
async function writeTrials(file: string, trials: readonly Trial[]): Promise<void> {
  try {
    makeStateFolder(dirname(file));
    await writeFileAtomic(file, `${JSON.stringify({ schema: SCHEMA, trials }, undefined, 2)}\n`, {
      mode: 0o644,
    });
  } catch (error) {
    // What the system refuses has a code; anything else is a bug.
    if (errnoOf(error) === undefined) throw error;
  }
}

function sameKey(a: TrialKey, b: TrialKey): boolean {
  return a.arch === b.arch && a.kernel === b.kernel && a.qemu === b.qemu && a.cpu === b.cpu;
}

function resultOf(stored: Trial["result"]): TrialResult {
  const { ratio, ...rest } = stored;
  return ratio === undefined ? rest : { ...rest, ratio };
}

export const KVM_DEVICE = "/dev/kvm";
/** Hosts whose KVM there is a trial guest for (trial-programs.ts), and which Linux has KVM for (32-bit ARM: not since 5.7). */
const KVM_HOSTS: readonly string[] = ["amd64", "arm64", "riscv64"];

/** What a look at /dev/kvm showed. */
export type KvmDevice =
  | { readonly errno: string; readonly mode?: undefined }
  | { readonly errno?: undefined; readonly mode: number };

/**
 * Why KVM cannot even be tried, from the host's architecture and the device.
 *
 * @param host Debian's name of the host's architecture, or Node's where Debian has none
 * @param mode in session mode QEMU runs as the very user who looked at the device
 */
export function obstacleOf(
  arch: DebianArch,
  host: string,
  device: KvmDevice,
  mode: WorkMode["name"] = "system",
): string | undefined {
  if (!KVM_HOSTS.includes(host) || !mayRunPrograms(arch, host))
    return `KVM on this host does not run ${arch} guests.`;
  if (device.errno === "ENOENT") return `This machine has no ${KVM_DEVICE}.`;
  if (device.errno === "EACCES") return `This user may not open ${KVM_DEVICE}.`;
  if (device.errno !== undefined) return `${KVM_DEVICE} cannot be opened (${device.errno}).`;
  if (mode === "session") return undefined;
  // libvirt runs QEMU as a user of its own, in the group kvm. Where that user may not open the device, libvirt 9 moreover
  // examines QEMU anew, for seconds, each time it reads a domain.
  if ((device.mode & 0o006) === 0o006 || (device.mode & 0o060) === 0o060) return undefined;
  return `Only root may open ${KVM_DEVICE}, and libvirt runs QEMU as another user ('chgrp kvm ${KVM_DEVICE}; chmod 660 ${KVM_DEVICE}').`;
}

const machineProbe: Probe = {
  tryAccelerator,
  async kvmObstacle(arch) {
    return obstacleOf(arch, hostArch(), await lookAtDevice(), workMode().name);
  },
  async key(arch, qemuBinary) {
    const { stdout, missing } = await run(qemuBinary, ["--version"], { timeoutMs: 10_000 });
    if (missing) throw missingProgram(qemuBinary);
    const cpu = processorModel(await readFile("/proc/cpuinfo", "utf8"));
    return { arch, kernel: release(), qemu: stdout.split("\n")[0] ?? "", cpu };
  },
};

async function lookAtDevice(): Promise<KvmDevice> {
  try {
    await access(KVM_DEVICE, constants.R_OK | constants.W_OK);
    return { mode: (await stat(KVM_DEVICE)).mode };
  } catch (error) {
    return { errno: errnoOf(error) ?? "unknown error" };
  }
}
