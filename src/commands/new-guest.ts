/** What the commands that make a new guest have in common: options, and showing how it goes. */
import { Listr, PRESET_TIMER } from "listr2";
import { z } from "zod";
import { EXIT, UserError } from "../errors.ts";
import type { CreateStep, Creation } from "../guest/create.ts";
import type { GuestWishes } from "../guest/plan.ts";
import { parseSize } from "../guest/size.ts";
import type { NetworkSpec } from "../libvirt/domain-create.ts";
import { ACCEL_CHOICES } from "../machine/accel.ts";
import { printable } from "../text.ts";
import type { OptionText } from "./command.ts";
import { printLines } from "./output.ts";
import {
  BOOT_TIMEOUT_OPTION,
  bootTimeoutSchema,
  cpusSchema,
  NO_SERVICE,
  serviceForStart,
  TRIES_OPTION,
  triesSchema,
} from "./shared.ts";
import { type EndingSignal, endedBySignals } from "./signals.ts";

/** Of its machine, and what it shares with this host. */
export const MACHINE_OPTIONS: readonly OptionText[] = [
  { flags: "--memory <size>", text: "memory (default 2G)" },
  { flags: "--cpus <count>", text: "virtual CPUs (default 2)" },
  {
    flags: "--boot-size <size>",
    text: "what /boot may take of the host's disk at most, or none for no limit (default 1G; none without root)",
  },
  {
    flags: "--share <how>",
    text: "how /boot is shared: auto, virtiofs, 9p (default auto: virtiofs where libvirt here can serve it)",
  },
  { flags: "--accel <accel>", text: "auto, kvm, tcg (default auto: what a short trial shows to work)" },
  {
    flags: "--network <network>",
    text: "user, network=NAME or bridge=NAME (default user: needs nothing on the host, and no root)",
  },
  { flags: "--ssh-key <file>", text: "public keys that may log in as root, beside bootshare's own" },
];

/** Of its making and its first boot. */
export const MAKING_OPTIONS: readonly OptionText[] = [
  { flags: "--keep", text: "when a step fails, leave what was made for a look at it" },
  TRIES_OPTION,
  BOOT_TIMEOUT_OPTION,
];

/** For the schema of such a command. */
export const newGuestShape = {
  memory: z.string().optional(),
  cpus: cpusSchema,
  bootSize: z.string().optional(),
  share: z.enum(["auto", "virtiofs", "9p"], { error: "auto, virtiofs or 9p" }).optional(),
  accel: z.enum(["auto", "kvm", "tcg"], { error: ACCEL_CHOICES.join(", ") }).optional(),
  network: z.string().optional(),
  sshKey: z.string().optional(),
  keep: z.boolean().default(false),
  tries: triesSchema,
  bootTimeout: bootTimeoutSchema,
};

type NewGuestOptions = z.infer<z.ZodObject<typeof newGuestShape>>;

/** What a person wishes, with the defaults. @throws {UserError} `USAGE` */
export function guestWishes(name: string, options: NewGuestOptions): GuestWishes {
  return {
    name,
    memoryBytes: parseSize(options.memory ?? "2G", "--memory", "M"),
    cpus: options.cpus ?? 2,
    bootBytes: bootBytesOf(options.bootSize),
    share: options.share ?? "auto",
    accel: options.accel ?? "auto",
    network: networkOf(options.network ?? "user"),
    sshKeyFile: options.sshKey,
    keep: options.keep,
    tries: options.tries,
    bootTimeout: options.bootTimeout,
  };
}

/**
 * Makes a guest; one that fails, or is interrupted, is taken back, unless it is to be kept.
 *
 * @param plain a line for each step and nothing else: the terminal is somebody else's in between
 */
export async function makeGuest(
  creation: Creation,
  { name, keep }: GuestWishes,
  { plain = false }: { readonly plain?: boolean } = {},
): Promise<void> {
  await endedBySignals(async ({ signal }) => {
    try {
      await runSteps(creation, plain, signal);
    } catch (error) {
      if (keep) printLines(["Kept, because of --keep:", ...creation.keep().map((one) => `  ${one}`)]);
      else
        for (const left of await creation.rollBack())
          process.stderr.write(`Could not be removed: ${printable(left)}\n`);
      throw error;
    }
  }, interrupted(name));
}

/** Runs the steps, each shown with its time as it goes. */
async function runSteps(creation: Creation, plain: boolean, signal: AbortSignal): Promise<void> {
  const terminal = process.stdout.isTTY === true && !plain;
  const [check, ...rest] = creation.steps();
  const service: CreateStep = {
    title: "See to the service",
    run: async () => {
      const said = await serviceForStart();
      if (said === NO_SERVICE && creation.needsService) throw serviceNeeded();
      return said;
    },
  };
  const list = new Listr(
    [...(check === undefined ? [] : [check]), service, ...rest].map((step) => ({
      title: step.title,
      task: async (_context: unknown, task: { title: string; output: string }) => {
        signal.throwIfAborted();
        const said = await step.run((line) => {
          // Only a terminal has a place for a line that is overwritten by the next one.
          if (terminal) task.output = printable(line, 100);
        }, signal);
        if (said !== undefined) task.title = `${step.title}: ${printable(said)}`;
        const warning = step.warning?.();
        if (warning !== undefined) task.output = `Warning: ${warning}`;
      },
      rendererOptions: { persistentOutput: step.warning !== undefined },
    })),
    {
      renderer: terminal ? "default" : "simple",
      // listr2 would end the process at once on Ctrl-C; ours takes back what was made.
      registerSignalListeners: false,
      rendererOptions: { timer: PRESET_TIMER, showErrorMessage: false, collapseErrors: false },
      fallbackRendererOptions: { timer: PRESET_TIMER },
    },
  );
  await list.run();
}

function serviceNeeded(): UserError {
  return new UserError(
    "SERVICE_NEEDED",
    "The guest would install its own packages and restart, and no bootshare service runs that would start it again.",
    { exitCode: EXIT.unusable, hint: "Install it: bootshare service install" },
  );
}

export function interrupted(name: string): (signal: EndingSignal) => UserError {
  return (signal) => new UserError("INTERRUPTED", `The making of ${name} was interrupted (${signal}).`);
}

function bootBytesOf(text: string | undefined): number | null | undefined {
  if (text === undefined) return undefined;
  return text === "none" ? null : parseSize(text, "--boot-size", "M");
}

function networkOf(text: string): NetworkSpec {
  if (text === "user") return { kind: "user" };
  const [kind, name] = text.split("=", 2);
  if ((kind === "network" || kind === "bridge") && name !== undefined && /^[A-Za-z0-9][\w.-]*$/.test(name)) {
    return { kind, name };
  }
  throw new UserError("USAGE", `--network: ${printable(text)} is not understood.`, {
    exitCode: EXIT.usage,
    hint: "Write user, network=NAME (a network of libvirt's) or bridge=NAME (a bridge of this host).",
  });
}
