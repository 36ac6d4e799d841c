/**
 * Runs the built hook on a guest of {@link FaultGuest}, in a mount namespace of its own where the guest's folder is what the
 * hook takes for /var/lib, and where it is wanted with a fault at one system call (strace(1), option inject).
 */
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { METADATA_NAMESPACE } from "../../src/paths.ts";
import { FaultGuest, NAME, NEW, UUID } from "./guest.ts";

const PROGRAM = join(import.meta.dirname, "../../dist/hook.mjs");
const STATE = "/var/lib/bootshare/";
/** Words before the program and its arguments: the folder that stands for /var/lib is the first argument. */
const IN_NAMESPACE = ["--mount", "sh", "-c", 'mount --rbind "$0" /var/lib && exec "$@"'];

const XML = `<domain type='qemu'><name>${NAME}</name><uuid>${UUID}</uuid>
  <metadata><bootshare:guest xmlns:bootshare="${METADATA_NAMESPACE}" uuid="${UUID}" schema="1"><bootshare:arch>amd64</bootshare:arch></bootshare:guest></metadata>
  <memory unit='MiB'>512</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type><kernel>${STATE}guests/${UUID}/run/vmlinuz</kernel></os></domain>`;

/** System calls that change a file system, and (for a disk that fails) that read one. */
const CHANGES =
  "openat write pwrite64 fsync rename renameat renameat2 unlink unlinkat rmdir mkdir mkdirat ftruncate chmod fchmod fchmodat";
const READS = "read pread64 getdents64";
/** Those with which the look into an initrd begins, is under way, and has ended: a process of its own. */
const LOOK: Readonly<Record<string, string>> = {
  fork: "starts",
  vfork: "starts",
  clone: "starts",
  clone3: "starts",
  shutdown: "is under way",
  wait4: "has ended",
};

/** One system call of the hook's first thread that touches the state folder. */
export interface Step {
  readonly call: string;
  /** The how-manyth call of this name it is, from 1. */
  readonly nth: number;
  /** In words, with the same name for what is random in a run; `read …` and `look …` for what changes nothing. */
  readonly what: string;
}

export interface HookRun {
  readonly exit: number | null;
  readonly signal: string | null;
  readonly stderr: string;
}

export type Fault = "KILL" | "ENOSPC" | "EDQUOT" | "EROFS" | "EIO";

/** Calls the hook as libvirt does, undisturbed. */
export async function callHook(guest: FaultGuest, phase = "prepare begin"): Promise<HookRun> {
  return await run(guest, [], phase);
}

let known: Promise<string> | undefined;

/**
 * Lets a guest know what is in the initrd of the new kernel, as from an earlier start: a look takes longer than all else that
 * the hook does.
 */
export async function knowInitrds(guest: FaultGuest): Promise<void> {
  known ??= lookOnce();
  writeFileSync(guest.paths.initrds, await known, { mode: 0o600 });
}

async function lookOnce(): Promise<string> {
  const guest = new FaultGuest();
  try {
    guest.install(NEW);
    const { exit, stderr } = await callHook(guest);
    if (exit !== 0) throw new Error(`the hook failed: ${stderr}`);
    return readFileSync(guest.paths.initrds, "utf8");
  } finally {
    guest.remove();
  }
}

/**
 * Node.js now and then makes a call more or less when it starts, and on a busy machine it is often the same number: then
 * another step than the wanted one is hit, and the calls are counted again.
 */
const TRIES = 5;

/**
 * Calls the hook on a copy of a guest and lets one step of it go wrong.
 *
 * @returns what came of it, and the copy, which the caller removes
 */
export async function callHookWith(
  template: FaultGuest,
  fault: Fault,
  step: Step,
  phase = "prepare begin",
): Promise<HookRun & { readonly guest: FaultGuest }> {
  const what = fault === "KILL" ? "signal=KILL" : `error=${fault}`;
  const hits: (string | undefined)[] = [];
  let { nth } = step;
  while (hits.length < TRIES) {
    const guest = template.copy();
    const { result, lines } = await traced(guest, phase, [`inject=${step.call}:${what}:when=${nth}`]);
    const hit =
      fault === "KILL" ? lines.at(-1)?.step : lines.find(({ text }) => text.includes("(INJECTED)"))?.step;
    if (hit === step.what && (fault !== "KILL" || result.signal === "SIGKILL")) return { ...result, guest };
    guest.remove();
    hits.push(hit);
    nth = await countAgain(template, step, phase);
  }
  throw new Error(`${fault} was to hit "${step.what}", and hit ${JSON.stringify(hits)}`);
}

async function countAgain(template: FaultGuest, { call, what, nth }: Step, phase: string): Promise<number> {
  const guest = template.copy();
  try {
    const same = (await stepsOf(guest, phase)).filter((one) => one.call === call && one.what === what);
    const distance = (one: Step): number => Math.abs(one.nth - nth);
    return same.sort((a, b) => distance(a) - distance(b))[0]?.nth ?? nth;
  } finally {
    guest.remove();
  }
}

