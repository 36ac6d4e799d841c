/** Draining by what the guest's program says; the program itself is in in-guest-worker.test.ts. */
import { closeSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { drain, drainState, undrain } from "../../../src/builder/drain.ts";
import type { Guest } from "../../../src/guest/inventory.ts";
import { readWorker, type Worker, writeWorker } from "../../../src/guest/worker.ts";
import { guestPaths } from "../../../src/paths.ts";
import { tryLock } from "../../../src/process.ts";

const { calls, answers, domain } = vi.hoisted(() => ({
  calls: [] as string[],
  answers: [] as { exitCode: number; stderr?: string }[],
  domain: { state: "running" },
}));
vi.mock("../../../src/guest/ssh.ts", async (importOriginal) => ({
  ...(await importOriginal<object>()),
  captureInGuest: async (_guest: Guest, command: readonly string[]) => {
    calls.push(command.slice(1).join(" "));
    return { exitCode: 0, stdout: "", stderr: "", timedOut: false, ...answers.shift() };
  },
}));
vi.mock("../../../src/guest/inventory.ts", () => ({
  definitionOf: async () => ({ metadata: {} }),
  findGuest: async () => ({ ...guest, status: { ...guest.status, ...domain } }),
}));

/** Nobody listens there: what a guest builds is not known. */
const NOBODY = { host: "127.0.0.1", port: 65_111 };
const WORKER: Worker = {
  schema: 1,
  role: "obs-worker",
  repo: NOBODY,
  src: NOBODY,
  instances: 1,
  jobs: 1,
  hostname: "b1",
  portBase: 25_400,
};
let guest: Guest;
let said: string[];
const options = (timeoutMs = 600_000) => ({
  by: "person" as const,
  timeoutMs,
  say: (sentence: string) => void said.push(sentence),
});
const recorded = () => readWorker(guest.paths)?.drained;

beforeEach(() => {
  const paths = guestPaths(mkdtempSync(join(tmpdir(), "bootshare-drain-")));
  const status = { state: "running", reason: "booted", saved: false, asOf: new Date() } as Guest["status"];
  guest = { uuid: "ad411eef-5f15-4fa5-b4cd-227f7aca771d", name: "b1", status, paths };
  calls.length = 0;
  answers.length = 0;
  domain.state = "running";
  said = [];
  writeWorker(paths, WORKER);
});
afterEach(() => rmSync(guest.paths.dir, { recursive: true }));

describe("drain", () => {
  it("waits until no job runs, and says what for, once", async () => {
    answers.push({ exitCode: 3 }, { exitCode: 3 }, { exitCode: 0 });
    expect(await drain(guest, options())).toBe(true);
    expect(calls).toEqual(["drain", "wait 60", "wait 60"]);
    expect(said).toEqual(["b1 takes no new jobs; waiting for the one that runs"]);
    expect(recorded()).toMatch(/^20/);
    expect(await drainState(guest)).toBe("drained");
  });

  it("goes on draining when the time is up before the job is done", async () => {
    answers.push({ exitCode: 3 });
    await expect(drain(guest, options(0))).rejects.toMatchObject({
      code: "DRAIN_TIMEOUT",
      exitCode: 6,
      message: "The guest b1 is still building after 0 s; it takes no new jobs.",
    });
    expect(recorded()).toBeDefined();
    answers.push({ exitCode: 3 });
    expect(await drainState(guest)).toBe("draining");
    expect(calls.at(-1)).toBe("wait 0");
  });

  it("keeps the time of the first of two drains", async () => {
    writeWorker(guest.paths, { ...WORKER, drained: "2024-01-01T00:00:00.000Z" });
    await drain(guest, options());
    expect(recorded()).toBe("2024-01-01T00:00:00.000Z");
  });

  it("says what the guest says when it cannot be told, with its control characters escaped", async () => {
    answers.push({ exitCode: 2, stderr: "no\u001b[31m such\n" });
    const error = await drain(guest, options()).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "WORKER_FAILED", detail: "no\\x1b[31m such" });
  });

  it("refuses a guest that is off, and one that goes off in the middle", async () => {
    domain.state = "shut off";
    const off = { ...guest, status: { ...guest.status, state: "shut off" } } as Guest;
    await expect(drain(off, options())).rejects.toMatchObject({
      code: "GUEST_OFF",
      exitCode: 4,
      message: "The guest b1 is shut off: it takes no jobs.",
    });
    expect(recorded()).toBeUndefined();
    await expect(drain(guest, options())).rejects.toMatchObject({ code: "GUEST_OFF" });
  });

  it("ends when it is told to, and stays draining", async () => {
    const stop = new AbortController();
    stop.abort(new Error("enough"));
    await expect(drain(guest, { ...options(), signal: stop.signal })).rejects.toThrow("enough");
    expect(recorded()).toBeDefined();
  });
});

