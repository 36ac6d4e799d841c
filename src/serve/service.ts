/**
 * The service: looks at all guests when something may have changed, and does what is to be done. It keeps nothing in
 * memory that matters, so it may be killed at any time and started again.
 *
 * What wakes it: the file that the hook drops at *release* (inotify), a guest whose boot is not assessed yet (a look at
 * its report every second), and in any case a round every half minute; every few seconds where there is no hook.
 */
import { ftruncateSync, mkdirSync, openSync, readdirSync, rmSync, watch, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ensureForwards } from "../builder/forwards.ts";
import { EXIT, messageOf, UserError } from "../errors.ts";
import { makeStateFolder } from "../folders.ts";
import { remnantSentence } from "../guest/abandoned.ts";
import { isHostStopping } from "../guest/host.ts";
import { type GuestView, look } from "../guest/inventory.ts";
import { type Reconciled, reconcileAll } from "../guest/reconcile.ts";
import { statePaths } from "../paths.ts";
import { tryLock } from "../process.ts";
import { printable } from "../text.ts";

/** A round at least this often, in milliseconds: for what nothing told of. */
const ROUND_MS = 30_000;
/** A round at least this often while a guest runs whose end no hook will tell of, in milliseconds. */
const UNHOOKED_ROUND_MS = 5_000;
/** While libvirt does not answer, it is asked again after this many milliseconds. */
const RETRY_MS = 3_000;
/** How often the reports of guests that are booting are read, in milliseconds. */
const REPORT_MS = 1_000;

/**
 * Runs until `signal` is aborted.
 *
 * @throws {UserError} `SERVICE_RUNNING` when another service runs already
 */
export async function runService(signal: AbortSignal, log: (line: string) => void): Promise<void> {
  const paths = statePaths();
  for (const folder of [paths.root, paths.guests]) makeStateFolder(folder);
  mkdirSync(paths.released, { recursive: true, mode: 0o700 });
  const lock = openSync(paths.serviceLock, "a", 0o600);
  if (!(await takeLock(lock))) {
    throw new UserError("SERVICE_RUNNING", "Another bootshare service runs on this machine already.", {
      exitCode: EXIT.conflict,
    });
  }
  ftruncateSync(lock);
  writeSync(lock, `${process.pid}\n`);
  const wake = new Wake();
  const watcher = watch(paths.released, () => wake.now());
  signal.addEventListener("abort", () => wake.now(), { once: true });
  log("bootshare service: watching");
  let trouble = "";
  let failures = new Map<string, string>();
  let closed = new Map<string, string>();
  let left = new Map<string, string>();
  try {
    while (!signal.aborted) {
      // These files say that there is something to look at, no more; the round looks at everything.
      for (const name of readdirSync(paths.released)) rmSync(join(paths.released, name), { force: true });
      let views: GuestView[] = [];
      let pause = ROUND_MS;
      try {
        const problems = new Map<string, string>();
        const remnants = new Map<string, string>();
        const report = (done: Reconciled): void => {
          if (done.problem !== undefined) problems.set(done.guest.uuid, done.problem);
          if (done.reshaped !== undefined) log(`${done.guest.name}: ${done.reshaped}`);
          // The same trouble, round after round, is said once.
          if (done.problem === undefined || failures.get(done.guest.uuid) !== done.problem)
            log(sentence(done));
        };
        views = await reconcileAll(await isHostStopping(), report, (remnant) => {
          remnants.set(remnant.name, remnant.problem);
          if (left.get(remnant.name) !== remnant.problem) log(remnantSentence(remnant));
        });
        failures = problems;
        left = remnants;
        closed = await forwardAll(views, closed, log);
        if (trouble !== "") log("that is over: all guests were looked at");
        trouble = "";
        if (problems.size > 0 || views.some(isGoingDown)) pause = RETRY_MS;
        else if (views.some(isUnhooked)) pause = UNHOOKED_ROUND_MS;
      } catch (error) {
        // Whatever it is, guests still need somebody who starts them: say it once, and go on trying.
        const said =
          error instanceof UserError ? error.message : String(error instanceof Error ? error.stack : error);
        if (said !== trouble) log(said);
        trouble = said;
        pause = RETRY_MS;
      }
      await watchReports(views, pause, wake, signal, log);
    }
  } finally {
    watcher.close();
  }
  log("bootshare service: stopped");
}

