/**
 * Installs, removes and checks libvirt's hook: a small shell script of ours in libvirt's folder for hooks, and the program
 * that it hands bootshare's own domains to. Both are real files that only root writes: libvirt runs them as root, in users'
 * own daemons as those users, and where it is confined (AppArmor) it may not follow a link to elsewhere. Other people's hooks are never touched.
 */
import { constants, existsSync } from "node:fs";
import { access, chmod, mkdir, open, readFile, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { EXIT, errnoOf, messageOf, UserError } from "../errors.ts";
import { HOOK_FILE, HOOK_PROGRAM, METADATA_NAMESPACE, shippedFile } from "../paths.ts";
import { VERSION } from "../version.ts";
import { findDaemon, monotonicStamp, restartDaemon, startedBefore } from "./daemon.ts";

/** Where things are; tests put in their own. */
export interface HookPlaces {
  /** In libvirt's folder for hooks. */
  readonly guard: string;
  readonly program: string;
  /** What is shipped. Several places, of which the first that exists counts: built, and from the sources. */
  readonly shippedGuard: readonly string[];
  readonly shippedProgram: readonly string[];
  /** Absolute path of the Node.js that runs the program. */
  readonly node: string;
}

export const hookPlaces: HookPlaces = {
  guard: HOOK_FILE,
  program: HOOK_PROGRAM,
  shippedGuard: [shippedFile("hook-guard.sh"), shippedFile("src/libvirt/hook-guard.sh")],
  shippedProgram: [shippedFile("hook.mjs"), shippedFile("dist/hook.mjs")],
  node: process.execPath,
};

export interface HookStatus {
  /** The hook is there, its program runs, and libvirt calls it. */
  readonly usable: boolean;
  readonly installed: boolean;
  /** Guard and program are those of this bootshare. One that is not current still works. */
  readonly current: boolean;
  /** The version written into the guard. */
  readonly version: string | null;
  /** The Node.js that the guard names is there. */
  readonly nodeFound: boolean;
  /** libvirt's daemon was started after the hook was installed, or is not running: it looks for hooks when it starts. */
  readonly daemonKnows: boolean;
  /** The same for a person, a line each. */
  readonly lines: readonly string[];
}

/** The guard with its blanks filled in. @param stamp when the hook was first there (see daemon.ts) */
export function renderGuard(
  template: string,
  places: Pick<HookPlaces, "node" | "program">,
  stamp: string,
): string {
  const blanks: Readonly<Record<string, string>> = {
    VERSION,
    STAMP: stamp,
    NAMESPACE: METADATA_NAMESPACE,
    NODE: quote(places.node),
    PROGRAM: quote(places.program),
  };
  return template.replace(/@([A-Z]+)@/g, (blank, name: string) => blanks[name] ?? blank);
}

/** One word of a POSIX shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** What a guard says of itself. */
export interface GuardFacts {
  readonly version: string | undefined;
  readonly stamp: string | undefined;
  readonly node: string | undefined;
}

/** Reads a guard that {@link renderGuard} wrote. */
export function readGuard(text: string): GuardFacts {
  const part = (pattern: RegExp): string | undefined => pattern.exec(text)?.[1];
  return {
    version: part(/^# bootshare (\S+)$/m),
    stamp: part(/^# present since (.+)$/m),
    node: part(/^node='(.*)'$/m)?.replaceAll("'\\''", "'"),
  };
}

/**
 * Installs the hook, or brings it up to date.
 *
 * @param options.restart restart libvirt's daemon where it was started before there was a hook; running guests go on
 * @returns what was done, a line each
 * @throws {UserError} `NOT_ROOT`, `NOT_BUILT`, `LIBVIRT_RESTART_FAILED`
 */
export async function installHook(
  options: { readonly restart: boolean },
  places: HookPlaces = hookPlaces,
): Promise<string[]> {
  const template = await readShipped(places.shippedGuard);
  const program = await readShipped(places.shippedProgram);
  const before = await readIfThere(places.guard);
  // A guard that is renewed keeps its date: libvirt calls by name, and has known the name since then.
  const stamp = (before === undefined ? undefined : readGuard(before).stamp) ?? (await monotonicStamp());
  const lines: string[] = [];
  try {
    // The program first: a guard must not name one that is not there.
    for (const [file, content, mode] of [
      [places.program, program, 0o644],
      [places.guard, renderGuard(template, places, stamp), 0o755],
    ] as const) {
      lines.push(await replaceFile(file, content, mode));
    }
  } catch (error) {
    throw notRoot("written", error);
  }
  const daemon = await findDaemon();
  if (daemon === undefined || !(await startedBefore(daemon, stamp))) return lines;
  if (!options.restart) {
    return [
      ...lines,
      `${daemon.name} was started before the hook was there and does not call it yet: restart it, or use --restart.`,
    ];
  }
  return [...lines, await restartDaemon(daemon)];
}

/**
 * Removes the hook and its program. Guests then boot what was staged for them last.
 *
 * @returns what was done, a line each
 * @throws {UserError} `NOT_ROOT`
 */
export async function removeHook(places: HookPlaces = hookPlaces): Promise<string[]> {
  const lines: string[] = [];
  // The guard first: see installHook.
  for (const file of [places.guard, places.program]) {
    const there = existsSync(file);
    try {
      await rm(file, { force: true });
    } catch (error) {
      throw notRoot("removed", error);
    }
    lines.push(there ? `removed ${file}` : `${file} was not there`);
  }
  // Ours alone; not empty if it holds anything else.
  await rmdir(dirname(places.program)).catch(() => undefined);
  return lines;
}

/** What the system refused, for who may not write there; anything else as it is. */
function notRoot(what: "written" | "removed", error: unknown): unknown {
  if (!["EACCES", "EPERM"].includes(errnoOf(error) ?? "")) return error;
  return new UserError("NOT_ROOT", `The hook could not be ${what}: ${messageOf(error)}.`, {
    hint: "Run it as root. Ordinary users' guests do without the hook, too: docs/limitations.md says what differs.",
  });
}

/** Looks whether the hook is installed, is that of this bootshare, can run, and is known to libvirt's daemon. */
export async function hookStatus(places: HookPlaces = hookPlaces): Promise<HookStatus> {
  const guard = await readIfThere(places.guard);
  const program = await readIfThere(places.program);
  if (guard === undefined || program === undefined) {
    const missing = guard === undefined ? places.guard : places.program;
    const lines = [`not installed: ${missing} does not exist`];
    return {
      usable: false,
      installed: false,
      current: false,
      version: null,
      nodeFound: false,
      daemonKnows: false,
      lines,
    };
  }
  const { version, stamp, node } = readGuard(guard);
  const current =
    program === (await readShipped(places.shippedProgram)) &&
    guard ===
      renderGuard(await readShipped(places.shippedGuard), { ...places, node: node ?? "" }, stamp ?? "");
  const nodeFound = node !== undefined && (await isExecutable(node));
  const executable = await isExecutable(places.guard);
  const daemon = await findDaemon();
  const daemonKnows = daemon === undefined || (stamp !== undefined && !(await startedBefore(daemon, stamp)));
  const lines = [
    `installed: ${places.guard}, version ${version ?? "unknown"}${executable ? "" : ", but not executable"}`,
    current
      ? "current: it is the one of this bootshare"
      : "not current: refresh it with 'bootshare hook install'",
    nodeFound
      ? `Node.js: ${node}`
      : `Node.js: ${node ?? "no path"} is not there: run 'bootshare hook install'`,
    daemonLine(daemon?.name, daemonKnows),
  ];
  const usable = executable && nodeFound && daemonKnows;
  return { usable, installed: true, current, version: version ?? null, nodeFound, daemonKnows, lines };
}

function daemonLine(daemon: string | undefined, knows: boolean): string {
  if (daemon === undefined) return "libvirt's daemon is not running: it finds the hook when it starts";
  return knows
    ? `${daemon} calls it`
    : `${daemon} was started before the hook was there and does not call it: 'bootshare hook install --restart'`;
}

async function readShipped(places: readonly string[]): Promise<string> {
  const file = places.find((place) => existsSync(place));
  if (file !== undefined) return await readFile(file, "utf8");
  throw new UserError("NOT_BUILT", `bootshare is not whole: ${places[0] ?? "a file"} is missing.`, {
    exitCode: EXIT.unusable,
    hint: "Install it again, or run 'npm run build' in its sources.",
  });
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    // What this user may not read is not there for their guests either.
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "EACCES") return undefined;
    throw error;
  }
}

async function isExecutable(file: string): Promise<boolean> {
  return await access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/** Makes folders that everybody may pass, whatever root's umask is: users' own daemons call the hook as well. */
async function makeFolders(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true });
  if (first === undefined) return;
  for (let made = folder; made.startsWith(first); made = dirname(made)) await chmod(made, 0o755);
}

/**
 * Puts a new file in place of what has that name, whole or not at all. It is written one folder above: libvirt runs every
 * executable file that it finds in its folder for hooks.
 */
async function replaceFile(file: string, content: string, mode: number): Promise<string> {
  const before = await readIfThere(file);
  if (before === content && (mode === 0o644 || (await isExecutable(file)))) return `${file} is up to date`;
  await makeFolders(dirname(file));
  // Always the same name, so that what a killed run left is taken away by the next.
  const fresh = join(dirname(dirname(file)), ".bootshare.new");
  try {
    await rm(fresh, { force: true });
    const handle = await open(fresh, "wx", 0o600);
    try {
      await handle.writeFile(content);
      await handle.chmod(mode);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(fresh, file);
  } finally {
    await rm(fresh, { force: true });
  }
  const folder = await open(dirname(file), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
  return before === undefined ? `installed ${file}` : `refreshed ${file}`;
}