/** The steps of an undisturbed call, in order. The guest is changed by it. */
export async function stepsOf(guest: FaultGuest, phase = "prepare begin"): Promise<Step[]> {
  const { result, lines } = await traced(guest, phase, []);
  if (result.exit !== 0) throw new Error(`the hook failed: ${result.stderr}`);
  const counts = new Map<string, number>();
  const steps: Step[] = [];
  for (const { call, step, text } of lines) {
    const nth = (counts.get(call) ?? 0) + 1;
    counts.set(call, nth);
    // A call that failed by itself (a file that is not there) has changed nothing.
    if (step !== undefined && !/ = -1 /.test(text)) steps.push({ call, nth, what: step });
  }
  return steps;
}

interface Line {
  readonly call: string;
  readonly text: string;
  readonly step: string | undefined;
}

async function traced(
  guest: FaultGuest,
  phase: string,
  inject: readonly string[],
): Promise<{ result: HookRun; lines: Line[] }> {
  const folder = mkdtempSync(join(tmpdir(), "bootshare-strace-"));
  const log = join(folder, "log");
  try {
    // Not every architecture has all of them.
    const calls = `${CHANGES} ${READS} ${Object.keys(LOOK).join(" ")}`;
    const trace = `trace=${calls.replaceAll(/\w+/g, "?$&").replaceAll(" ", ",")}`;
    const options = [trace, ...inject].flatMap((one) => ["-e", one]);
    // Of the first thread alone, in which all of the hook's own work is done.
    const strace = ["strace", "-y", "-s", "0", "-o", log, ...options];
    const result = await run(guest, strace, phase);
    const text = existsSync(log) ? readFileSync(log, "utf8") : "";
    if (text === "") throw new Error(`strace did not run: ${result.stderr}`);
    return { result, lines: linesOf(text) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function linesOf(log: string): Line[] {
  return log.split("\n").flatMap((text) => {
    const [, call, rest] = /^(\w+)\((.*)$/.exec(text) ?? [];
    return call === undefined || rest === undefined ? [] : [{ call, text, step: stepOf(call, rest) }];
  });
}

const VERBS: Readonly<Record<string, string>> = {
  write: "write",
  pwrite64: "write",
  fsync: "sync",
  unlink: "remove",
  unlinkat: "remove",
  rmdir: "remove",
  mkdir: "make",
  mkdirat: "make",
  ftruncate: "cut",
  chmod: "give rights to",
  fchmod: "give rights to",
  fchmodat: "give rights to",
  read: "read",
  pread64: "read",
  getdents64: "read",
};

/** A call in words, where it is about the state folder or the look into an initrd. */
function stepOf(call: string, rest: string): string | undefined {
  const look = LOOK[call];
  if (look !== undefined) return rest.includes("CLONE_THREAD") ? undefined : `look into the initrd ${look}`;
  // A path may be told from a folder's descriptor on; a descriptor alone is the thing itself.
  const quoted = [...rest.matchAll(/(?:\d+<([^>]*)>, )?"([^"]*)"/g)].map(([, folder = "", path = ""]) =>
    resolve(folder, path),
  );
  const descriptor = /^\d+<([^>]*)>/.exec(rest)?.[1] ?? "";
  const paths = (quoted.length > 0 ? quoted : [descriptor]).map(nameOf);
  const [path, target] = paths;
  if (path === undefined) return undefined;
  if (call === "openat") return rest.includes("O_CREAT") ? `create ${path}` : `read ${path}`;
  if (call.startsWith("rename")) return `rename ${path} to ${target}`;
  return `${VERBS[call]} ${path}`;
}

/** A path below the state folder or the guest's, without what is random in it; undefined for any other. */
function nameOf(path: string): string | undefined {
  if (!`${path}/`.startsWith(STATE)) return undefined;
  return path
    .slice(STATE.length)
    .replace(`guests/${UUID}`, "")
    .replace(/^\//, "")
    .replace(/tmp-\w{6}/, "tmp-*")
    .replace(/\b[0-9a-f]{32}\b/, "ID")
    .replace(UUID, "UUID")
    .replace(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/, "ATTEMPT");
}

async function run(guest: FaultGuest, before: readonly string[], phase: string): Promise<HookRun> {
  const words = [guest.lib, ...before, process.execPath, PROGRAM, ...phase.split(" "), "4711", "shutdown"];
  return await new Promise((done) => {
    const child = execFile(
      "unshare",
      [...IN_NAMESPACE, ...words],
      { cwd: "/", env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" } },
      (_error, _stdout, stderr) => done({ exit: child.exitCode, signal: child.signalCode, stderr }),
    );
    child.stdin?.end(XML);
  });
}
