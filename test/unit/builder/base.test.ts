/** Builders made ready: real folders and locks, and in libvirt's place what this file says that there is. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { appendEvents } from "../../../src/boot/log.ts";
import { type Builder, type BuilderOptions, ensureBuilder } from "../../../src/builder/base.ts";
import { UserError } from "../../../src/errors.ts";
import { makeHeldFolder } from "../../../src/guest/abandoned.ts";
import type { MakingSteps } from "../../../src/guest/base-guest.ts";
import type { Guest } from "../../../src/guest/inventory.ts";
import { builderUseLock, guestPathsOf } from "../../../src/paths.ts";

const UUID = "11111111-2222-4333-8444-555555555555";
const TARGET = { suite: "trixie", arch: "amd64" } as const;
const MIRRORS = { archive: "http://mirror.example.org/debian", security: undefined, updates: true };

let root: string;
/** libvirt's word for the builder's state; undefined where there is none. */
let domain: string | undefined;
let did: string[];
let said: string[];
let releases: (() => void)[];
/** What the making of a builder waits for. */
let making: Promise<void>;
const { signal } = new AbortController();

vi.mock("../../../src/mode.ts", async (original) =>
  (await import("../mode-in.ts")).modeIn(original, () => root),
);
vi.mock("../../../src/guest/inventory.ts", async (original) => ({
  ...(await original<object>()),
  definitionOf: async () => ({ metadata: { suite: "trixie", role: "builder" }, userland: "amd64" }),
  findGuest: async () => {
    if (domain === undefined) throw new UserError("GUEST_NOT_FOUND", "none");
    return guest();
  },
}));
vi.mock("../../../src/guest/base-guest.ts", async (original) => ({
  ...(await original<object>()),
  makeBaseGuest: async (wishes: object, _say: unknown, _signal: unknown, { inFolder }: MakingSteps) => {
    did.push(`made ${JSON.stringify(wishes)}`);
    mkdirSync(guestPathsOf(UUID).dir, { recursive: true });
    inFolder?.(guestPathsOf(UUID));
    await making;
    bootWell();
    domain = "shut off";
  },
}));
vi.mock("../../../src/guest/life.ts", async (original) => ({
  ...(await original<object>()),
  stopGuest: async () => {
    did.push("stopped");
    domain = "shut off";
  },
}));
vi.mock("../../../src/guest/delete.ts", async (original) => ({
  ...(await original<object>()),
  deleteGuest: async () => {
    did.push("deleted");
    rmSync(guestPathsOf(UUID).dir, { recursive: true });
    domain = undefined;
  },
}));

/** Puts a good boot into its history. */
function bootWell(): void {
  const pair = { id: "0".repeat(32), release: "6.12", kernel: "vmlinuz-6.12", initrd: "initrd.img-6.12" };
  appendEvents(guestPathsOf(UUID), [{ e: "cloned", from: UUID, pair }]);
}

function guest(): Guest {
  const status = { state: domain, reason: "", saved: false, asOf: new Date() } as Guest["status"];
  return { uuid: UUID, name: "builder-trixie-amd64", status, paths: guestPathsOf(UUID) };
}

async function ensure(wishes: Partial<BuilderOptions> = {}): Promise<Builder> {
  const options = { accel: "auto", mirrors: MIRRORS, renew: false, ...wishes } as const;
  const builder = await ensureBuilder(TARGET, options, (line) => said.push(line), signal);
  releases.push(builder.release);
  return builder;
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "bootshare-base-"));
  domain = undefined;
  did = [];
  said = [];
  releases = [];
  making = Promise.resolve();
});
afterEach(() => {
  for (const release of releases) release();
  rmSync(root, { recursive: true });
});

describe("a builder's mirrors", () => {
  it("are those that it was made with, whatever a later build would choose", async () => {
    expect((await ensure()).mirrors).toEqual(MIRRORS);
    expect(JSON.parse(did[0]?.slice("made ".length) ?? "")).toMatchObject({
      mirror: MIRRORS.archive,
      security: false,
      updates: true,
    });
    const other = { archive: "http://other.example.org/debian", security: undefined, updates: false };
    expect((await ensure({ mirrors: other })).mirrors).toEqual(MIRRORS);
    expect(did).toHaveLength(1);
  });

  it("are unknown of an old one", async () => {
    mkdirSync(guestPathsOf(UUID).dir, { recursive: true });
    bootWell();
    domain = "shut off";
    expect((await ensure()).mirrors).toBeUndefined();
  });
});

