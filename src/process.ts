/**
 * The one place that starts other programs. Always an argument vector, never a shell; always `LC_ALL=C`, so that
 * messages can be compared; output is bounded.
 */
import { type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { Readable, Transform, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { execa } from "execa";
import { EXIT, errnoOf, UserError } from "./errors.ts";

export interface RunOptions {
  /** Written to the program's standard input, which is then closed. Empty by default. */
  input?: string;
  /** Milliseconds after which the program is ended (SIGTERM, then SIGKILL 5 s later). */
  timeoutMs?: number;
  /** Added to the environment. */
  env?: Readonly<Record<string, string>>;
  cwd?: string;
  /** Ends the program when aborted. */
  signal?: AbortSignal;
  /** How a time-out or an abort ends it, instead of SIGTERM. */
  killSignal?: NodeJS.Signals;
  /** Keeps the line break that its output ends with. */
  exact?: boolean;
  /** Called with each line that it prints, both streams, as it comes. Not trusted. */
  onLine?: (line: string) => void;
  /** The same with the stream that it printed it to; lines of different streams may change places. */
  onStreamLine?: (stream: "stdout" | "stderr", line: string) => void;
}

/** What came of a program that ran to its end, whatever its exit code. */
export interface RunResult {
  readonly command: string;
  /** Exit code; -1 when it was ended by a signal or never ran. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
  /** The program is not there or may not be run. */
  readonly missing: boolean;
}

/** PATH, with the folders of administrators' programs (mke2fs, chroot), which ordinary users do not have in it. */
export function searchPath(path: string = process.env["PATH"] ?? ""): string {
  const folders = path.split(":").filter((folder) => folder !== "");
  const missing = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"].filter(
    (folder) => !folders.includes(folder),
  );
  return [...folders, ...missing].join(":");
}

/** Largest output kept of one stream, in bytes of text. */
const MAX_OUTPUT = 64 * 1024 * 1024;

/**
 * Runs a program to its end and returns what came of it. Never throws for an exit code, a signal, a missing program or
 * a time-out: look at the result, or use {@link runOk}.
 */
export async function run(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<RunResult> {
  const child = execa(file, [...args], {
    reject: false,
    input: options.input ?? "",
    env: { LC_ALL: "C", PATH: searchPath(), ...options.env },
    maxBuffer: MAX_OUTPUT,
    forceKillAfterDelay: 5000,
    stripFinalNewline: options.exact !== true,
    ...(options.timeoutMs === undefined ? {} : { timeout: options.timeoutMs }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
    ...(options.killSignal === undefined ? {} : { killSignal: options.killSignal }),
    all: true,
  });
  if (options.onLine !== undefined) {
    for await (const line of child.iterable({ from: "all" })) options.onLine(line);
  }
  const { onStreamLine } = options;
  if (onStreamLine !== undefined) {
    const follow = async (stream: "stdout" | "stderr"): Promise<void> => {
      for await (const line of child.iterable({ from: stream })) onStreamLine(stream, line);
    };
    await Promise.all([follow("stdout"), follow("stderr")]);
  }
  const result = await child;
  return {
    command: result.command,
    exitCode: result.exitCode ?? -1,
    stdout: result.stdout,
    stderr: result.stderr,
    timedOut: result.timedOut,
    missing: result.exitCode === undefined && (result.code === "ENOENT" || result.code === "EACCES"),
  };
}

/**
 * Runs a program that is expected to succeed and returns its standard output.
 *
 * @throws {UserError} `PROGRAM_MISSING`, `PROGRAM_TIMEOUT` or `PROGRAM_FAILED`, with the end of what it printed
 */
export async function runOk(
  file: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const result = await run(file, args, options);
  if (result.missing) throw missingProgram(file);
  if (result.timedOut) {
    throw new UserError(
      "PROGRAM_TIMEOUT",
      `${file} did not finish within ${(options.timeoutMs ?? 0) / 1000} s.`,
      {
        exitCode: EXIT.timeout,
        detail: tail(result.stderr || result.stdout),
      },
    );
  }
  if (result.exitCode !== 0) {
    throw new UserError("PROGRAM_FAILED", `${file} failed with exit code ${result.exitCode}.`, {
      detail: tail(result.stderr || result.stdout),
    });
  }
  return result.stdout;
}

/** The error for a program that this machine does not have. */
export function missingProgram(file: string): UserError {
  return new UserError("PROGRAM_MISSING", `The program ${file} is not installed.`, {
    exitCode: EXIT.unusable,
    hint: "docs/requirements.md names the Debian package of each program that bootshare runs.",
  });
}

function tail(text: string): string {
  return text.trimEnd().split("\n").slice(-12).join("\n");
}

/**
 * Runs a program on this terminal (console, ssh) and returns its exit code, 128 + N when signal N ended it.
 * Interrupts from the terminal reach the program, not bootshare.
 */
export async function runInTerminal(file: string, args: readonly string[]): Promise<number> {
  const ignore = (): void => {};
  process.on("SIGINT", ignore);
  try {
    return await new Promise<number>((resolve, reject) => {
      const child = spawn(file, [...args], { stdio: "inherit" });
      child.on("error", () => reject(missingProgram(file)));
      child.on("close", (code, signal) =>
        resolve(code ?? 128 + (signal === null ? 0 : signalNumber(signal))),
      );
    });
  } finally {
    process.off("SIGINT", ignore);
  }
}

/** Where the three streams of {@link runStreaming} go: our own (`inherit`), nowhere, or a stream. */
export interface Streams {
  readonly stdin?: "inherit" | "ignore" | Readable;
  readonly stdout?: "inherit" | "ignore" | Writable;
  readonly stderr?: "inherit" | "ignore" | Writable;
}

/**
 * Runs a program with its streams connected, as long as it takes, and returns its exit code, 128 + N when signal N ended it.
 * Streams that are given are not closed.
 *
 * @param signal ends it (SIGTERM) when aborted; its reason is thrown then
 * @throws {UserError} `PROGRAM_MISSING`
 */
export async function runStreaming(
  file: string,
  args: readonly string[],
  { stdin = "ignore", stdout = "inherit", stderr = "inherit" }: Streams,
  signal?: AbortSignal,
): Promise<number> {
  signal?.throwIfAborted();
  const way = (stream: "inherit" | "ignore" | object): "inherit" | "ignore" | "pipe" =>
    typeof stream === "string" ? stream : "pipe";
  const child = spawn(file, [...args], {
    stdio: [way(stdin), way(stdout), way(stderr)],
    env: { ...process.env, LC_ALL: "C", PATH: searchPath() },
  });
  const stop = (): void => {
    child.kill("SIGTERM");
  };
  signal?.addEventListener("abort", stop, { once: true });
  try {
    // It may end before it has read everything: then writing fails, and its exit code tells why.
    if (typeof stdin !== "string" && child.stdin !== null) pipeline(stdin, child.stdin).catch(() => {});
    if (typeof stdout !== "string") child.stdout?.pipe(stdout, { end: false });
    if (typeof stderr !== "string") child.stderr?.pipe(stderr, { end: false });
    const code = await new Promise<number>((resolve, reject) => {
      child.on("error", () => reject(missingProgram(file)));
      child.on("close", (exit, by) => resolve(exit ?? 128 + (by === null ? 0 : signalNumber(by))));
    });
    signal?.throwIfAborted();
    return code;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

/** One side of {@link transfer}. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** Runs it as the user `nobody`, where we are root. It begins in `cwd` whoever may enter that. */
  readonly nobody?: boolean;
}

export interface Transferred {
  /** Exit codes; -1 when a signal ended it. */
  readonly from: number;
  readonly to: number;
  /** The first 4 KiB of what both printed to standard error; not trusted. */
  readonly stderr: string;
  /** More than `maxBytes` came, and both were ended. */
  readonly tooMuch: boolean;
}

/**
 * Runs two programs, the output of the one being the input of the other.
 *
 * @param maxBytes bytes that are let through
 * @param signal ends both when aborted; its reason is thrown then
 * @throws {UserError} `PROGRAM_MISSING`
 */
export async function transfer(
  from: Command,
  to: Command,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<Transferred> {
  signal?.throwIfAborted();
  const env = { LC_ALL: "C", PATH: searchPath() };
  const start = ({ file, args, cwd, nobody }: Command): ReturnType<typeof spawn> =>
    spawn(file, [...args], {
      env: file === "ssh" ? { ...process.env, ...env } : env,
      stdio: "pipe",
      ...(cwd === undefined ? {} : { cwd }),
      ...(nobody === true && process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}),
    });
  const [source, sink] = [start(from), start(to)];
  const both = [source, sink];
  const stop = (): void => {
    for (const child of both) child.kill("SIGTERM");
  };
  signal?.addEventListener("abort", stop, { once: true });
  let stderr = "";
  for (const child of both) {
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(0, 4096);
    });
  }
  source.stdin?.end();
  sink.stdout?.resume();
  let passed = 0;
  const bounded = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      passed += chunk.length;
      if (passed > maxBytes) stop();
      done(null, passed > maxBytes ? undefined : chunk);
    },
  });
  try {
    const ended = both.map(
      async (child) =>
        await new Promise<number>((resolve, reject) => {
          child.on("error", () => reject(missingProgram(child === source ? from.file : to.file)));
          child.on("close", (code) => resolve(code ?? -1));
        }),
    );
    // Whichever ends early, the exit codes say so.
    if (source.stdout !== null && sink.stdin !== null)
      pipeline(source.stdout, bounded, sink.stdin).catch(() => {});
    const [one = -1, other = -1] = await Promise.all(ended);
    signal?.throwIfAborted();
    return { from: one, to: other, stderr, tooMuch: passed > maxBytes };
  } finally {
    stop();
    signal?.removeEventListener("abort", stop);
  }
}

