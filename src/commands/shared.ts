/** What several commands have in common. */
import { z } from "zod";
import { DEFAULT_TRIES } from "../boot/assess.ts";
import { MAX_TRIES } from "../boot/policy.ts";
import { BOOT_TIMEOUT_S, FIRST_BOOT_FACTOR } from "../boot/timeout.ts";
import { parseSize } from "../guest/size.ts";
import { ensureService } from "../serve/ensure.ts";
import type { OptionText } from "./command.ts";

export const FORCE_OPTION: OptionText = { flags: "--force", text: "do not ask the guest: cut its power" };
export const WAIT_OPTION: OptionText = { flags: "--wait", text: "wait until its boot is good" };

export function timeoutOption(seconds: number, what: string): OptionText {
  return { flags: "--timeout <seconds>", text: `${what} after this many seconds (default ${seconds})` };
}

/** The longest that a timer of Node.js takes, in seconds: one that is set to more fires at once. */
const MAX_TIMER_S = Math.floor((2 ** 31 - 1) / 1000);

/** A time that a timer is set to, in seconds. */
export const timerSchema = z.coerce
  .number({ error: "a number of seconds" })
  .positive()
  .max(MAX_TIMER_S, { error: `at most ${MAX_TIMER_S} seconds (24 days)` })
  .optional();

export function timeoutSchema(seconds: number) {
  return z.coerce.number({ error: "a number of seconds" }).positive().default(seconds);
}

export const TRIES_OPTION: OptionText = {
  flags: "--tries <count>",
  text: `boots that a kernel gets which was never good, before the last good one is booted (default ${DEFAULT_TRIES})`,
};

export const triesSchema = z.coerce
  .number({ error: "a number of tries" })
  .int()
  .min(1)
  .max(MAX_TRIES, { error: `at most ${MAX_TRIES}` })
  .optional();

export const BOOT_TIMEOUT_OPTION: OptionText = {
  flags: "--boot-timeout <seconds>",
  text: `a boot that is not good after so many seconds is bad (default ${BOOT_TIMEOUT_S.kvm} under KVM, ${BOOT_TIMEOUT_S.tcg} emulated, ${FIRST_BOOT_FACTOR} times that for a first boot that makes the initrd; 0 for no limit)`,
};

export const bootTimeoutSchema = z.coerce.number({ error: "a number of seconds" }).int().min(0).optional();

export const cpusSchema = z.coerce.number({ error: "a number of CPUs" }).int().min(1).max(512).optional();

/** Bytes of `--memory`. @throws {UserError} `USAGE` */
export function memoryOf(memory: string | undefined): number | undefined {
  return memory === undefined ? undefined : parseSize(memory, "--memory", "M");
}

/** For a command that makes ephemeral guests. */
export const REACHABLE_OPTION: OptionText = {
  flags: "--boot-timeout <seconds>",
  text: "what a guest may take until it can be used; 0 for no limit",
};

/** Where a guest's packages come from. */
export const MIRROR_OPTIONS: readonly OptionText[] = [
  { flags: "--mirror <url>", text: "Debian archive (default: the one that this host's apt uses)" },
  { flags: "--security-mirror <url>", text: "Debian security archive (default: likewise)" },
  { flags: "--no-security", text: "do without the security archive" },
  { flags: "--no-updates", text: "do without SUITE-updates, as where the mirror has none" },
];
export const mirrorShape = {
  mirror: z.string().optional(),
  securityMirror: z.string().optional(),
  security: z.boolean().default(true),
  updates: z.boolean().default(true),
};

/** Says something that a person should know, beside what the command is asked for. */
export function note(sentence: string): void {
  process.stderr.write(`Note: ${sentence}\n`);
}

/** Whether a person is at both ends: what asks them, or gives them a shell, needs that. */
export function isTerminal(): boolean {
  return process.stdin.isTTY === true && process.stdout.isTTY === true;
}

/** The path of the running program, for the service that is started from it. */
export function thisProgram(): string {
  return process.argv[1] ?? "";
}

/** What {@link serviceForStart} says where nobody will start the guest again. */
export const NO_SERVICE = "none runs: a guest that reboots stays off until 'bootshare service install'";

/**
 * Sees to it that somebody starts the guest again after a reboot.
 *
 * @returns what came of it; undefined when the service ran already
 */
export async function serviceForStart(): Promise<string | undefined> {
  switch (await ensureService(thisProgram())) {
    case "running":
      return undefined;
    case "started":
      return "started it";
    case "systemd-unit-missing":
      return NO_SERVICE;
  }
}

/** The same for commands that have no steps to show: says only what a person should know. */
export async function noteService(): Promise<void> {
  const said = await serviceForStart();
  if (said === NO_SERVICE) note(`the bootshare service: ${said}`);
}
