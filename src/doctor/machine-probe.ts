/** The real machine, as the requirements ask for it. It changes nothing: what a trial writes goes into a temporary folder. */
import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  type Stats,
  statSync,
} from "node:fs";
import { copyFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { errnoOf } from "../errors.ts";
import { hasSystemd } from "../guest/host.ts";
import { listCopies } from "../guest/inventory.ts";
import { qemuUser } from "../guest/qemu-user.ts";
import type { DebianArch } from "../kernel/arch.ts";
import { findDaemon } from "../libvirt/daemon.ts";
import { hookStatus } from "../libvirt/hook-install.ts";
import { tryHook } from "../libvirt/hook-trial.ts";
import { virsh } from "../libvirt/virsh.ts";
import { kvmResult } from "../machine/choose.ts";
import { machineShape } from "../machine/shape.ts";
import { type TrialResult, tryAccelerator } from "../machine/trial.ts";
import { findVirtiofsd } from "../machine/virtiofsd.ts";
import { workMode } from "../mode.ts";
import { statePaths } from "../paths.ts";
import { run, searchPath } from "../process.ts";
import { freeBytes } from "../provision/free-space.ts";
import { hostMirrors } from "../provision/sources.ts";
import { serviceState } from "../serve/ensure.ts";
import type { Probe, Refused } from "./probe.ts";

/** Programs that only say something get this long, in milliseconds. */
const SHORT_MS = 10_000;
/** libvirt gets this long: a user's daemon that has never run looks at every QEMU of the machine before it answers. */
const LIBVIRT_MS = 50_000;

export const machineProbe: Probe = {
  mode: workMode(),
  user: { name: userInfo().username, uid: userInfo().uid },
  systemd: hasSystemd(),
  nodeArch: process.arch,
  find: findProgram,
  run: async (file, args, input = "") => await run(file, args, { input, timeoutMs: SHORT_MS }),
  stat: (path) => refusable(() => factsOf(statSync(realpathSync(path)))),
  names: (folder) => refusable(() => readdirSync(folder)),
  read(file) {
    const text = refusable(() => readFileSync(file, "utf8"));
    return typeof text === "string" ? text : undefined;
  },
  groupName(gid) {
    const groups = refusable(() => readFileSync("/etc/group", "utf8"));
    if (typeof groups !== "string") return undefined;
    const line = groups.split("\n").find((one) => one.split(":")[2] === String(gid));
    return line?.split(":")[0];
  },
  freeBytes: async (folder) => freeBytes(folder),
  virshVersion: async () => await virsh(["version", "--daemon"], { timeoutMs: LIBVIRT_MS }),
  daemon: findDaemon,
  copies: listCopies,
  hookStatus: async () => await hookStatus(),
  // The accelerator does not matter: QEMU is never run. Emulation needs nothing of the machine.
  tryHook: async (arch) => await tryHook(machineShape(arch, "tcg")),
  service() {
    // Asking makes the state folder and the lock file. Where there is none, there is no service either.
    if (!existsSync(statePaths().serviceLock)) return { state: "stopped", pid: null };
    return serviceState();
  },
  qemuUser,
  virtiofsd: findVirtiofsd,
  mirrors: async () => await hostMirrors(AbortSignal.timeout(SHORT_MS)),
  kvm: rememberedOrTried,
  tcg: async (arch) => await tryAccelerator("tcg", arch, machineShape(arch, "tcg").emulator),
};

/** What `create` would go by: a remembered result where there is one. A new one is not written down: `create` does that. */
async function rememberedOrTried(arch: DebianArch): Promise<TrialResult> {
  const dir = await mkdtemp(join(tmpdir(), "bootshare-doctor-"));
  try {
    const trialsFile = join(dir, "trials.json");
    await copyFile(statePaths().trials, trialsFile).catch(() => undefined);
    return await kvmResult(arch, { trialsFile });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Where bootshare finds programs. */
function findProgram(program: string): string | undefined {
  return searchPath()
    .split(":")
    .filter((dir) => dir.startsWith("/"))
    .map((dir) => join(dir, program))
    .find((file) => refusable(() => accessSync(file, constants.X_OK)) === undefined);
}

function factsOf(stats: Stats): { folder: boolean; mode: number; uid: number; gid: number } {
  return { folder: stats.isDirectory(), mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid };
}

/** The result, or the system's word for why there is none. Anything else that is thrown is a bug. */
function refusable<T>(look: () => T): T | Refused {
  try {
    return look();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    return { errno };
  }
}
