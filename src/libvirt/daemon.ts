/** libvirt's daemon as a process of this machine: whether it runs, since when, and starting it again. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { EXIT, UserError } from "../errors.ts";
import { workMode } from "../mode.ts";
import { run } from "../process.ts";
import { virsh } from "./virsh.ts";

/** The daemon that serves this mode's guests: libvirtd, or virtqemud where libvirt is in parts. */
export interface Daemon {
  readonly name: "virtqemud" | "libvirtd";
  readonly pid: number;
}

const DAEMONS = ["virtqemud", "libvirtd"] as const;

/** The running daemon, from its pid file and the name of the process, or undefined. */
export async function findDaemon(): Promise<Daemon | undefined> {
  for (const name of DAEMONS) {
    const pid = Number((await readOr(join(workMode().daemonDir, `${name}.pid`))).trim());
    if (pid > 0 && (await readOr(`/proc/${pid}/comm`)).trim() === name) return { name, pid };
  }
  return undefined;
}

/**
 * A moment of this machine, as text: the boot's id, and the seconds since that boot. A clock that is set forward or
 * back, which is what happens to virtual machines, does not touch it.
 */
export async function monotonicStamp(): Promise<string> {
  const uptime = (await readFile("/proc/uptime", "utf8")).split(" ")[0] ?? "";
  return `${await bootId()} ${uptime}`;
}

/** Whether the daemon was started before the moment of a stamp: then it has not seen what came at that moment. */
export async function startedBefore(daemon: Daemon, stamp: string): Promise<boolean> {
  const started = startSeconds(await readOr(`/proc/${daemon.pid}/stat`));
  return isBefore(started, stamp, await bootId());
}

/** @param started seconds since this boot, @param boot the id of this boot */
export function isBefore(started: number, stamp: string, boot: string): boolean {
  const [stampBoot, seconds] = stamp.split(" ");
  // Another boot: whatever runs now was started after it.
  if (stampBoot !== boot) return false;
  return !(started >= Number(seconds));
}

/** Ticks per second of times in /proc (USER_HZ, which is 100 on every architecture of Debian's). */
const USER_HZ = 100;

/** When a process was started, in seconds since the boot, from its /proc/PID/stat (field 22); NaN when that is not one. */
export function startSeconds(stat: string): number {
  // The second field is the program's name in brackets, and may hold anything, spaces and brackets too.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[19] ?? Number.NaN) / USER_HZ;
}

/** How long the daemon may take to end, and then to answer, in milliseconds. */
const RESTART_MS = 30_000;

/**
 * Restarts the daemon, by systemd where that runs the machine. Running guests go on: QEMU is no child of the daemon.
 *
 * @returns a line that says what was done
 * @throws {UserError} `LIBVIRT_RESTART_FAILED`
 */
export async function restartDaemon(daemon: Daemon): Promise<string> {
  if (existsSync("/run/systemd/system")) {
    const result = await run("systemctl", ["restart", daemon.name], { timeoutMs: 2 * RESTART_MS });
    if (result.exitCode !== 0) throw restartFailed(daemon, result.stderr);
  } else {
    process.kill(daemon.pid, "SIGTERM");
    await waitFor(async () => (await findDaemon())?.pid !== daemon.pid, daemon, "it did not end");
    const result = await run(daemon.name, ["--daemon"], { timeoutMs: RESTART_MS });
    if (result.exitCode !== 0) throw restartFailed(daemon, result.stderr);
  }
  await waitFor(answers, daemon, "it does not answer");
  return `restarted ${daemon.name}; running guests were not touched`;
}

async function answers(): Promise<boolean> {
  return await virsh(["version"], { timeoutMs: 10_000 }).then(
    () => true,
    () => false,
  );
}

async function waitFor(done: () => Promise<boolean>, daemon: Daemon, why: string): Promise<void> {
  const until = Date.now() + RESTART_MS;
  while (!(await done())) {
    if (Date.now() >= until) throw restartFailed(daemon, why);
    await sleep(200);
  }
}

function restartFailed(daemon: Daemon, why: string): UserError {
  return new UserError("LIBVIRT_RESTART_FAILED", `${daemon.name} could not be restarted.`, {
    exitCode: EXIT.unusable,
    detail: why.trim(),
    hint: `Restart it yourself ('systemctl restart ${daemon.name}', or '${daemon.name} -d'), and look at its log.`,
  });
}

async function bootId(): Promise<string> {
  return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
}

/** The content of a file, empty where it cannot be read. */
async function readOr(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch {
    return "";
  }
}