function signalNumber(signal: NodeJS.Signals): number {
  const numbers: Partial<Record<NodeJS.Signals, number>> = {
    SIGHUP: 1,
    SIGINT: 2,
    SIGKILL: 9,
    SIGPIPE: 13,
    SIGTERM: 15,
  };
  return numbers[signal] ?? 0;
}

/** Starts a program that outlives bootshare, in a session of its own, its output going to an open file. */
export function startDetached(file: string, args: readonly string[], logFd: number): void {
  const child = spawn(file, [...args], { detached: true, stdio: ["ignore", logFd, logFd], cwd: "/" });
  child.on("error", () => {});
  child.unref();
}

/**
 * Takes an exclusive lock on an open file, through flock(1) of util-linux. The lock belongs to the open file, so it lives
 * until `fd` is closed or this process ends, however it ends.
 *
 * @param waitSeconds how long to wait for another holder; not at all by default
 * @returns false when another process holds it
 */
export function tryLock(fd: number, waitSeconds = 0): boolean {
  return flock(fd, waitSeconds === 0 ? ["--nonblock"] : ["--wait", String(waitSeconds)]);
}

/** As {@link tryLock}, a lock that others may share: not taken while somebody has an exclusive one, and the other way round. */
export function tryShare(fd: number): boolean {
  return flock(fd, ["--shared", "--nonblock"]);
}

