import { rmSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { type Builder, buildTarget, ensureBuilder } from "../builder/base.ts";
import { type BuildOptions, buildSource, fetchFolder, logPath } from "../builder/build.ts";
import { mirrorsKept } from "../builder/builder-mirrors.ts";
import { type PackageCache, startPackageCache } from "../builder/cache.ts";
import { fetchSource } from "../builder/fetch.ts";
import { exitCodeOf, runJobs, type Verdict, verdictOf } from "../builder/jobs.ts";
import { requireOutput } from "../builder/output.ts";
import { readDsc, readRequest, readTree, type Source, type SourceRequest } from "../builder/source.ts";
import { STAGE_TITLES, type Stage } from "../builder/stages.ts";
import { EXIT, messageOf, UserError } from "../errors.ts";
import { aptProxy } from "../provision/provision.ts";
import { chooseMirrors, hostMirrors, type Mirrors, requireKeyring } from "../provision/sources.ts";
import { findSuite, suiteNames } from "../provision/suites.ts";
import { printable } from "../text.ts";
import { defineCommand, JSON_OPTION } from "./command.ts";
import { durationOf, printJson } from "./output.ts";
import {
  bootTimeoutSchema,
  cpusSchema,
  isTerminal,
  MIRROR_OPTIONS,
  memoryOf,
  mirrorShape,
  note,
  noteService,
  REACHABLE_OPTION,
  timerSchema,
} from "./shared.ts";
import { endedBySignals } from "./signals.ts";

const DEFAULT_CPUS = 2;

export const build = defineCommand({
  name: "build",
  summary: "build Debian source packages, each in a clean guest of its own",
  about:
    "Builds source packages with sbuild, each in a guest that is cloned for it and deleted afterwards, and brings back packages, .changes, .buildinfo and log. A package is NAME or NAME=VERSION, whose source apt fetches and verifies; a .dsc with its files beside it; or a folder with an unpacked source (with a slash in it: ./hello). The guest that the clones are made of, builder-SUITE-ARCH, is made at the first build. Exit code 7: a package does not build; 6: its time was up; 8: its guest was lost, or could not reach the mirror, or had no room. docs/building.md has more.",
  arguments: [["<package...>", "NAME[=VERSION], FILE.dsc or FOLDER"]],
  options: [
    { flags: "--suite <suite>", text: `Debian release: ${suiteNames().join(", ")} (default trixie)` },
    { flags: "--arch <arch>", text: "architecture that is built for, and in (default: this host's)" },
    { flags: "--output <folder>", text: "where packages and log go (default: this folder)" },
    {
      flags: "--jobs <count>",
      text: "guests at the same time, where several packages are named (default 1)",
    },
    { flags: "--timeout <seconds>", text: "end a build that takes longer in its guest (default: no limit)" },
    REACHABLE_OPTION,
    { flags: "--arch-any", text: "only packages that depend on the architecture (sbuild --no-arch-all)" },
    { flags: "--arch-all", text: "only packages that do not (sbuild --no-arch-any)" },
    { flags: "--memory <size>", text: "memory of each guest (default 2G)" },
    {
      flags: "--cpus <count>",
      text: `virtual CPUs of each guest, and jobs within a build (default ${DEFAULT_CPUS})`,
    },
    {
      flags: "--shell-on-failure",
      text: "a shell in the chroot of a build that failed, before its guest is deleted",
    },
    { flags: "--renew-builder", text: "make the builder guest anew first" },
    { flags: "--no-cache", text: "do without the cache of packages" },
    { flags: "--accel <accel>", text: "of a builder guest that is made: auto, kvm, tcg (default auto)" },
    ...MIRROR_OPTIONS,
    { flags: "--quiet", text: "print the stages, and not the log" },
    JSON_OPTION,
  ],
  examples: [
    ["bootshare build hello", "the hello of Debian 13, in a guest of this host's architecture"],
    ["bootshare build --arch armhf hello=2.10-5", "this version, for 32-bit ARM"],
    ["bootshare build --output /srv/out ./hello-2.10", "an unpacked source"],
    ["bootshare build --jobs 2 a_1.dsc b_2.dsc c_3.dsc", "three packages, two at a time"],
    ["bootshare build --timeout 3600 --shell-on-failure ./x", "look into it where it fails"],
  ],
  schema: z.object({
    suite: z.string().default("trixie"),
    arch: z.string().optional(),
    output: z.string().default("."),
    jobs: z.coerce.number({ error: "a number of guests" }).int().min(1).max(64).default(1),
    timeout: timerSchema,
    bootTimeout: bootTimeoutSchema,
    archAny: z.boolean().default(false),
    archAll: z.boolean().default(false),
    memory: z.string().optional(),
    cpus: cpusSchema.default(DEFAULT_CPUS),
    shellOnFailure: z.boolean().default(false),
    renewBuilder: z.boolean().default(false),
    cache: z.boolean().default(true),
    accel: z.enum(["auto", "kvm", "tcg"], { error: "auto, kvm or tcg" }).default("auto"),
    ...mirrorShape,
    quiet: z.boolean().default(false),
    json: z.boolean().default(false),
  }),
  action: async (words, options) => {
    const { accel, json } = options;
    // What a person can have got wrong, before anything is made.
    const target = buildTarget(options);
    const requests = words.map(readRequest);
    if (options.archAny && options.archAll) throw usage("--arch-any and --arch-all leave nothing to build.");
    if (options.shellOnFailure && !isTerminal()) {
      throw usage("--shell-on-failure needs a terminal.");
    }
    if (options.shellOnFailure && options.jobs > 1)
      throw usage("--shell-on-failure takes one package at a time.");
    const { memory, bootTimeout, timeout, shellOnFailure } = options;
    const wishes: Omit<BuildOptions, "proxy"> = {
      output: resolve(options.output),
      binaries: options.archAny ? "only-any" : options.archAll ? "only-all" : "all",
      memoryBytes: memoryOf(memory),
      cpus: options.cpus,
      timeoutMs: timeout === undefined ? undefined : timeout * 1000,
      bootTimeout,
      shellOnFailure,
    };
    requireKeyring();
    const mirrors = chooseMirrors(await hostMirrors(), options);
    requireOutput(wishes.output);

    const act = async ({ signal }: AbortController): Promise<number> => {
      await noteService();
      // With --json the result is all there is on standard output.
      const out = json ? process.stderr : process.stdout;
      const say = (line: string): void => {
        out.write(`${line}\n`);
      };
      const tell = (line: string): void => say(`== ${printable(line, 1000)}`);
      const wanted = { accel, mirrors, renew: options.renewBuilder };
      const builder = await ensureBuilder(target, wanted, tell, signal);
      let cache: PackageCache | undefined;
      try {
        const kept = mirrorsKept(builder.guest.name, builder.mirrors, options, mirrors);
        if (kept !== undefined) note(kept);
        // It hands on nothing else, so these have to be those that the builder asks.
        if (options.cache) cache = await packageCache(builder.mirrors ?? mirrors);
        const many = requests.length > 1;
        const show = (request: SourceRequest) => shown(request, many ? say : undefined, options.quiet, say);
        const all = { builder, mirrors, wishes: { ...wishes, proxy: cache?.guestAddress } };
        const results = await runJobs(requests, options.jobs, signal, async (request) => {
          const result = await one(request, all, show(request), signal);
          // It may be what the mirror sent and the cache kept.
          if (result.error?.code === "BUILDER_FAILED") await cache?.forget();
          if (!json) for (const line of resultLines(result)) say(line);
          return result;
        });
        if (json) printJson(results.map(({ exitCode: _code, ...result }) => result));
        return exitCodeOf(results);
      } finally {
        cache?.stop();
        builder.release();
      }
    };
    return await endedBySignals(
      act,
      (signal) =>
        new UserError("INTERRUPTED", `The build was interrupted (${signal}); its guests are deleted.`),
    );
  },
});

function usage(sentence: string): UserError {
  return new UserError("USAGE", sentence, { exitCode: EXIT.usage });
}

/** Goes on without where there is none: it only saves time. */
async function packageCache(mirrors: Mirrors): Promise<PackageCache | undefined> {
  const cache = await startPackageCache(mirrors, await aptProxy());
  if (typeof cache !== "string") return cache;
  note(`packages come from the mirror each time: ${cache}.`);
  return undefined;
}

interface Watch {
  readonly stage: (stage: Stage | "fetch") => void;
  readonly line: (line: string) => void;
}

/** How a build is shown: its stages as titles, with how long the one before took, and its log. */
function shown(
  request: SourceRequest,
  prefixed: unknown,
  quiet: boolean,
  say: (line: string) => void,
): Watch {
  const label = printable(labelOf(request));
  const prefix = prefixed === undefined ? "" : `${label}: `;
  let began = Date.now();
  let last = "";
  return {
    stage: (stage) => {
      const took = last === "" ? "" : `  (${last}: ${durationOf(Date.now() - began)})`;
      began = Date.now();
      last = stage;
      say(`== ${label}: ${stage === "fetch" ? "fetch the source" : STAGE_TITLES[stage]}${took}`);
    },
    line: (line) => {
      if (!quiet) say(`${prefix}${line}`);
    },
  };
}

function labelOf(request: SourceRequest): string {
  if (request.kind === "name") return request.name;
  return (request.kind === "dsc" ? request.file : request.folder).split("/").at(-1) ?? "";
}

/** What `--json` has of a package, and its exit code. */
interface Result {
  readonly package: string;
  readonly version: string | null;
  readonly suite: string;
  readonly arch: string;
  readonly result: Verdict;
  readonly stage: string | null;
  readonly seconds: number;
  readonly files: readonly string[];
  readonly log: string | null;
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | null } | null;
  readonly detail?: string;
  readonly verdict: Verdict;
  readonly exitCode: number;
}

