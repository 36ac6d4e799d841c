/** Running bootshare on another host, over ssh, with the configuration and the agent of whoever calls. */
import { quoteForShell } from "../guest/ssh.ts";
import { missingProgram, run } from "../process.ts";
import { stripForTerminal } from "../text.ts";
import type { Answer } from "./merge.ts";

export interface RemoteOptions {
  readonly signal: AbortSignal;
  /** Gets each line as it comes. Safe for the terminal. */
  readonly onLine?: (stream: "stdout" | "stderr", line: string) => void;
}

/** Longest line that is shown. */
const LINE_CAP = 2000;

/**
 * Runs `bootshare ARGS…` on a host and returns what came of it, whatever that is. What it printed is not trusted. When it is
 * aborted, or the connection breaks, what runs there ends as soon as it prints something.
 *
 * @param host as ssh(1) takes it
 */
export async function runOnHost(
  host: string,
  args: readonly string[],
  { signal, onLine }: RemoteOptions,
): Promise<Answer> {
  const command = ["bootshare", ...args].map(quoteForShell).join(" ");
  const options = ["BatchMode=yes", "ConnectTimeout=10", "ServerAliveInterval=15"].flatMap((o) => ["-o", o]);
  const { exitCode, stdout, stderr, missing } = await run("ssh", ["-T", ...options, "--", host, command], {
    signal,
    ...(onLine === undefined
      ? {}
      : { onStreamLine: (stream, line) => onLine(stream, stripForTerminal(line, LINE_CAP)) }),
  });
  if (missing) throw missingProgram("ssh");
  return { host, exitCode, stdout, stderr };
}
