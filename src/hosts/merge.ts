/** What came of a command on several hosts, as one: pure. What hosts answer is not trusted. */

import { EXIT, UserError } from "../errors.ts";
import { SSH_FAILED } from "../guest/ssh.ts";
import { printable } from "../text.ts";

/** What a host answered. */
export interface Answer {
  readonly host: string;
  /** Of ssh(1), so of bootshare there, or 255 where ssh itself failed. -1 where it was ended. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * - `ok`: bootshare there did it.
 * - `failed`: bootshare there said that it could not.
 * - `unreachable`: ssh did not get there, or the connection broke.
 * - `no-bootshare`: there is no program of that name, or it cannot be run.
 * - `unreadable`: what it answered is not what this version understands.
 * - `not-tried`: an earlier host failed, and the command goes from host to host.
 */
export type Outcome = "ok" | "failed" | "unreachable" | "no-bootshare" | "unreadable" | "not-tried";

/** How one host came out, as `--json` has it. */
export interface HostResult {
  readonly host: string;
  readonly outcome: Outcome;
  /** Of bootshare there; null where it never ran, or its end is not known. */
  readonly exitCode: number | null;
  /** What it printed as JSON; null where it printed none. */
  readonly result: unknown;
  readonly error: { readonly code: string; readonly sentence: string } | null;
}

/** A shell's own exit codes where there is no such program. */
const NO_PROGRAM: readonly number[] = [126, 127];

/** How shells say that it is bootshare that they could not start: dash, bash, ksh, busybox and csh; zsh and fish. */
const NO_BOOTSHARE = [
  /(?:^|[\s:/'"])bootshare['"]?: (?:command )?(?:not found|no such file|permission denied|cannot execute)/i,
  /(?:not found|no such file or directory|permission denied|unknown command): \S*\bbootshare$/i,
];

/**
 * @param json whether it was asked for JSON
 * @param passThrough whether the exit code may be that of a program that it ran there, which has every code that a shell has
 */
export function resultOf(answer: Answer, json: boolean, passThrough = false): HostResult {
  const { host, exitCode, stderr } = answer;
  if (exitCode === SSH_FAILED || exitCode < 0) {
    const why = lastLine(stderr) ?? "the connection broke";
    return {
      host,
      outcome: "unreachable",
      exitCode: null,
      result: null,
      error: { code: "HOST_UNREACHABLE", sentence: why },
    };
  }
  const last = lastLine(stderr) ?? "";
  if (NO_PROGRAM.includes(exitCode) && (!passThrough || NO_BOOTSHARE.some((said) => said.test(last)))) {
    const sentence = lastLine(stderr) ?? "there is no bootshare";
    return {
      host,
      outcome: "no-bootshare",
      exitCode: null,
      result: null,
      error: { code: "HOST_WITHOUT_BOOTSHARE", sentence },
    };
  }
  const read = json ? parse(answer.stdout) : { value: null };
  if (exitCode !== EXIT.ok) {
    return {
      host,
      outcome: "failed",
      exitCode,
      result: read?.value ?? null,
      error: errorIn(stderr, exitCode),
    };
  }
  if (read === undefined) return unreadable(host);
  return { host, outcome: "ok", exitCode, result: read.value, error: null };
}

/** A host whose answer is not what was asked for. */
export function unreadable(host: string): HostResult {
  const sentence = "its answer is not what this version of bootshare understands";
  return {
    host,
    outcome: "unreadable",
    exitCode: EXIT.ok,
    result: null,
    error: { code: "HOST_UNREADABLE", sentence },
  };
}

/** A host whose answer did not come, since we were interrupted. */
export function cutShort(host: string): HostResult {
  const error = { code: "INTERRUPTED", sentence: "it was interrupted here" };
  return { host, outcome: "unreachable", exitCode: null, result: null, error };
}

/** A host that was left out because an earlier one failed. */
export function notTried(host: string): HostResult {
  return { host, outcome: "not-tried", exitCode: null, result: null, error: null };
}

/**
 * The rows of all hosts under one head, with the host before each.
 *
 * @param rowsOf the head and the rows of one host's result; throws for one that it does not understand
 */
export function mergeRows(
  results: readonly HostResult[],
  rowsOf: (result: unknown) => readonly (readonly string[])[],
): { readonly rows: readonly (readonly string[])[]; readonly results: readonly HostResult[] } {
  const rows: string[][] = [];
  const checked = results.map((result) => {
    if (result.outcome !== "ok") return result;
    try {
      const [head = [], ...body] = rowsOf(result.result);
      if (rows.length === 0) rows.push(["HOST", ...head]);
      const shown = printable(result.host);
      for (const row of body) rows.push([shown, ...row.map((cell) => printable(cell))]);
      return result;
    } catch {
      return unreadable(result.host);
    }
  });
  return { rows, results: checked };
}

/**
 * What went wrong where; undefined when nothing did. Its exit code is that of bootshare where all hosts that failed had the
 * same, else 1.
 */
export function failureOf(results: readonly HostResult[]): UserError | undefined {
  const bad = results.filter(({ outcome }) => outcome !== "ok");
  if (bad.length === 0) return undefined;
  const codes = new Set(bad.filter(({ outcome }) => outcome !== "not-tried").map(exitCodeOf));
  const [code = EXIT.failed] = codes;
  const lines = bad.map(({ host, outcome, error }) => {
    const why = error === null ? "" : `: ${error.sentence}`;
    return `${printable(host)} ${WORDS[outcome]}${why}`;
  });
  return new UserError("HOSTS_FAILED", `${bad.length} of ${results.length} hosts did not do it.`, {
    exitCode: codes.size === 1 ? code : EXIT.failed,
    detail: lines.join("\n"),
    hint: "Try 'ssh HOST bootshare --version' for each; on a host where it failed, what it says there.",
  });
}

const WORDS: Readonly<Record<Outcome, string>> = {
  ok: "did it",
  failed: "failed",
  unreachable: "could not be reached",
  "no-bootshare": "has no bootshare",
  unreadable: "cannot be read",
  "not-tried": "was not tried, as an earlier one failed",
};

function exitCodeOf({ outcome, exitCode }: HostResult): number {
  if (outcome === "no-bootshare") return EXIT.unusable;
  return outcome === "failed" && exitCode !== null ? exitCode : EXIT.failed;
}

function parse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

/** The error as src/cli.ts prints it: `Error: SENTENCE [CODE]`. */
function errorIn(stderr: string, exitCode: number): { readonly code: string; readonly sentence: string } {
  const match = /^Error: (.*) \[([A-Z][A-Z0-9_]*)\]$/m.exec(stderr);
  if (match !== null) return { code: match[2] ?? "", sentence: printable(match[1] ?? "", 1000) };
  return { code: "HOST_FAILED", sentence: lastLine(stderr) ?? `bootshare ended with exit code ${exitCode}` };
}

function lastLine(text: string): string | undefined {
  const line = text.trimEnd().split("\n").at(-1)?.trim();
  return line === undefined || line === "" ? undefined : printable(line, 300);
}