interface Everywhere {
  readonly builder: Builder;
  /** Where sources are fetched. */
  readonly mirrors: Mirrors;
  readonly wishes: BuildOptions;
}

/** Builds one package and says what came of it. @throws what is not about this package: an interruption, a bug */
async function one(
  request: SourceRequest,
  everywhere: Everywhere,
  watch: Watch,
  signal: AbortSignal,
): Promise<Result> {
  const { builder, wishes } = everywhere;
  const began = Date.now();
  const { suite, arch } = builder;
  let folder: string | undefined;
  let source: Source | undefined;
  const facts = () => ({
    package: source?.name ?? printable(labelOf(request)),
    version: source?.version ?? null,
    suite,
    arch,
    seconds: Math.round((Date.now() - began) / 1000),
    log: source === undefined ? null : logPath(source, builder, wishes.output),
  });
  try {
    if (request.kind === "name") folder = fetchFolder();
    source = await sourceOf(request, folder, everywhere, watch, signal);
    const { built, failedAt, files } = await buildSource(source, builder, wishes, watch, signal);
    const verdict = built ? "built" : "failed";
    const exitCode = built ? EXIT.ok : EXIT.buildFailed;
    return { ...facts(), result: verdict, verdict, exitCode, stage: failedAt ?? null, files, error: null };
  } catch (error) {
    signal.throwIfAborted();
    const verdict = verdictOf(error);
    if (!(error instanceof UserError)) throw error;
    const { code, hint, exitCode, detail } = error;
    const said = { code, message: messageOf(error), hint: hint ?? null };
    const more = detail === undefined ? {} : { detail };
    return { ...facts(), result: verdict, verdict, exitCode, stage: null, files: [], error: said, ...more };
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }
}

