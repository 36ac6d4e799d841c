/** The hosts that a command is for: read from the command line, before anything else is. Pure. */
import { EXIT, UserError } from "../errors.ts";
import { printable } from "../text.ts";

export interface Addressed {
  /** In the order in which they were given, each once. Empty: this host. */
  readonly hosts: readonly string[];
  /** The command line without them. */
  readonly args: readonly string[];
}

/**
 * Takes `--host HOST` and `--host=HOST` out of a command line. They may stand before the command and after it, but not after
 * `--`, nor where a command hands over what follows its first argument: that is another program's.
 *
 * @param args what the program was called with
 * @param passesThrough whether the command of that name does so
 * @throws {UserError} `USAGE`
 */
export function takeHosts(args: readonly string[], passesThrough: (command: string) => boolean): Addressed {
  const hosts: string[] = [];
  const left: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? "";
    const command = left.find((one) => !one.startsWith("-"));
    const theirs = command !== undefined && passesThrough(command) && left.at(-1) !== command;
    if (arg === "--" || theirs) {
      left.push(...args.slice(i));
      break;
    }
    const host = arg === "--host" ? args[++i] : /^--host=(.*)$/s.exec(arg)?.[1];
    if (host === undefined && arg !== "--host") {
      left.push(arg);
      continue;
    }
    hosts.push(checkHost(host));
  }
  return { hosts: [...new Set(hosts)], args: left };
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
