/** Sees to it that the service runs, for commands that start guests. */
import { closeSync, mkdirSync, openSync } from "node:fs";
import { hasSystemd } from "../guest/host.ts";
import { statePaths } from "../paths.ts";
import { run, startDetached, tryLock } from "../process.ts";

export type ServiceState = "running" | "stopped";

/** Whether a service runs on this machine, however it was started. */
export function serviceState(): ServiceState {
  const paths = statePaths();
  mkdirSync(paths.root, { recursive: true, mode: 0o711 });
  const fd = openSync(paths.serviceLock, "a", 0o600);
  try {
    return tryLock(fd) ? "stopped" : "running";
  } finally {
    closeSync(fd);
  }
}

/**
 * Starts the service unless it runs: through systemd where that runs the machine and has our unit, else as a process of
 * its own.
 *
 * @param program the bootshare program to run
 * @returns what was done
 */
export async function ensureService(
  program: string,
): Promise<"running" | "started" | "systemd-unit-missing"> {
  if (serviceState() === "running") return "running";
  if (hasSystemd()) {
    const { exitCode } = await run("systemctl", ["start", "bootshare.service"], { timeoutMs: 30_000 });
    return exitCode === 0 ? "started" : "systemd-unit-missing";
  }
  const log = openSync(statePaths().serviceLog, "a", 0o600);
  try {
    startDetached(process.execPath, [program, "service"], log);
  } finally {
    closeSync(log);
  }
  return "started";
}
