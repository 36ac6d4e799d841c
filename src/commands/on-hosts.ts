/** A command on other hosts (`--host`): run there over ssh, side by side or one after the other, and shown as one. */
import { EXIT, UserError } from "../errors.ts";
import type { Addressed } from "../hosts/hosts.ts";
import { cutShort, failureOf, type HostResult, mergeRows, notTried, resultOf } from "../hosts/merge.ts";
import { runOnHost } from "../hosts/remote.ts";
import { printable } from "../text.ts";
import { type Command, JSON_OPTION } from "./command.ts";
import { printJson, printLines, table } from "./output.ts";
import { endedBySignals, SIGNAL_EXIT } from "./signals.ts";

/**
 * Runs `bootshare ARGS…` on each host.
 *
 * @param addressed the command line, which begins with the command's name
 * @throws {UserError} `HOSTS_FAILED` when it did not do on all of them; `INTERRUPTED`; `USAGE` for a command that needs this terminal
 */
export async function onHosts(command: Command, { hosts, args, own }: Addressed): Promise<void> {
  const how = command.hosts ?? "side-by-side";
  if (how === "never") {
    throw new UserError(
      "USAGE",
      `'bootshare ${command.name}' needs a terminal, and works on this host alone.`,
      {
        exitCode: EXIT.usage,
        hint: `ssh -t ${printable(hosts[0] ?? "HOST")} bootshare ${args.map((arg) => printable(arg)).join(" ")}`,
      },
    );
  }
  const json = args.slice(0, own).includes(JSON_OPTION.flags);
  const asTable = !json && command.rows !== undefined;
  const ask = async (host: string, signal: AbortSignal): Promise<HostResult> => {
    const onLine = (stream: "stdout" | "stderr", line: string): void => {
      process[stream].write(`${printable(host)}: ${line}\n`);
    };
    const wanted = asTable ? withJson(args) : args;
    const shown = asTable || json ? {} : { onLine };
    const answer = await runOnHost(host, wanted, { signal, ...shown });
    const result = resultOf(answer, asTable || json, command.passThrough === true);
    return signal.aborted && result.outcome === "unreachable" ? cutShort(host) : result;
  };
  const askAll = async ({ signal }: AbortController) => {
    const askOne = async (host: string): Promise<HostResult> => await ask(host, signal);
    const results = how === "in-turn" ? await inTurn(hosts, askOne) : await Promise.all(hosts.map(askOne));
    return { results, interruption: signal.aborted ? signal.reason : undefined };
  };
  const { results: answers, interruption } = await endedBySignals(
    askAll,
    (signal) =>
      new UserError("INTERRUPTED", `It was interrupted (${signal}).`, { exitCode: SIGNAL_EXIT[signal] }),
  );
  let results: readonly HostResult[] = answers;
  if (json) printJson(results);
  else if (command.rows !== undefined) {
    const merged = mergeRows(results, command.rows);
    ({ results } = merged);
    printLines(table(merged.rows));
  }
  const failure = failureOf(results);
  // It names hosts that did nothing wrong where it was we who ended the connections.
  if (failure !== undefined) throw interruption ?? failure;
}

/** From host to host, until one fails. */
async function inTurn(
  hosts: readonly string[],
  ask: (host: string) => Promise<HostResult>,
): Promise<HostResult[]> {
  const results: HostResult[] = [];
  for (const host of hosts) {
    const failed = results.some(({ outcome }) => outcome !== "ok");
    results.push(failed ? notTried(host) : await ask(host));
  }
  return results;
}

function withJson([name = "", ...rest]: readonly string[]): string[] {
  return [name, JSON_OPTION.flags, ...rest];
}
