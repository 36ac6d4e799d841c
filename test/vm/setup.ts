/**
 * Before and after all tests with real guests. With BOOTSHARE_REUSE_GUESTS=1 the guests of an earlier run are taken as they are,
 * with BOOTSHARE_KEEP_GUESTS=1 they are left for a later one: making one takes minutes.
 */
import { existsSync, rmSync } from "node:fs";
import { removeGuests } from "./guests.ts";
import { PROGRAM, startService, stopService, tryBootshare } from "./machine.ts";

export async function setup(): Promise<void> {
  if (process.getuid?.() !== 0) throw new Error("tests with real guests need root (qemu:///system)");
  if (!existsSync(PROGRAM)) throw new Error("build it first: npm run build");
  const hook = await tryBootshare("hook", "status");
  if (hook.exitCode !== 0)
    throw new Error(`the hook is not in place; run scripts/prepare-machine\n${hook.stdout}${hook.stderr}`);
  rmSync("test-logs", { recursive: true, force: true });
  // A service of an earlier build must not act for this one.
  await stopService();
  if (process.env["BOOTSHARE_REUSE_GUESTS"] !== "1") await removeGuests();
  await startService();
}

export async function teardown(): Promise<void> {
  if (process.env["BOOTSHARE_KEEP_GUESTS"] !== "1") await removeGuests();
  await stopService();
}