function flock(fd: number, options: readonly string[]): boolean {
  const result = spawnSync("flock", [...options, "3"], { stdio: ["ignore", "ignore", "ignore", fd] });
  if (result.error !== undefined) throw missingProgram("flock");
  return result.status === 0;
}

/**
 * Runs a program to its end, while nothing else happens in this process: for the hook, and for what must not be left half
 * done. Never throws, as {@link run}.
 */
export function runSync(file: string, args: readonly string[], timeoutMs: number): RunResult {
  const result = spawnSync(file, [...args], {
    env: { LC_ALL: "C", PATH: searchPath() },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    maxBuffer: MAX_OUTPUT,
    encoding: "utf8",
  });
  return resultOf([file, ...args], result);
}

function resultOf(command: readonly string[], ran: SpawnSyncReturns<string>): RunResult {
  const code = ran.error === undefined ? undefined : errnoOf(ran.error);
  return {
    command: command.join(" "),
    exitCode: ran.status ?? -1,
    stdout: ran.stdout ?? "",
    stderr: ran.stderr ?? "",
    timedOut: code === "ETIMEDOUT",
    missing: code === "ENOENT" || code === "EACCES",
  };
}

/** What came of a {@link filter}. */
export interface FilterResult {
  /** -1 when it was ended by a signal or never ran. */
  readonly exitCode: number;
  /** The signal that ended it, other than ours. */
  readonly signal: NodeJS.Signals | undefined;
  /** Its first 4 KiB. */
  readonly stderr: string;
  /** The program is not there or may not be run. */
  readonly missing: boolean;
}

