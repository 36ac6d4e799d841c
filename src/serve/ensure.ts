/** Sees to it that the service runs, for commands that start guests. */

import { closeSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import { makeStateFolder } from "../folders.ts";
import { hasSystemd } from "../guest/host.ts";
import { workMode } from "../mode.ts";
import { statePaths } from "../paths.ts";
import { run, startDetached, tryLock } from "../process.ts";

/** A service that is started with a log longer than this begins a new one, in bytes; the last one is kept. */
const LOG_CAP_BYTES = 1024 * 1024;

export interface ServiceState {
  readonly state: "running" | "stopped";
  /** Process id of the running service. */
  readonly pid: number | null;
}

/** Whether a service runs on this machine, however it was started: the holder of the lock, which wrote its pid into it. */
export function serviceState(): ServiceState {
  const paths = statePaths();
  makeStateFolder(paths.root);
  const fd = openSync(paths.serviceLock, "a", 0o600);
  try {
    if (tryLock(fd)) return { state: "stopped", pid: null };
    const pid = Number.parseInt(readFileSync(paths.serviceLock, "utf8"), 10);
    return { state: "running", pid: Number.isInteger(pid) ? pid : null };
  } finally {
    closeSync(fd);
  }
}

/**
 * Starts the service unless it runs: through systemd where that runs the machine and has our unit, else as a process of
 * its own. On a machine with systemd root's service is a unit or none at all; a user's is a process where there is no unit.
 *
 * @param program the bootshare program to run
 * @returns what was done
 */
export async function ensureService(
  program: string,
): Promise<"running" | "started" | "systemd-unit-missing"> {
  if (serviceState().state === "running") return "running";
  const { name } = workMode();
  if (hasSystemd()) {
    const manager = name === "system" ? [] : ["--user"];
    const start = [...manager, "start", "bootshare.service"];
    const { exitCode } = await run("systemctl", start, { timeoutMs: 30_000 });
    if (exitCode === 0) return "started";
    if (name === "system") return "systemd-unit-missing";
  }
  const { serviceLog } = statePaths();
  const size = statSync(serviceLog, { throwIfNoEntry: false })?.size ?? 0;
  if (size > LOG_CAP_BYTES) renameSync(serviceLog, `${serviceLog}.1`);
  const log = openSync(serviceLog, "a", 0o600);
  try {
    startDetached(process.execPath, [program, "service"], log);
  } finally {
    closeSync(log);
  }
  return "started";
}
