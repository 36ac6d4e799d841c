import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import {
  newRollout,
  type Outcome,
  type Rollout,
  rolloutSchema,
  type Step,
} from "../../../src/builder/upgrade-plan.ts";
import {
  isRolloutRunning,
  readRollout,
  withRolloutLock,
  writeRollout,
} from "../../../src/builder/upgrade-record.ts";
import { type RolloutIo, runRollout } from "../../../src/builder/upgrade-run.ts";
import { UserError } from "../../../src/errors.ts";
import { statePaths } from "../../../src/paths.ts";

const OPTIONS = { rolling: 2, drain: true, canarySeconds: 1, drainSeconds: 1, aptSeconds: 1 };
const GOOD: Readonly<Record<Step, Outcome>> = {
  checking: { of: "checking", todo: true, active: true },
  draining: { of: "draining" },
  upgrading: {
    of: "upgrading",
    before: { attempt: "a", release: "6.1" },
    expected: { release: "6.2", source: "links", files: "f" },
  },
  rebooting: { of: "rebooting" },
  undraining: { of: "undraining" },
  probation: { of: "probation" },
};
const PROBLEM = { code: "KERNEL_ROLLED_BACK", sentence: "It was rolled back." };

const rollout = (...names: string[]): Rollout =>
  newRollout(
    "r",
    names.map((name) => ({ uuid: name, name })),
    OPTIONS,
    new Date(),
  );

/** A world in which every step goes well, and that keeps what is asked of it. */
function world(changes: Partial<RolloutIo> = {}) {
  const asked: string[] = [];
  const saved: Rollout[] = [];
  const io: RolloutIo = {
    step: async ({ name }, step) => {
      asked.push(`${name} ${step}`);
      return GOOD[step];
    },
    isLost: async () => undefined,
    // What is on disk is JSON.
    save: (record) => saved.push(rolloutSchema.parse(JSON.parse(JSON.stringify(record)))),
    changed: () => {},
    lookMs: 20,
    ...changes,
  };
  return { io, asked, saved };
}

const never = new AbortController().signal;
const phases = ({ guests }: Rollout): string[] => guests.map(({ phase }) => phase);

it("takes one guest after the other until the first has passed, and two at a time then", async () => {
  const { io, asked, saved } = world();
  const over = await runRollout(rollout("a", "b", "c"), io, never);
  expect(phases(over)).toEqual(["done", "done", "done"]);
  const course = ["checking", "draining", "upgrading", "rebooting", "undraining"];
  expect(asked.slice(0, 6)).toEqual([...course, "probation"].map((step) => `a ${step}`));
  expect(asked.slice(6, 8)).toEqual(["b checking", "c checking"]);
  expect(asked).toHaveLength(16);
  expect(saved.at(-1)).toEqual(over);
});

it("gives up a drain when another guest fails, and puts that one back", async () => {
  const asked: string[] = [];
  const { io } = world({
    step: async ({ name }, step, _record, signal) => {
      asked.push(`${name} ${step}`);
      if (name === "b" && step === "draining") {
        await sleep(60_000, undefined, { signal });
      }
      if (name === "c" && step === "rebooting") {
        return { of: "failure", phase: "rebooting", problem: PROBLEM, working: true };
      }
      return GOOD[step];
    },
  });
  const over = await runRollout(rollout("a", "b", "c", "d"), io, never);
  expect(phases(over)).toEqual(["done", "held", "failed", "held"]);
  expect(over.stopped).toMatchObject({ guest: "c", ...PROBLEM });
  expect(asked.filter((one) => one.startsWith("b"))).toEqual(["b checking", "b draining", "b undraining"]);
  expect(asked.at(-1)).toMatch(/undraining/);
});

it("stops when a guest that was through is lost", async () => {
  let lose = (): void => {};
  const lost = new Promise<void>((resolve) => {
    lose = resolve;
  });
  const { io } = world({
    step: async ({ name }, step) => {
      if (name !== "a" && step === "upgrading") await lost;
      return GOOD[step];
    },
    isLost: async ({ name }) => {
      if (name !== "a") return undefined;
      setImmediate(lose);
      return { code: "GUEST_LOST", sentence: "It is gone." };
    },
  });
  const over = await runRollout(rollout("a", "b", "c", "d"), io, never);
  expect(over.stopped).toMatchObject({ guest: "a", code: "GUEST_LOST" });
  expect(phases(over)).toEqual(["failed", "held", "held", "held"]);
});

it.each(["checking", "draining", "upgrading", "rebooting", "undraining", "probation"] as const)(
  "interrupted while %s, it goes on there",
  async (where) => {
    const stop = new AbortController();
    const first = world({
      step: async ({ name }, step, _record, signal) => {
        if (name !== "a" || step !== where) return GOOD[step];
        stop.abort(new Error("Ctrl-C"));
        signal.throwIfAborted();
        return GOOD[step];
      },
    });
    const left = await runRollout(rollout("a", "b"), first.io, stop.signal);
    expect(left.ended).toBeUndefined();
    expect(phases(left)).toEqual([where, "pending"]);
    const last = first.saved.at(-1);
    if (last === undefined) throw new Error("nothing was saved");
    const second = world();
    const over = await runRollout(last, second.io, never);
    expect(second.asked[0]).toBe(`a ${where}`);
    expect(phases(over)).toEqual(["done", "done"]);
  },
);

it("throws what is a bug, and leaves the record where it was", async () => {
  const { io, saved } = world({
    step: async (_guest, step) => {
      if (step === "upgrading") throw new Error("a bug");
      return GOOD[step];
    },
  });
  await expect(runRollout(rollout("a", "b"), io, never)).rejects.toThrow("a bug");
  expect(saved.at(-1)?.guests[0]?.phase).toBe("upgrading");
});

it("throws when the record cannot be written", async () => {
  let writes = 0;
  const { io } = world({
    save: () => {
      if (++writes > 2) throw new Error("no space left on device");
    },
  });
  await expect(runRollout(rollout("a"), io, never)).rejects.toThrow("no space left");
});

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "bootshare-upgrade-"));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

it("is kept in a file that is read back whole, and one process carries it out", async () => {
  const paths = statePaths(root);
  expect(readRollout(paths)).toBeUndefined();
  writeRollout(rollout("a"), paths);
  expect(readRollout(paths)?.guests).toMatchObject([{ name: "a", phase: "pending" }]);
  expect(isRolloutRunning(paths)).toBe(false);
  await withRolloutLock(async () => {
    expect(isRolloutRunning(paths)).toBe(true);
    const second = withRolloutLock(async () => {}, paths);
    await expect(second).rejects.toMatchObject({
      code: "UPGRADE_RUNNING",
      message: "Another 'bootshare upgrade' is under way on this machine.",
    });
  }, paths);
  expect(isRolloutRunning(paths)).toBe(false);
});

it("says which file it does not understand", () => {
  const paths = statePaths(root);
  writeFileSync(paths.upgrade, `${readFileSync("package.json", "utf8")}`);
  let said: unknown;
  try {
    readRollout(paths);
  } catch (error) {
    said = error;
  }
  expect(said).toBeInstanceOf(UserError);
  expect(said).toMatchObject({ code: "UPGRADE_UNREADABLE" });
  expect(String(said)).toContain(paths.upgrade);
});