/**
 * Opens the ways to the workers in guests. Whatever is wrong with one of them is no reason to look after the others less.
 *
 * @param before what was wrong the last time, by the guest's UUID: the same trouble is said once
 * @returns the same of now
 */
async function forwardAll(
  views: readonly GuestView[],
  before: ReadonlyMap<string, string>,
  log: (line: string) => void,
): Promise<Map<string, string>> {
  const problems = new Map<string, string>();
  for (const view of views) {
    const problem = await ensureForwards(view).catch((error: unknown) => printable(messageOf(error), 1000));
    if (problem === undefined) continue;
    problems.set(view.uuid, problem);
    if (before.get(view.uuid) !== problem) log(`${view.name}: ${problem}`);
  }
  return problems;
}

/** A command that asks whether a service runs holds the lock for a moment, so it is tried for a second. */
async function takeLock(fd: number): Promise<boolean> {
  for (let attempt = 0; attempt < 5; attempt++) {
    if (tryLock(fd)) return true;
    await sleep(200);
  }
  return false;
}

/** Until the next round: reads the reports of guests that are booting, which needs no libvirt. */
async function watchReports(
  views: readonly GuestView[],
  pauseMs: number,
  wake: Wake,
  signal: AbortSignal,
  log: (line: string) => void,
): Promise<void> {
  const until = Date.now() + pauseMs;
  let booting = views.filter(isBooting);
  while (!signal.aborted) {
    const left = until - Date.now();
    if (left <= 0) return;
    if (await wake.within(booting.length > 0 ? Math.min(left, REPORT_MS) : left)) return;
    booting = booting.filter((guest) => isStillBooting(guest, log));
  }
}

function isStillBooting(guest: GuestView, log: (line: string) => void): boolean {
  try {
    const { current } = look(guest).state;
    if (current?.good === undefined) return true;
    log(`${guest.name}: ${printable(current.reported ?? current.pair.release)} is good`);
  } catch {
    // Deleted while it was booting, or unreadable: the next round says so.
  }
  return false;
}

function isBooting(view: GuestView): boolean {
  const { current } = view.state;
  return view.status.state === "running" && current !== undefined && current.good === undefined;
}

function isUnhooked({ state: { current }, status }: GuestView): boolean {
  return current?.hooked === false && status.state !== "shut off";
}

/** Off in the eyes of libvirt, but its attempt not yet known to be over: it is being started or stopped just now. */
function isGoingDown(view: GuestView): boolean {
  const { current } = view.state;
  return (
    view.status.state === "shut off" &&
    current !== undefined &&
    current.ended === undefined &&
    !view.status.saved
  );
}

function sentence({ guest, action, problem }: Reconciled): string {
  if (action === undefined) return `${guest.name}: cannot be looked at: ${printable(problem ?? "", 1000)}`;
  if (problem !== undefined) {
    return `${guest.name}: cannot be ${action.do === "delete" ? "deleted" : "started"} (${action.why}): ${printable(problem, 1000)}`;
  }
  switch (action.do) {
    case "nothing":
      return `${guest.name}: ${action.why}`;
    case "start":
      return `${guest.name}: started: ${action.why}`;
    case "end":
      return `${guest.name}: ended: ${action.why}`;
    case "delete":
      return `${guest.name}: deleted: ${action.why}`;
    case "stay-off":
      return `${guest.name}: stays off: ${action.why}`;
    case "give-up":
      return `${guest.name}: FAILED: ${action.why}. Start it with 'bootshare start ${guest.name}' when its trouble is mended.`;
  }
}

/** Wakes a sleeper; a call while nobody sleeps is not lost. */
class Wake {
  #called = false;
  #resolve: (() => void) | undefined;

  now(): void {
    this.#called = true;
    this.#resolve?.();
  }

  /** Waits at most `ms` milliseconds; true when it was woken. */
  async within(ms: number): Promise<boolean> {
    if (!this.#called) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#resolve = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    const called = this.#called;
    this.#called = false;
    this.#resolve = undefined;
    return called;
  }
}
