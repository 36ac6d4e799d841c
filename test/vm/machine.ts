/** Driving the real thing: the built program, its service, libvirt's daemon. */
import { cpSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { onTestFailed } from "vitest";
import { guestPathsOf, qemuLog, statePaths } from "../../src/paths.ts";
import { startDetached } from "../../src/process.ts";

export const PROGRAM = resolve("dist/bootshare.mjs");
/** Where logs of failed tests are kept. */
const LOGS = resolve("test-logs");

export interface Ran {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function ran(file: string, args: readonly string[]): Promise<Ran> {
  const { exitCode, stdout, stderr } = await execa(file, [...args], { reject: false, stdin: "ignore" });
  return { exitCode: exitCode ?? -1, stdout, stderr };
}

/** Runs bootshare, whatever comes of it. */
export async function tryBootshare(...args: string[]): Promise<Ran> {
  return await ran(PROGRAM, args);
}

/** Runs bootshare, which must succeed, and returns what it printed. */
export async function bootshare(...args: string[]): Promise<string> {
  return must(`bootshare ${args.join(" ")}`, await tryBootshare(...args));
}

/** Runs bootshare and reads its JSON. */
export async function json<T>(...args: string[]): Promise<T> {
  return JSON.parse(await bootshare(...args, "--json")) as T;
}

export async function virsh(...args: string[]): Promise<string> {
  return must(`virsh ${args.join(" ")}`, await ran("virsh", ["-q", "-c", "qemu:///system", ...args]));
}

function must(what: string, result: Ran): string {
  if (result.exitCode === 0) return result.stdout.trim();
  throw new Error(`${what}: exit code ${result.exitCode}\n${result.stdout}\n${result.stderr}`);
}

/** Runs a program in a guest and returns what it printed. */
export async function inGuest(name: string, ...command: string[]): Promise<string> {
  return await bootshare("exec", name, "--", ...command);
}

/** Asks a guest for something that cuts the connection: a reboot, a power-off, a reset. */
export async function inGuestLastWord(name: string, ...command: string[]): Promise<void> {
  await tryBootshare("exec", name, "--", ...command);
}

export interface Status {
  readonly uuid: string;
  readonly state: string;
  readonly desired: string;
  readonly boot: string;
  readonly kernel: string | null;
  readonly reason: string;
  readonly arch: string;
  readonly share: string;
  readonly next: { readonly release: string } | null;
  readonly attempt: { readonly id: string; readonly good: string | null; readonly how: string | null } | null;
  readonly failed: { readonly why: string } | null;
  readonly reports: boolean;
}

export async function statusOf(name: string): Promise<Status> {
  return await json<Status>("status", name);
}

/** Asks again and again until the answer is not undefined. */
export async function until<T>(what: string, seconds: number, ask: () => Promise<T | undefined>): Promise<T> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    // Every look is a program that starts, on a machine whose cores emulate guests.
    await sleep(2500);
  }
}

/** How long an emulated boot may take on a busy machine, in seconds. */
export const BOOT_SECONDS = 300;

/**
 * For {@link until}: asks only when a guest's events have changed. The service writes down what it sees; another program every few
 * seconds would take a good part of what the guest has.
 */
export function onNewEvents<T>(
  uuid: string,
  ask: () => Promise<T | undefined>,
): () => Promise<T | undefined> {
  const { boots } = guestPathsOf(uuid);
  let seen = "";
  return async () => {
    const events = readFileSync(boots, "utf8");
    if (events === seen) return undefined;
    seen = events;
    return await ask();
  };
}

/** Waits until a guest is up and good in another attempt than this one, and returns its status. */
export async function untilGoodAgain(name: string, before: Status): Promise<Status> {
  const ask = async (): Promise<Status | undefined> => {
    const status = await statusOf(name);
    return status.attempt?.id !== before.attempt?.id && status.boot === "good" && status.state === "running"
      ? status
      : undefined;
  };
  return await until(`${name} comes back`, BOOT_SECONDS, onNewEvents(before.uuid, ask));
}

export async function untilOff(name: string, seconds = 120): Promise<Status> {
  return await until(`${name} is off`, seconds, async () => {
    const status = await statusOf(name);
    return status.state === "shut off" ? status : undefined;
  });
}

/** Longer than the service needs to see that a guest went off and to act. */
export async function aWhile(): Promise<void> {
  await sleep(8000);
}

/** The service that runs now, by its lock. */
export async function servicePid(): Promise<number | undefined> {
  const { stdout } = await tryBootshare("service", "status", "--json");
  return (JSON.parse(stdout) as { pid: number | null }).pid ?? undefined;
}

export async function startService(): Promise<void> {
  const log = openSync(statePaths().serviceLog, "a", 0o600);
  startDetached(process.execPath, [PROGRAM, "service"], log);
  await until("the service runs", 20, async () => await servicePid());
}

/** Ends the service: SIGTERM is asked for politely, SIGKILL is how machines fail. */
export async function stopService(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
  const pid = await servicePid();
  if (pid === undefined) return;
  process.kill(pid, signal);
  // Where tests run side by side, a command of another one may have started a new one.
  await until("the service has ended", 60, async () => ((await servicePid()) === pid ? undefined : true));
}

const LIBVIRTD_PID = "/run/libvirtd.pid";
const SYSTEMD = existsSync("/run/systemd/system");
const SYSTEMD_UNITS = ["libvirtd.service", "libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket"];

export async function stopLibvirtd(): Promise<void> {
  if (SYSTEMD) {
    must("systemctl stop", await ran("systemctl", ["stop", ...SYSTEMD_UNITS]));
    return;
  }
  const pid = Number(readFileSync(LIBVIRTD_PID, "utf8"));
  process.kill(pid, "SIGTERM");
  await until("libvirtd has ended", 60, async () => (existsSync(`/proc/${pid}`) ? undefined : true));
}

export async function startLibvirtd(): Promise<void> {
  must(
    "libvirtd",
    SYSTEMD ? await ran("systemctl", ["start", ...SYSTEMD_UNITS]) : await ran("libvirtd", ["-d"]),
  );
  await until("libvirtd answers", 60, async () => {
    const { exitCode } = await ran("virsh", ["-q", "-c", "qemu:///system", "version"]);
    return exitCode === 0 ? true : undefined;
  });
}

/** Keeps serial, QEMU and hook logs, report and events of a guest, should the test that is running fail. */
export function keepLogsOnFailure(name: string, test: string): void {
  onTestFailed(async () => {
    const folder = join(LOGS, test.replaceAll(/[^A-Za-z0-9]+/g, "-"));
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const { uuid } = await statusOf(name).catch(() => ({ uuid: "" }));
    const { hookLog, serviceLog } = statePaths();
    const files = [hookLog, serviceLog, qemuLog(name)];
    if (uuid !== "") {
      const { serialLog, report, boots, createLog, badLogs } = guestPathsOf(uuid);
      files.push(serialLog, report, boots, createLog);
      if (existsSync(badLogs)) cpSync(badLogs, join(folder, "bad"), { recursive: true });
    }
    for (const file of files)
      if (existsSync(file)) cpSync(file, join(folder, file.replaceAll("/", "_").slice(1)));
    console.error(`logs of the failed test are in ${folder}`);
  });
}
