/** The rounds of the service, with what comes of each given here. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Remnant } from "../../../src/guest/abandoned.ts";
import { statePaths } from "../../../src/paths.ts";
import { runService } from "../../../src/serve/service.ts";

let root: string;
vi.mock("../../../src/mode.ts", async (original) =>
  (await import("../mode-in.ts")).modeIn(original, () => root),
);
vi.mock("../../../src/guest/host.ts", () => ({ isHostStopping: async () => false, hasSystemd: () => false }));
vi.mock("../../../src/builder/forwards.ts", () => ({ ensureForwards: async () => undefined }));

let round: (tell: (remnant: Remnant) => void) => void;
vi.mock("../../../src/guest/reconcile.ts", () => ({
  reconcileAll: async (_stopping: boolean, _report: unknown, tell: (remnant: Remnant) => void) => {
    round(tell);
    return [];
  },
}));

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "bootshare-service-"));
});
afterEach(() => rmSync(root, { recursive: true }));

it("says what cannot be removed when that changes, and not in every round", async () => {
  const problems = [
    "it is busy",
    "it is busy",
    "the disk fails",
    undefined,
    "the disk fails",
    "the disk fails",
  ];
  const end = new AbortController();
  const said: string[] = [];
  let rounds = 0;
  round = (tell) => {
    const problem = problems[rounds++];
    if (rounds >= problems.length) end.abort();
    // Wakes it, so that the next round comes at once.
    else writeFileSync(join(statePaths().released, String(rounds)), "");
    if (problem !== undefined) tell({ name: ".deleted-1", problem });
  };
  await runService(end.signal, (line) => said.push(line));
  expect(said).toEqual([
    "bootshare service: watching",
    "What a killed command has left, .deleted-1, cannot be removed: it is busy",
    "What a killed command has left, .deleted-1, cannot be removed: the disk fails",
    "What a killed command has left, .deleted-1, cannot be removed: the disk fails",
    "bootshare service: stopped",
  ]);
});
