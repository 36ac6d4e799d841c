/**
 * Workers of the Open Build Service, drained without a right on its server: by what runs in the guest
 * (in-guest/usr/lib/bootshare/obs-worker), which tells each worker to exit when its job is done.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { EXIT, UserError } from "../errors.ts";
import { findGuest, type Guest } from "../guest/inventory.ts";
import { LOCK_WAIT_MS, withDrainLock, withGuestLock } from "../guest/lock.ts";
import { captureInGuest, SSH_FAILED } from "../guest/ssh.ts";
import { readWorker, type Worker, writeWorker } from "../guest/worker.ts";
import { lastLines } from "../text.ts";
import { buildingNow } from "./obs-status.ts";
import {
  type Drainer,
  type DrainOptions,
  type DrainState,
  drainerOf,
  takenBack,
  type Undrained,
  type WorkerKind,
} from "./worker-kind.ts";

const PROGRAM = "/usr/lib/bootshare/obs-worker";

/** Its exit codes while a job still runs, and where the workers are not drained, or not any more. */
const BUSY = 3;
const UNDRAINED = 4;
const ANSWERS = [0, BUSY, UNDRAINED] as const;

/** How long it waits in the guest before it says how things are, in seconds. */
const ROUND_S = 60;
/** What a call may take beyond that, in milliseconds: an emulated guest that builds is slow. */
const CALL_MS = 120_000;
/** How long a guest that cannot be reached is tried, in milliseconds, and how long between two tries. */
const UNREACHABLE_MS = 300_000;
const PAUSE_MS = 5_000;

export const OBS_WORKER: WorkerKind = {
  async drain(guest, options) {
    const worker = workerOf(guest);
    requireRunning(guest);
    const { by, signal, timeoutMs } = options;
    const until = Date.now() + timeoutMs;
    const progress = new Progress(worker, options.say);
    let answer = await withDrainLock(guest, async () => {
      // Written first: whoever ends us in the middle leaves a guest that is known to be draining.
      await change(guest, (now) => drainedBy(now, by, new Date()));
      signal?.throwIfAborted();
      return await call(guest, ["drain"], signal);
    });
    options.told?.();
    while (answer !== 0) {
      if (answer === UNDRAINED) throw takenBack(guest.name);
      const left = until - Date.now();
      if (left <= 0) throw await drainTimeout(guest, worker, options);
      await progress.tell(guest);
      const seconds = Math.min(ROUND_S, Math.ceil(left / 1000));
      answer = await call(guest, ["wait", String(seconds)], signal);
    }
  },

  async undrain(guest, by): Promise<Undrained> {
    requireRunning(guest);
    return await withDrainLock(guest, async () => {
      if (by === "upgrade" && drainerIn(workerOf(guest)) === "person") return "kept";
      await call(guest, ["undrain"]);
      await change(guest, ({ drained: _since, drainedBy: _by, ...rest }) => rest);
      return "back";
    });
  },

  async drainState(guest): Promise<DrainState> {
    if (workerOf(guest).drained === undefined) return "active";
    const { status } = await findGuest(guest.uuid);
    if (status.state !== "running") return "drained";
    return (await call(guest, ["wait", "0"])) === 0 ? "drained" : "draining";
  },
};

/** The caller has seen that it is one. @throws {UserError} `WORKER_UNREADABLE` */
function workerOf({ paths }: Guest): Worker {
  const worker = readWorker(paths);
  if (worker === undefined) throw new Error(`${paths.worker} is gone`);
  return worker;
}

/** By whose wish a worker is drained; undefined for one that is not. */
function drainerIn({ drained, drainedBy: by }: Worker): Drainer | undefined {
  return drained === undefined ? undefined : (by ?? "person");
}

/** A worker that is drained. Since when stays as it is. */
function drainedBy(worker: Worker, by: Drainer, now: Date): Worker {
  const whose = drainerOf(drainerIn(worker), by);
  const { drainedBy: _before, drained = now.toISOString(), ...rest } = worker;
  return whose === "upgrade" ? { ...rest, drained, drainedBy: whose } : { ...rest, drained };
}

/** Writes down what a guest works for, changed. */
async function change(guest: Guest, to: (worker: Worker) => Worker): Promise<void> {
  await withGuestLock(guest, LOCK_WAIT_MS, async () => {
    const worker = readWorker(guest.paths);
    if (worker !== undefined) writeWorker(guest.paths, to(worker));
  });
}

/**
 * Calls the guest's program; tries again while only the connection fails.
 *
 * @returns what it says by its exit code
 * @throws {UserError} `GUEST_OFF`, `WORKER_UNREACHABLE`, `WORKER_FAILED`
 */
async function call(
  guest: Guest,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<(typeof ANSWERS)[number]> {
  const until = Date.now() + UNREACHABLE_MS;
  for (;;) {
    signal?.throwIfAborted();
    const present = await findGuest(guest.uuid);
    requireRunning(present);
    const timeoutMs = ROUND_S * 1000 + CALL_MS;
    const ran = await captureInGuest(present, [PROGRAM, ...args], {
      timeoutMs,
      ...(signal === undefined ? {} : { signal }),
    });
    signal?.throwIfAborted();
    const answer = ANSWERS.find((code) => code === ran.exitCode);
    if (answer !== undefined) return answer;
    const detail = lastLines(ran.stderr || ran.stdout);
    if (ran.exitCode !== SSH_FAILED && !ran.timedOut) {
      throw new UserError("WORKER_FAILED", `The workers of the guest ${guest.name} could not be told.`, {
        detail,
        hint: `See what they say: bootshare exec ${guest.name} -- journalctl -u 'bootshare-obs-worker@*'`,
      });
    }
    if (Date.now() >= until) {
      throw new UserError("WORKER_UNREACHABLE", `The guest ${guest.name} cannot be reached by ssh.`, {
        detail,
        hint: `See 'bootshare status ${guest.name}' and 'bootshare console ${guest.name}'.`,
      });
    }
    await sleep(PAUSE_MS, undefined, signal === undefined ? {} : { signal });
  }
}

function requireRunning({ name, status }: Guest): void {
  if (status.state === "running") return;
  throw new UserError("GUEST_OFF", `The guest ${name} is ${status.state}: it takes no jobs.`, {
    exitCode: EXIT.conflict,
    hint: `Start it first: 'bootshare start ${name} --wait'.`,
  });
}

async function drainTimeout(guest: Guest, worker: Worker, { timeoutMs }: DrainOptions): Promise<UserError> {
  const jobs = await buildingNow(worker);
  const what = jobs.length === 0 ? "is still building" : `is still building ${jobs.join(", ")}`;
  return new UserError(
    "DRAIN_TIMEOUT",
    `The guest ${guest.name} ${what} after ${Math.round(timeoutMs / 1000)} s; it takes no new jobs.`,
    {
      exitCode: EXIT.timeout,
      hint: `'bootshare drain ${guest.name} --timeout SECONDS' waits longer; 'bootshare undrain ${guest.name}' puts it back to work.`,
    },
  );
}

/** Says what is waited for, when that changes. */
class Progress {
  readonly #worker: Worker;
  readonly #say: (sentence: string) => void;
  #said = "";

  constructor(worker: Worker, say: (sentence: string) => void) {
    this.#worker = worker;
    this.#say = say;
  }

  async tell(guest: Guest): Promise<void> {
    const jobs = await buildingNow(this.#worker);
    const sentence = `${guest.name} takes no new jobs; waiting for ${jobs.length === 0 ? "the one that runs" : jobs.join(", ")}`;
    if (sentence !== this.#said) this.#say(sentence);
    this.#said = sentence;
  }
}
