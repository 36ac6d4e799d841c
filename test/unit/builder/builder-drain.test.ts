/** Draining a builder: what counts is on this host, in folders that are locked as those of real builds are. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { requireUndrained } from "../../../src/builder/builder-drain.ts";
import { drain, drainState, undrain } from "../../../src/builder/drain.ts";
import { heldFrom, makeHeldFolder } from "../../../src/guest/abandoned.ts";
import type { Guest } from "../../../src/guest/inventory.ts";
import { guestPathsOf } from "../../../src/paths.ts";

let root: string;
vi.mock("../../../src/mode.ts", async (original) =>
  (await import("../mode-in.ts")).modeIn(original, () => root),
);
vi.mock("../../../src/guest/inventory.ts", async (original) => ({
  ...(await original<object>()),
  definitionOf: async () => ({ metadata: { role: "builder" } }),
}));

const BUILDER = "11111111-2222-4333-8444-555555555555";
const ANOTHER = "22222222-2222-4333-8444-555555555555";
const BUILDS = ["33333333-2222-4333-8444-555555555555", "44444444-2222-4333-8444-555555555555"] as const;
let guest: Guest;
let said: string[];
const options = (timeoutMs = 60_000) => ({
  by: "person" as const,
  timeoutMs,
  say: (sentence: string) => void said.push(sentence),
});

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "bootshare-builder-"));
  const paths = guestPathsOf(BUILDER);
  mkdirSync(paths.dir, { recursive: true });
  const status = { state: "shut off", reason: "", saved: false, asOf: new Date() } as Guest["status"];
  guest = { uuid: BUILDER, name: "builder-trixie-amd64", status, paths };
  said = [];
});
afterEach(() => rmSync(root, { recursive: true }));

describe("a builder", () => {
  it("is drained at once when nothing is built, and until it is put back", async () => {
    expect(await drainState(guest)).toBe("active");
    requireUndrained(guest);
    expect(await drain(guest, options())).toBe(true);
    expect(said).toEqual([]);
    expect(await drainState(guest)).toBe("drained");
    const since = readFileSync(guest.paths.drained, "utf8");
    expect(() => requireUndrained(guest)).toThrowError(
      expect.objectContaining({
        code: "BUILDER_DRAINED",
        exitCode: 4,
        message: `The builder builder-trixie-amd64 is drained since ${since.trim()}: no build begins.`,
        hint: "bootshare undrain builder-trixie-amd64",
      }),
    );
    await drain(guest, options());
    expect(readFileSync(guest.paths.drained, "utf8")).toBe(since);
    expect(await undrain(guest, "person")).toBe("back");
    requireUndrained(guest);
    expect(await drainState(guest)).toBe("active");
    // Again, in the state that it is in.
    await undrain(guest, "person");
  });

  it("waits for the builds in its clones, and for nobody else's", async () => {
    const builds = BUILDS.map((uuid) => makeHeldFolder(uuid, BUILDER));
    const other = makeHeldFolder(ANOTHER, ANOTHER);
    expect(heldFrom(BUILDER).sort()).toEqual([...BUILDS]);
    const draining = drain(guest, options());
    await vi.waitFor(() => expect(said).toHaveLength(1));
    expect(await drainState(guest)).toBe("draining");
    builds[0]?.release();
    await vi.waitFor(() => expect(said).toHaveLength(2));
    builds[1]?.release();
    await draining;
    expect(said).toEqual([
      "No build begins in builder-trixie-amd64; waiting for 2 builds to end",
      "No build begins in builder-trixie-amd64; waiting for a build to end",
    ]);
    other.release();
  });

  it("is not said to be drained when that was taken back while it waited", async () => {
    const build = makeHeldFolder(BUILDS[0], BUILDER);
    const draining = drain(guest, options());
    await vi.waitFor(() => expect(said).toHaveLength(1));
    const refused = expect(draining).rejects.toMatchObject({ code: "DRAIN_TAKEN_BACK" });
    await undrain(guest, "person");
    build.release();
    await refused;
    requireUndrained(guest);
  });

  it.each([
    ["a roll-out, which puts it back", ["upgrade"], "back"],
    ["a person, and then a roll-out", ["person", "upgrade"], "kept"],
    ["a roll-out, and then a person", ["upgrade", "person"], "kept"],
  ] as const)("is drained by %s", async (_whom, order, came) => {
    for (const by of order) await drain(guest, { ...options(), by });
    expect(() => requireUndrained(guest)).toThrowError(/ is drained since 20\S+Z: no build begins\.$/);
    expect(await undrain(guest, "upgrade")).toBe(came);
    expect(await drainState(guest)).toBe(came === "back" ? "active" : "drained");
  });

  it("goes on draining when the time is up, or the waiting is interrupted", async () => {
    const build = makeHeldFolder(BUILDS[0], BUILDER);
    await expect(drain(guest, options(0))).rejects.toMatchObject({
      code: "DRAIN_TIMEOUT",
      exitCode: 6,
      message: "There is still a build of the builder builder-trixie-amd64 after 0 s; no new one begins.",
    });
    expect(await drainState(guest)).toBe("draining");
    const stop = new AbortController();
    const draining = drain(guest, { ...options(), signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(draining).rejects.toThrow();
    expect(() => requireUndrained(guest)).toThrow();
    build.release();
    expect(await drainState(guest)).toBe("drained");
  });
});
