/** One build: a clone of a builder guest is booted, builds one source package, and is deleted. */
import { createReadStream, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { Writable } from "node:stream";
import { onDisk } from "../boot/disk.ts";
import { EXIT, UserError } from "../errors.ts";
import { withEphemeralGuest } from "../guest/ephemeral.ts";
import { type ReachableGuest, runInGuest } from "../guest/in-guest.ts";
import { shippedFile } from "../paths.ts";
import { runOk } from "../process.ts";
import type { Builder } from "./base.ts";
import { requireUndrained } from "./builder-drain.ts";
import { fileVersion, MAX_CONTROL_BYTES } from "./control.ts";
import { BuildLog, type LogWatch } from "./log.ts";
import { makeBuildFolder } from "./output.ts";
import { publish, ResultWriter, readChanges, requireRoom } from "./results.ts";
import { type Binaries, sbuildArguments } from "./sbuild.ts";
import type { Source } from "./source.ts";
import { isMachineFailure, type Stage } from "./stages.ts";

export interface BuildOptions {
  /** An absolute path of a folder that is there: packages and log go into it. */
  readonly output: string;
  readonly binaries: Binaries;
  /** Bytes; the builder's own where undefined. */
  readonly memoryBytes: number | undefined;
  readonly cpus: number;
  /** How long it may take from the moment when its guest can be used; undefined for no limit. */
  readonly timeoutMs: number | undefined;
  /** Seconds; as for any boot where undefined. */
  readonly bootTimeout: number | undefined;
  /** See {@link SbuildOptions.proxy}. */
  readonly proxy: string | undefined;
  /** A shell on our terminal, in the guest of a build that failed, before it is deleted. */
  readonly shellOnFailure: boolean;
}

/** What came of a build that came to its end. */
export interface BuildOutcome {
  readonly built: boolean;
  /** Where it failed, as sbuild calls it where sbuild said it; undefined for one that did not. */
  readonly failedAt: string | undefined;
  /** Absolute paths; empty for one that failed. */
  readonly files: readonly string[];
  /** The last lines of the log, printable. */
  readonly lastLines: string;
}

/** Older package lists are read anew before a build, in milliseconds. */
const FRESH_MS = 24 * 3_600_000;

/** The path of the log: NAME_VERSION_ARCH.build, as sbuild calls it. */
export function logPath(source: Source, builder: Builder, output: string): string {
  return join(output, `${source.name}_${fileVersion(source.version)}_${builder.arch}.build`);
}

/**
 * Builds a source package in a guest of its own. Whatever comes of it the guest is deleted, and the log is kept.
 *
 * @throws {UserError} `BUILDER_DRAINED`, `BUILD_TIMEOUT` (its own exit code tells a build that hangs from one that fails), `GUEST_LOST`,
 *   `BUILDER_BROKEN`, `BUILDER_FAILED`, `LOG_TOO_LONG`, `CHANGES_INVALID`, `RESULT_DIFFERS`, `OUTPUT_FULL`, `OUTPUT_UNWRITABLE`, those of
 *   a disk that takes no more, and those of an ephemeral guest
 * @throws the signal's reason when aborted
 */
export async function buildSource(
  source: Source,
  builder: Builder,
  options: BuildOptions,
  watch: LogWatch,
  signal: AbortSignal,
): Promise<BuildOutcome> {
  return await buildIn(
    async (stop, act) => await withEphemeralGuest(ephemeral(builder, options), stop, act),
    {
      source,
      builder,
      options,
      watch,
      signal,
    },
  );
}

function ephemeral({ guest }: Builder, { memoryBytes, cpus, bootTimeout }: BuildOptions) {
  return { source: guest.uuid, purpose: "build", role: "build", memoryBytes, cpus, bootTimeout };
}

/** Gives a guest to a function, as {@link withEphemeralGuest} does. */
type WithGuest = (
  signal: AbortSignal,
  act: (guest: ReachableGuest) => Promise<BuildOutcome>,
) => Promise<BuildOutcome>;

/** {@link buildSource}, in whatever guest is given. */
export async function buildIn(
  withGuest: WithGuest,
  build: Omit<Session, "log" | "work">,
): Promise<BuildOutcome> {
  const { source, builder, options, watch, signal } = build;
  const work = makeBuildFolder(options.output);
  const logFile = join(work, "log");
  const stop = new AbortController();
  const log = openLog(logFile, watch, (error) => stop.abort(error));
  const session: Session = { ...build, log, work, signal: AbortSignal.any([signal, stop.signal]) };
  try {
    watch.stage("boot");
    requireUndrained(builder.guest);
    return await withGuest(session.signal, async (guest) => {
      requireUndrained(builder.guest);
      return await inGuest(guest, session, stop);
    });
  } finally {
    try {
      log.close();
      onDisk(options.output, () => renameSync(logFile, logPath(source, builder, options.output)));
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
}

/** The log of a build, in its own folder, which goes where there can be none. */
function openLog(file: string, watch: LogWatch, stop: (error: unknown) => void): BuildLog {
  try {
    return new BuildLog(file, watch, stop);
  } catch (error) {
    rmSync(dirname(file), { recursive: true, force: true });
    throw error;
  }
}

interface Session {
  readonly source: Source;
  readonly builder: Builder;
  readonly options: BuildOptions;
  readonly watch: LogWatch;
  readonly log: BuildLog;
  readonly work: string;
  readonly signal: AbortSignal;
}

async function inGuest(
  guest: ReachableGuest,
  session: Session,
  stop: AbortController,
): Promise<BuildOutcome> {
  const { options, source, log } = session;
  let stage: Stage = "copy in";
  const at = (next: Stage): void => {
    stage = next;
    session.watch.stage(next);
  };
  const { timeoutMs } = options;
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          const where = stage === "chroot" ? log.stage : stage;
          stop.abort(timedOut(source, timeoutMs, where));
        }, timeoutMs);
  try {
    at("copy in");
    await copyIn(guest, session);
    if (source.tree !== undefined) {
      at("source");
      if ((await runScript(guest, session, "pack", [])) !== 0) return failed(session, "source");
    }
    at("chroot");
    const code = await runScript(guest, session, "build", sbuildArguments(sbuildOptions(session)));
    if (code !== 0) {
      clearTimeout(timer);
      if (log.stage === "chroot" && log.summary.status === undefined) throw broken(session);
      if (options.shellOnFailure) await shell(guest);
      if (isMachineFailure(log.summary)) throw machineFailed(session);
      return failed(session, log.summary.failStage ?? log.stage);
    }
    at("copy out");
    const files = await copyOut(guest, session);
    return { built: true, failedAt: undefined, files, lastLines: log.lastLines };
  } catch (error) {
    if (error instanceof UserError && error.code === "GUEST_LOST") throw lost(session, stage, error);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function sbuildOptions({ builder, options }: Session) {
  const { binaries, cpus, proxy } = options;
  const { suite, arch, ageMs } = builder;
  return { suite, arch, binaries, cpus, proxy, update: ageMs > FRESH_MS };
}

function failed({ log }: Session, failedAt: string): BuildOutcome {
  return { built: false, failedAt, files: [], lastLines: log.lastLines };
}

/** The text of a script that is shipped with bootshare, as the command that runs it. */
function script(name: string, args: readonly string[]): string[] {
  return ["sh", "-c", readFileSync(shippedFile(join("builder", name)), "utf8"), name, ...args];
}

/** Runs one, its output going to the log. */
async function runScript(
  guest: ReachableGuest,
  { log, signal }: Session,
  name: string,
  args: readonly string[],
): Promise<number> {
  return await runInGuest(guest, script(name, args), { stdout: log, stderr: log, signal });
}

/** As much of what a program in the guest prints as is needed to say why it failed. */
const MAX_SAID = 4096;

async function copyIn(guest: ReachableGuest, { source, work, signal }: Session): Promise<void> {
  const archive = join(work, "source.tar");
  await runOk("tar", tarArguments(source, archive), { signal });
  const said = new Kept(MAX_SAID);
  const stdin = createReadStream(archive);
  const code = await runInGuest(guest, script("prepare", []), { stdin, stdout: said, stderr: said, signal });
  rmSync(archive);
  if (code === 0) return;
  throw new UserError("BUILDER_BROKEN", `The source of ${source.name} could not be copied into its guest.`, {
    detail: said.text,
    hint: RENEW,
  });
}

const RENEW = "Make the builder guest anew: --renew-builder";

/** Arguments of tar(1): files by their names alone, a tree as `tree`, all owned by nobody in particular. */
export function tarArguments({ files, tree }: Pick<Source, "files" | "tree">, archive: string): string[] {
  return [
    "--create",
    `--file=${archive}`,
    "--owner=0",
    "--group=0",
    "--numeric-owner",
    // Not targets of symbolic links.
    "--transform=s,^\\.\\(/\\|$\\),tree\\1,S",
    ...(tree === undefined ? [] : [`--directory=${tree}`, "."]),
    ...files.flatMap((file) => [`--directory=${dirname(file)}`, `--add-file=${basename(file)}`]),
  ];
}

async function copyOut(guest: ReachableGuest, session: Session): Promise<string[]> {
  const { source, options, work, signal } = session;
  const said = new Kept(MAX_CONTROL_BYTES);
  const code = await runInGuest(guest, script("changes", []), { stdout: said, stderr: "ignore", signal });
  const [name = "", ...lines] = code === 0 ? said.text.split("\n") : [];
  const changes = readChanges(name, lines.join("\n"), source);
  await requireRoom(options.output, changes.files);
  const writer = onDisk(work, () => new ResultWriter(work, changes.files));
  const names = changes.files.map((file) => file.name);
  const command = ["env", "--chdir=/home/builder/result", "cat", "--", ...names];
  const tooMuch = new AbortController();
  let refused: unknown;
  const stdout = new Writable({
    write: (bytes: Buffer, _encoding, done) => {
      try {
        if (refused === undefined && !onDisk(work, () => writer.push(bytes))) tooMuch.abort();
      } catch (error) {
        // Thrown here, it would end the process, and every other build of it.
        refused = error;
        tooMuch.abort();
      }
      done();
    },
  });
  try {
    const both = AbortSignal.any([signal, tooMuch.signal]);
    await runInGuest(guest, command, { stdout, stderr: "ignore", signal: both });
  } catch (error) {
    if (!tooMuch.signal.aborted) throw error;
  } finally {
    signal.throwIfAborted();
  }
  if (refused !== undefined) throw refused;
  writer.end();
  return onDisk(options.output, () => publish(work, options.output, changes));
}

async function shell(guest: ReachableGuest): Promise<void> {
  const ignore = (): void => {};
  // Interrupts from the terminal are the shell's.
  process.on("SIGINT", ignore);
  try {
    await runInGuest(guest, script("shell", []), { stdin: "inherit", terminal: true });
  } finally {
    process.off("SIGINT", ignore);
  }
}

function timedOut({ name }: Source, ms: number, stage: Stage): UserError {
  return new UserError("BUILD_TIMEOUT", `The build of ${name} was ended after ${ms / 1000} s (${stage}).`, {
    exitCode: EXIT.timeout,
    hint: "Its log says how far it came; --timeout gives it longer.",
  });
}

function lost({ source, log }: Session, stage: Stage, cause: UserError): UserError {
  const where = stage === "chroot" ? log.stage : stage;
  return new UserError("GUEST_LOST", `The guest that built ${source.name} was lost (${where}).`, {
    exitCode: EXIT.builderFailed,
    detail: log.lastLines,
    hint: "It was stopped or crashed, and is deleted: this says nothing about the package. Build it again.",
    cause,
  });
}

function broken({ source, log }: Session): UserError {
  return new UserError("BUILDER_BROKEN", `The build of ${source.name} could not begin in its guest.`, {
    detail: log.lastLines,
    hint: RENEW,
  });
}

function machineFailed({ source, log }: Session): UserError {
  const { failStage, trouble } = log.summary;
  return new UserError(
    "BUILDER_FAILED",
    `The guest that built ${source.name} failed (${failStage ?? log.stage}), not the package.`,
    {
      exitCode: EXIT.builderFailed,
      detail: trouble?.slice(0, 300) ?? log.lastLines,
      hint: "See to its mirror, or to its disk: --renew-builder makes the builder with package lists of today. Then build it again.",
    },
  );
}

/** Keeps the beginning of what is written. */
class Kept extends Writable {
  readonly #limit: number;
  #bytes = Buffer.alloc(0);

  constructor(limit: number) {
    super();
    this.#limit = limit;
  }

  get text(): string {
    return this.#bytes.toString("utf8");
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#bytes.length <= this.#limit) this.#bytes = Buffer.concat([this.#bytes, chunk]);
    done();
  }
}

/** A folder for what is fetched, outside of the output. @throws {UserError} those of {@link onDisk} */
export function fetchFolder(): string {
  return onDisk(tmpdir(), () => mkdtempSync(join(tmpdir(), "bootshare-source-")));
}