describe("a builder that is to be made anew", () => {
  const BUSY = {
    code: "BUILDER_BUSY",
    exitCode: 4,
    message: "Builds of the builder builder-trixie-amd64 run: it stays as it is.",
    hint: "Make it anew when they have come to their end, or build without --renew-builder.",
  };
  const what = (): string[] => did.map((one) => one.split(" ")[0] ?? "");

  it("is removed and made, where nobody uses it", async () => {
    (await ensure()).release();
    await ensure({ renew: true });
    expect(what()).toEqual(["made", "deleted", "made"]);
  });

  it("stays while another command uses it, however many do, and whatever they are at", async () => {
    const one = await ensure();
    const other = await ensure();
    await expect(ensure({ renew: true })).rejects.toMatchObject(BUSY);
    one.release();
    one.release();
    await expect(ensure({ renew: true })).rejects.toMatchObject(BUSY);
    expect(what()).toEqual(["made"]);
    other.release();
    await ensure({ renew: true });
    expect(what()).toEqual(["made", "deleted", "made"]);
  });

  it("stays while a guest is there that was cloned from it", async () => {
    (await ensure()).release();
    const clone = makeHeldFolder("22222222-2222-4333-8444-555555555555", UUID);
    await expect(ensure({ renew: true })).rejects.toMatchObject(BUSY);
    clone.release();
    await ensure({ renew: true });
    expect(what()).toEqual(["made", "deleted", "made"]);
  });

  it("stays while it is drained", async () => {
    (await ensure()).release();
    writeFileSync(guestPathsOf(UUID).drained, "2026-01-01T00:00:00.000Z\n");
    await expect(ensure({ renew: true })).rejects.toMatchObject({ code: "BUILDER_DRAINED" });
    expect(what()).toEqual(["made"]);
  });

  it("is waited for where another command is just making it, and is that command's then", async () => {
    let made = (): void => {};
    making = new Promise((resolve) => {
      made = resolve;
    });
    const first = ensure();
    await vi.waitFor(() => expect(what()).toEqual(["made"]));
    // As libvirt has it from the moment when it is defined.
    domain = "running";
    const second = ensure({ renew: true }).catch((error: unknown) => error);
    await vi.waitFor(() =>
      expect(said).toEqual(["waiting for another command, which makes builder-trixie-amd64 ready"]),
    );
    expect(what()).toEqual(["made"]);
    made();
    await first;
    expect(await second).toMatchObject(BUSY);
    expect(what()).toEqual(["made"]);
  });

  it("can be had again when the process that used it was killed", async () => {
    (await ensure()).release();
    const use = builderUseLock("builder-trixie-amd64");
    const user = spawn("flock", ["--shared", use, "sleep", "60"], { stdio: "ignore", detached: true });
    await vi.waitFor(async () => await expect(ensure({ renew: true })).rejects.toMatchObject(BUSY));
    if (user.pid !== undefined) process.kill(-user.pid, "SIGKILL");
    await vi.waitFor(async () => await ensure({ renew: true }));
    expect(what().slice(-2)).toEqual(["deleted", "made"]);
    expect(existsSync(use)).toBe(true);
  });
});

describe("a builder that is there", () => {
  const there = (state: string): void => {
    mkdirSync(guestPathsOf(UUID).dir, { recursive: true });
    domain = state;
  };

  it("is shut down where somebody looked into it", async () => {
    there("running");
    bootWell();
    await ensure();
    expect(did).toEqual(["stopped"]);
    expect(said).toEqual(["builder-trixie-amd64 is running: it is shut down."]);
  });

  it.each(["shut off", "running"])("is made anew where no boot of it was ever good: %s", async (state) => {
    there(state);
    await ensure();
    expect(did.map((one) => one.split(" ")[0])).toEqual(["deleted", "made"]);
    expect(said).toEqual([
      "No boot of builder-trixie-amd64 was ever good: its making was cut short. It is deleted, and made anew.",
    ]);
  });

  it("stays as it is while it is drained, however it is", async () => {
    there("running");
    writeFileSync(guestPathsOf(UUID).drained, "2026-01-01T00:00:00.000Z\n");
    await expect(ensure()).rejects.toMatchObject({ code: "BUILDER_DRAINED" });
    expect(did).toEqual([]);
  });
});
