/** What kind of system this host runs on. */
import { statSync } from "node:fs";
import { run } from "../process.ts";

/** Whether this host is shutting down (systemd's own word), so that guests that power off now are meant to be on. */
export async function isHostStopping(): Promise<boolean> {
  if (!hasSystemd()) return false;
  const { stdout } = await run("systemctl", ["is-system-running"], { timeoutMs: 5000 });
  return stdout.trim() === "stopping";
}

/** Whether systemd runs this machine (sd_booted(3)). */
export function hasSystemd(): boolean {
  return statSync("/run/systemd/system", { throwIfNoEntry: false })?.isDirectory() === true;
}