async function sourceOf(
  request: SourceRequest,
  work: string | undefined,
  { builder, mirrors }: Everywhere,
  watch: Watch,
  signal: AbortSignal,
): Promise<Source> {
  if (request.kind === "dsc") return await readDsc(request.file);
  if (request.kind === "tree") return await readTree(request.folder);
  if (work === undefined) throw new Error("there is no folder to fetch to");
  watch.stage("fetch");
  const { name, version } = request;
  const proxy = await aptProxy(signal);
  return await readDsc(
    await fetchSource({ name, version, suite: findSuite(builder.suite), mirrors, proxy, work }, signal),
  );
}

function resultLines({
  package: name,
  version,
  result,
  stage,
  seconds,
  files,
  log,
  error,
  detail,
}: Result): string[] {
  const what = `${name}${version === null ? "" : ` ${version}`}`;
  const time = durationOf(seconds * 1000);
  const logLine = log === null ? [] : [`   log: ${log}`];
  if (result === "built")
    return [`== ${what} is built [${time}]`, ...files.map((file) => `   ${file}`), ...logLine];
  if (error === null) return [`== ${what} was not built: it failed (${stage}) [${time}]`, ...logLine];
  return [
    `== ${what} was not built [${time}]`,
    `Error: ${error.message} [${error.code}]`,
    ...(detail ?? "")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => `  | ${line}`),
    ...(error.hint === null ? [] : [`What to do: ${error.hint}`]),
    ...logLine,
  ];
}
