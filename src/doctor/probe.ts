/** What the requirements ask of the machine. Tests put in their own; machine-probe.ts is the real one. */
import type { Copy } from "../guest/inventory.ts";
import type { QemuUser } from "../guest/qemu-user.ts";
import type { DebianArch } from "../kernel/arch.ts";
import type { Daemon } from "../libvirt/daemon.ts";
import type { HookStatus } from "../libvirt/hook-install.ts";
import type { HookTrial } from "../libvirt/hook-trial.ts";
import type { TrialResult } from "../machine/trial.ts";
import type { WorkMode } from "../mode.ts";
import type { RunResult } from "../process.ts";
import type { HostMirrors } from "../provision/sources.ts";
import type { ServiceState } from "../serve/ensure.ts";

/** Owner and mode of a file. */
export interface FileFacts {
  readonly folder: boolean;
  /** Permissions: 07777 of stat(2)'s mode. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** The system's word for why something could not be had: `ENOENT`, `EACCES`, … */
export interface Refused {
  readonly errno: string;
}

export interface Probe {
  /** For whom guests are: root's answers and an ordinary user's are about different guests. */
  readonly mode: WorkMode;
  /** Who runs this. */
  readonly user: { readonly name: string; readonly uid: number };
  /** systemd runs this machine. */
  readonly systemd: boolean;
  /** Node's name of the host's architecture. */
  readonly nodeArch: string;
  /** Absolute path of a program, searched as it will be when bootshare runs it. */
  find(program: string): string | undefined;
  /** Runs a program, for a few seconds at most. */
  run(file: string, args: readonly string[], input?: string): Promise<RunResult>;
  /** Owner and mode of what a path leads to. */
  stat(path: string): FileFacts | Refused;
  /** Names in a folder. */
  names(folder: string): readonly string[] | Refused;
  /** The content of a small file; undefined where it cannot be read. */
  read(file: string): string | undefined;
  /** Name of a group. */
  groupName(gid: number): string | undefined;
  /** Bytes that are free in the file system of a folder. */
  freeBytes(folder: string): Promise<number>;
  /** What `virsh version --daemon` prints. @throws {UserError} of virsh.ts */
  virshVersion(): Promise<string>;
  daemon(): Promise<Daemon | undefined>;
  /** Domains that are copies of guests. @throws {UserError} of virsh.ts */
  copies(): Promise<readonly Copy[]>;
  hookStatus(): Promise<HookStatus>;
  tryHook(arch: DebianArch): Promise<HookTrial>;
  service(): ServiceState;
  qemuUser(): Promise<QemuUser>;
  virtiofsd(): string | undefined;
  mirrors(): Promise<HostMirrors>;
  /** Whether KVM runs guests, from what is remembered or from a trial. */
  kvm(arch: DebianArch): Promise<TrialResult>;
  /** Whether emulation runs guests, from a trial. */
  tcg(arch: DebianArch): Promise<TrialResult>;
}
