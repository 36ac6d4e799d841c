import { expect, it } from "vitest";
import { lostWorkers } from "../../../src/builder/lost-worker.ts";
import type { DutyLook } from "../../../src/builder/upgrade-steps.ts";
import { UserError } from "../../../src/errors.ts";
import type { Guest } from "../../../src/guest/inventory.ts";
import { guestPaths } from "../../../src/paths.ts";

const status = { state: "running", reason: "booted", saved: false };
const guest: Guest = { uuid: "u1", name: "w1", status, paths: guestPaths("/nonexistent") };
const UP: DutyLook = { up: true, jobs: [] };
const DOWN: DutyLook = { up: false, jobs: [] };
const LOST = { code: "WORKER_LOST" };

/** What is said after each look, which are so many minutes apart. */
async function says(
  looks: readonly (DutyLook | undefined)[],
  minutes: number,
  isActive = async (): Promise<boolean> => true,
) {
  let at = 0;
  const left = [...looks];
  const ask = lostWorkers({ isActive, look: async () => left.shift() }, () => at);
  const said: (string | undefined)[] = [];
  for (const _ of looks) {
    said.push((await ask(guest))?.code);
    at += minutes * 60_000;
  }
  return said;
}

it("is lost when it took part, and then did not for ten minutes", async () => {
  expect(await says([UP, DOWN, DOWN, DOWN], 5)).toEqual([undefined, undefined, LOST.code, LOST.code]);
});

it("is not lost for a while that was shorter", async () => {
  expect(await says([UP, DOWN, DOWN, UP, DOWN, DOWN], 4)).not.toContain(LOST.code);
});

it("is not lost where it never took part: it was drained before the roll-out", async () => {
  expect(await says([DOWN, DOWN, DOWN], 20)).not.toContain(LOST.code);
});

it("is not lost while its server cannot be asked, nor right after", async () => {
  expect(await says([UP, undefined, undefined, DOWN], 9)).not.toContain(LOST.code);
});

it("is not lost when somebody has drained it", async () => {
  expect(await says([UP, DOWN, DOWN], 11, async () => false)).not.toContain(LOST.code);
});

it("is lost where nobody can ask it whether it was drained", async () => {
  const refuse = async (): Promise<boolean> => {
    throw new UserError("WORKER_UNREACHABLE", "It does not answer.");
  };
  expect(await says([UP, DOWN], 11, refuse)).toContain(LOST.code);
});