/**
 * Sends bytes through a program, piece by piece: neither what goes in nor what comes out is ever kept as a whole. Never
 * throws for what becomes of the program.
 *
 * @param input asked for as the program takes it; a program that does not take all of it is no failure
 * @param onOutput called with what comes out; false ends the program
 */
export async function filter(
  file: string,
  args: readonly string[],
  input: Iterable<Buffer>,
  onOutput: (bytes: Buffer) => boolean,
): Promise<FilterResult> {
  const child = spawn(file, [...args], { env: { LC_ALL: "C", PATH: searchPath() } });
  let stderr = "";
  let missing = false;
  child.stderr.setEncoding("latin1").on("data", (text: string) => {
    stderr = (stderr + text).slice(0, 4096);
  });
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.on("error", () => {
      missing = true;
      resolve({ code: null, signal: null });
    });
    child.on("close", (code, signal) => resolve({ code, signal }));
  });
  // It may end before it has read everything: then writing fails, and reading tells why.
  pipeline(Readable.from(input, { objectMode: true, highWaterMark: 1 }), child.stdin).catch(() => {});
  let stopped = false;
  child.stdout.on("data", (bytes: Buffer) => {
    if (stopped || onOutput(bytes)) return;
    stopped = true;
    child.kill("SIGKILL");
  });
  const { code, signal } = await ended;
  return { exitCode: code ?? -1, signal: stopped ? undefined : (signal ?? undefined), stderr, missing };
}

/** The bounds of {@link runConfined}. */
export interface Confinement {
  /** Processor time of each process, in seconds (RLIMIT_CPU). */
  readonly cpuSeconds: number;
  /** Address space of each process, in bytes (RLIMIT_AS). */
  readonly memoryBytes: number;
  /** Milliseconds after which it is ended. */
  readonly timeoutMs: number;
  /** Bytes of output that are taken; it is ended when it prints more. */
  readonly maxOutput: number;
}

/** The user and group `nobody` of Debian (base-passwd): the owner of nothing. */
const NOBODY = 65534;

/**
 * Runs a program that meets bytes of a guest, and waits for it: where we are root as the user nobody, in any case under
 * limits (prlimit(1) of util-linux), in `/`, with no environment but PATH, unable to make a file grow or to come to other
 * rights by a set-uid program (setpriv(1), likewise).
 *
 * @param input its standard input
 * @param fd becomes its descriptor 3
 */
export function runConfined(
  file: string,
  args: readonly string[],
  input: string,
  fd: number,
  bounds: Confinement,
): RunResult & { readonly signal: NodeJS.Signals | undefined } {
  const { cpuSeconds, memoryBytes, timeoutMs, maxOutput } = bounds;
  const limits = [
    `--as=${memoryBytes}`,
    `--cpu=${cpuSeconds}:${cpuSeconds + 1}`,
    "--core=0",
    "--fsize=0",
    "--nofile=64",
  ];
  const command = [...limits, "--", "setpriv", "--no-new-privs", "--", file, ...args];
  const result = spawnSync("prlimit", command, {
    ...(process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {}),
    cwd: "/",
    env: { LC_ALL: "C", PATH: searchPath() },
    input,
    stdio: ["pipe", "pipe", "pipe", fd],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
    maxBuffer: maxOutput,
    encoding: "utf8",
  });
  return { ...resultOf(["prlimit", ...command], result), signal: result.signal ?? undefined };
}