describe("a drain and what is done meanwhile", () => {
  it("ends when it is taken back, and does not set it again", async () => {
    answers.push({ exitCode: 3 }, { exitCode: 4 });
    await expect(drain(guest, options())).rejects.toMatchObject({
      code: "DRAIN_TAKEN_BACK",
      exitCode: 4,
      message: "The drain of b1 was taken back while it waited.",
    });
    expect(calls).toEqual(["drain", "wait 60"]);
  });

  it("tells when the guest knows of it, and not before", async () => {
    const told: string[][] = [];
    answers.push({ exitCode: 1 });
    const wishes = { ...options(), told: () => void told.push([...calls]) };
    await expect(drain(guest, wishes)).rejects.toMatchObject({ code: "WORKER_FAILED" });
    expect(told).toEqual([]);
    answers.push({ exitCode: 3 });
    await drain(guest, wishes);
    expect(told).toEqual([["drain", "drain"]]);
  });

  it("waits for another one that tells the guest something", async () => {
    const fd = openSync(guest.paths.drainLock, "a");
    expect(tryLock(fd)).toBe(true);
    const waits = undrain(guest, "person");
    await sleep(500);
    expect(calls).toEqual([]);
    closeSync(fd);
    expect(await waits).toBe("back");
    expect(calls).toEqual(["undrain"]);
  });

  it("is still draining where the guest was never told", async () => {
    writeWorker(guest.paths, { ...WORKER, drained: "2024-01-01T00:00:00.000Z" });
    answers.push({ exitCode: 4 });
    expect(await drainState(guest)).toBe("draining");
  });
});

describe("a roll-out", () => {
  const rollout = () => ({ ...options(), by: "upgrade" as const });

  it("puts back what it drained", async () => {
    await drain(guest, rollout());
    expect(readWorker(guest.paths)).toMatchObject({ drained: expect.any(String), drainedBy: "upgrade" });
    expect(await undrain(guest, "upgrade")).toBe("back");
    expect(readWorker(guest.paths)).toEqual(WORKER);
  });

  it.each([
    ["before", ["person", "upgrade"]],
    ["in the meantime", ["upgrade", "person"]],
    ["in the meantime, and is drained once more by the roll-out", ["upgrade", "person", "upgrade"]],
  ] as const)("does not put back what a person drained %s", async (_when, order) => {
    for (const by of order) await drain(guest, { ...options(), by });
    const since = recorded();
    calls.length = 0;
    expect(await undrain(guest, "upgrade")).toBe("kept");
    expect(calls).toEqual([]);
    expect(recorded()).toBe(since);
    expect(await undrain(guest, "person")).toBe("back");
    expect(readWorker(guest.paths)).toEqual(WORKER);
  });
});

describe("undrain", () => {
  it("is forgotten only when the guest knows", async () => {
    writeWorker(guest.paths, { ...WORKER, drained: "2024-01-01T00:00:00.000Z" });
    answers.push({ exitCode: 1 });
    await expect(undrain(guest, "person")).rejects.toMatchObject({ code: "WORKER_FAILED" });
    expect(recorded()).toBeDefined();
    expect(await undrain(guest, "person")).toBe("back");
    expect(recorded()).toBeUndefined();
    expect(await drainState(guest)).toBe("active");
  });
});

it("has nothing to do for a guest without a role", async () => {
  rmSync(guest.paths.worker);
  expect(await drain(guest, options())).toBe(false);
  expect(await undrain(guest, "person")).toBeUndefined();
  expect(await drainState(guest)).toBeUndefined();
  expect(calls).toEqual([]);
});
