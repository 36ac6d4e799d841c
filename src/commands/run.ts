import { z } from "zod";
import { EXIT, UserError } from "../errors.ts";
import { ensureBaseGuest } from "../guest/base-guest.ts";
import { checkCopyIn, checkCopyOut } from "../guest/copy.ts";
import { withEphemeralGuest } from "../guest/ephemeral.ts";
import { guestArch } from "../guest/plan.ts";
import { type Copy, runProgram } from "../guest/run-program.ts";
import { findSuite } from "../provision/suites.ts";
import { printable } from "../text.ts";
import { defineCommand } from "./command.ts";
import {
  bootTimeoutSchema,
  cpusSchema,
  isTerminal,
  memoryOf,
  noteService,
  REACHABLE_OPTION,
  timerSchema,
} from "./shared.ts";
import { type EndingSignal, endedBySignals, SIGNAL_EXIT } from "./signals.ts";

const copySchema = z
  .array(z.string())
  .default([])
  .transform((specs, context) =>
    specs.flatMap((spec) => {
      const paths = pathsOf(spec);
      if (paths === undefined)
        context.addIssue({ code: "custom", message: `${printable(spec)} is not two paths, FROM:TO` });
      return paths === undefined ? [] : [paths];
    }),
  );

/** Two paths with a colon between them; a backslash takes away what a colon, or a backslash, means. */
export function pathsOf(spec: string): readonly [from: string, to: string] | undefined {
  const parts = [...spec.matchAll(/((?:[^\\:]|\\.)*)(:|$)/gsu)].map(([, part = ""]) =>
    part.replace(/\\(.)/gsu, "$1"),
  );
  const [from = "", to = "", ...rest] = spec.endsWith(":") ? parts : parts.slice(0, -1);
  return from === "" || to === "" || rest.length > 0 ? undefined : [from, to];
}

export const run = defineCommand({
  name: "run",
  summary: "run a program in a guest that is made for it and deleted afterwards",
  about:
    "Clones a guest, boots the clone, runs a program in it as root, and deletes it, whatever happens. Standard input, output and error are the program's own, and so is the exit code (128 + N where signal N ended it); 125 says that the machine for it could not be had or was lost, 124 that its time was up. What goes on with the machine is said on standard error.",
  arguments: [["<command...>", "the program and its arguments, after '--'"]],
  options: [
    {
      flags: "--from <guest>",
      text: "the guest to clone, which is off (default: a base guest, made at first use)",
    },
    { flags: "--suite <suite>", text: "of the base guest (default trixie)" },
    { flags: "--arch <arch>", text: "of the base guest (default: this host's)" },
    {
      flags: "--copy-in <paths...>",
      text: "HOST:GUEST: copy a file or folder into the guest first; in a name, \\: stands for a colon",
    },
    {
      flags: "--copy-out <paths...>",
      text: "GUEST:HOST: copy a file or folder out of the guest when the program has ended, however it did",
    },
    { flags: "--memory <size>", text: "memory (default: as the guest that is cloned)" },
    { flags: "--cpus <count>", text: "virtual CPUs (default: as the guest that is cloned)" },
    {
      flags: "--timeout <seconds>",
      text: "end the program after so many seconds, the copies not counted (default: no limit)",
    },
    REACHABLE_OPTION,
    { flags: "--quiet", text: "say nothing of the machine" },
  ],
  passThrough: true,
  examples: [
    ["bootshare run -- cat /etc/debian_version", "in a Debian 13 guest"],
    [
      "bootshare run --copy-in src:/root/ --copy-out /root/src/out:out -- make -C /root/src",
      "files in, and out",
    ],
    ["bootshare run --from base-trixie-armhf -- uname -m", "in a clone of a guest of one's own"],
  ],
  schema: z.object({
    from: z.string().optional(),
    suite: z.string().default("trixie"),
    arch: z.string().optional(),
    copyIn: copySchema,
    copyOut: copySchema,
    memory: z.string().optional(),
    cpus: cpusSchema,
    timeout: timerSchema,
    bootTimeout: bootTimeoutSchema,
    quiet: z.boolean().default(false),
  }),
  action: async (words, options) => {
    // commander leaves the '--' that ends our own options where it passes options through.
    const command = words[0] === "--" ? words.slice(1) : words;
    if (command.length === 0) {
      throw new UserError("USAGE", "There is no program to run.", {
        exitCode: EXIT.usage,
        hint: "For a shell: bootshare run -- bash -l",
      });
    }
    const { suite, arch, cpus, timeout, bootTimeout, quiet } = options;
    const memoryBytes = memoryOf(options.memory);
    const told = (line: string): void => void process.stderr.write(`bootshare: ${printable(line, 1000)}\n`);
    const say = (line: string): void => {
      if (!quiet) told(line);
    };
    let ended: number | undefined;
    const reasonOf = (signal: EndingSignal): UserError => {
      ended ??= SIGNAL_EXIT[signal];
      return new UserError("INTERRUPTED", `It was interrupted (${signal}).`);
    };
    const act = async (stop: AbortController): Promise<number> => {
      checkWishes(options);
      await noteService();
      const source =
        options.from ?? (await ensureBaseGuest({ suite, arch }, say, stop.signal, async () => {}));
      const wishes = { source, purpose: "run", memoryBytes, cpus, bootTimeout, onPhase: say };
      return await withEphemeralGuest(wishes, stop.signal, async (guest) => {
        const terminal = isTerminal();
        const { copyIn, copyOut } = options;
        const onLine = (line: string, failed: boolean): void => (failed ? told : say)(line);
        const limit =
          timeout === undefined
            ? undefined
            : { ms: timeout * 1000, reason: timeUp(command[0] ?? "", timeout) };
        const how = { copyIn, copyOut, limit, onLine, stdin: "inherit", terminal } as const;
        return await runProgram(guest, command, how, stop.signal);
      });
    };
    try {
      return await endedBySignals(act, reasonOf);
    } catch (error) {
      if (error instanceof UserError && error.exitCode === EXIT.programTimeout) throw error;
      throw withExitCode(error, ended ?? EXIT.machine);
    }
  },
});

interface Wishes {
  readonly from?: string | undefined;
  readonly suite: string;
  readonly arch?: string | undefined;
  readonly copyIn: readonly Copy[];
  readonly copyOut: readonly Copy[];
}

/** Finds out what cannot be done before minutes go into a guest for it. @throws {UserError} */
export function checkWishes({ from, suite, arch, copyIn, copyOut }: Wishes): void {
  if (from === undefined) {
    findSuite(suite);
    guestArch(arch);
  }
  for (const [source, to] of copyIn) checkCopyIn(source, to);
  for (const [source, to] of copyOut) checkCopyOut(source, to);
}

function timeUp(program: string, seconds: number): UserError {
  return new UserError("PROGRAM_TIMEOUT", `${printable(program)} did not end within ${seconds} s.`, {
    exitCode: EXIT.programTimeout,
    hint: "--timeout gives it longer.",
  });
}

/** The program's own exit code and ours must not be taken for each other; a wrong command line is one for every command. */
function withExitCode(error: unknown, exitCode: number): unknown {
  if (!(error instanceof UserError) || error.exitCode === EXIT.usage) return error;
  const { code, message, hint, detail } = error;
  return new UserError(code, message, {
    exitCode,
    cause: error,
    ...(hint === undefined ? {} : { hint }),
    ...(detail === undefined ? {} : { detail }),
  });
}
