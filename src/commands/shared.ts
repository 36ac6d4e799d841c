/** What several commands have in common. */
import { z } from "zod";
import { ensureService } from "../serve/ensure.ts";
import type { OptionText } from "./command.ts";

export const FORCE_OPTION: OptionText = { flags: "--force", text: "do not ask the guest: cut its power" };
export const WAIT_OPTION: OptionText = { flags: "--wait", text: "wait until its boot is good" };

export function timeoutOption(seconds: number, what: string): OptionText {
  return { flags: "--timeout <seconds>", text: `${what} after this many seconds (default ${seconds})` };
}

export function timeoutSchema(seconds: number) {
  return z.coerce.number({ error: "a number of seconds" }).positive().default(seconds);
}

/** The path of the running program, for the service that is started from it. */
export function thisProgram(): string {
  return process.argv[1] ?? "";
}

/** Sees to it that somebody starts the guest again after a reboot; says so when nobody will. */
export async function serviceForStart(): Promise<void> {
  if ((await ensureService(thisProgram())) !== "systemd-unit-missing") return;
  process.stderr.write(
    "Note: no bootshare service runs, so a guest that reboots stays off. Install it with 'bootshare service install'.\n",
  );
}
