/** The hosts that a command is for: read from the command line, before anything else is. Pure. */
import { EXIT, UserError } from "../errors.ts";
import { printable } from "../text.ts";

export interface Addressed {
  /** In the order in which they were given, each once. Empty: this host. */
  readonly hosts: readonly string[];
  /** The command line without them. */
  readonly args: readonly string[];
  /** How many of `args` are bootshare's to read. What follows is another program's, or stands behind `--`. */
  readonly own: number;
}

/** Options that take a value, each with whether it takes as many as follow. */
export type ValueOptions = ReadonlyMap<string, { readonly many: boolean }>;

/**
 * Takes `--host HOST` and `--host=HOST` out of a command line. They may stand before the command and after it, but not after
 * `--`, nor where a command hands over what follows its first argument: that is another program's. Which argument is the first is
 * read as commander reads it.
 *
 * @param args what the program was called with
 * @param passesThrough the options of the command of that name, where it does so
 * @throws {UserError} `USAGE`
 */
export function takeHosts(
  args: readonly string[],
  passesThrough: (command: string) => ValueOptions | undefined,
): Addressed {
  const hosts: string[] = [];
  const left: string[] = [];
  const done = (i: number): Addressed => ({
    hosts: [...new Set(hosts)],
    args: [...left, ...args.slice(i)],
    own: left.length,
  });
  let command: string | undefined;
  let theirs: ValueOptions | undefined;
  /** The option that takes what comes next, if that is a value. */
  let open: "nothing" | "one" | "many" = "nothing";
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    if (open === "one") {
      left.push(arg);
      open = theirs?.get(left.at(-2) ?? "")?.many === true ? "many" : "nothing";
      continue;
    }
    if (arg === "--") return done(i);
    const host = arg === "--host" ? args[++i] : /^--host=(.*)$/s.exec(arg)?.[1];
    if (host !== undefined || arg === "--host") {
      hosts.push(checkHost(host));
      continue;
    }
    left.push(arg);
    if (arg.startsWith("-") && arg !== "-") {
      open = theirs?.has(arg) === true ? "one" : "nothing";
    } else if (command === undefined) {
      command = arg;
      theirs = passesThrough(arg);
    } else if (theirs !== undefined && open !== "many") {
      return done(i + 1);
    }
  }
  return done(args.length);
}

/** ssh(1) takes no other destination, and it must be none of its options. */
function checkHost(host: string | undefined): string {
  if (host !== undefined && /^[^\s\p{C}-][^\s\p{C}]*$/u.test(host)) return host;
  throw new UserError(
    "USAGE",
    `--host: ${printable(host ?? "")} is no host. Give it as ssh takes it: user@host.`,
    {
      exitCode: EXIT.usage,
    },
  );
}
