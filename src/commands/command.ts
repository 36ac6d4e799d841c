/** What a command is: an object that holds its text and its action; src/cli.ts makes a program of them. */
import type { z } from "zod";
import { EXIT, UserError } from "../errors.ts";

export interface OptionText {
  /** As commander reads it: `--json`, `-f, --follow`, `--suite <suite>`. */
  readonly flags: string;
  readonly text: string;
}

export interface Command {
  readonly name: string;
  readonly summary: string;
  /** More than the summary says, for `bootshare NAME --help`. */
  readonly about?: string;
  /** Arguments as commander reads them, with a text each: `<name>`, `[name]`, `<command...>`. */
  readonly arguments?: readonly (readonly [string, string])[];
  readonly options?: readonly OptionText[];
  /** Command lines with what they do. */
  readonly examples?: readonly (readonly [string, string])[];
  readonly subcommands?: readonly Command[];
  /** Everything after the first argument belongs to the command that is given (`exec`). */
  readonly passThrough?: boolean;
  /**
   * How `--host` runs it on several hosts: at the same time (that is the default), from host to host until one fails, or not at
   * all, as it needs this terminal.
   */
  readonly hosts?: "side-by-side" | "in-turn" | "never";
  /**
   * Makes head and rows of what it prints as JSON, for one table of several hosts; without it their lines are shown with the
   * host before each. @throws for what it does not understand: what comes from a host is not trusted
   */
  readonly rows?: (result: unknown) => readonly (readonly string[])[];
  /** @returns the exit code; 0 by default */
  readonly run?: (args: readonly string[], options: Record<string, unknown>) => Promise<number | undefined>;
}

/** A command with its options checked by a schema before its action sees them. */
export function defineCommand<Schema extends z.ZodType>(
  command: Omit<Command, "run"> & {
    readonly schema: Schema;
    readonly action: (args: readonly string[], options: z.infer<Schema>) => Promise<number | undefined>;
  },
): Command {
  const { schema, action, ...rest } = command;
  return {
    ...rest,
    run: async (args, options) => {
      const parsed = schema.safeParse(options);
      if (!parsed.success) throw usageError(parsed.error);
      return await action(args, parsed.data);
    },
  };
}

function usageError(error: z.ZodError): UserError {
  const [issue] = error.issues;
  const option = `--${String(issue?.path[0] ?? "").replaceAll(/[A-Z]/g, (c) => `-${c.toLowerCase()}`)}`;
  return new UserError("USAGE", `${option}: ${issue?.message ?? "not understood"}.`, {
    exitCode: EXIT.usage,
  });
}

/** The option that every printing command has. */
export const JSON_OPTION: OptionText = { flags: "--json", text: "print JSON, as docs/json.md describes it" };
