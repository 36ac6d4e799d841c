/** Base guests that are there: real folders and locks, and in libvirt's place what this file says that there is. */
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { appendEvents } from "../../../src/boot/log.ts";
import { UserError } from "../../../src/errors.ts";
import { ensureBaseGuest } from "../../../src/guest/base-guest.ts";
import type { SourceFacts } from "../../../src/guest/clone-source.ts";
import { clearUnfinished, markUnfinished, type Remedy, remedyFor } from "../../../src/guest/cut-short.ts";
import type { Guest } from "../../../src/guest/inventory.ts";
import { lockName } from "../../../src/guest/name.ts";
import { type GuestPaths, guestPathsOf } from "../../../src/paths.ts";

const UUID = "11111111-2222-4333-8444-555555555555";
const NAME = "base-trixie-amd64";

let root: string;
/** libvirt's word for its state; undefined where there is none. */
let domain: string | undefined;
let did: string[];
let said: string[];
/** Ends the making in the middle, as a kill would: nothing is taken back. */
let killed: string | undefined;

vi.mock("../../../src/mode.ts", async (original) =>
  (await import("../mode-in.ts")).modeIn(original, () => root),
);
vi.mock("../../../src/guest/inventory.ts", async (original) => ({
  ...(await original<object>()),
  findGuest: async () => {
    if (domain === undefined) throw new UserError("GUEST_NOT_FOUND", "none");
    const status = { state: domain, reason: "", saved: false, asOf: new Date() } as Guest["status"];
    return { uuid: UUID, name: NAME, status, paths: guestPathsOf(UUID) };
  },
}));
vi.mock("../../../src/guest/life.ts", async (original) => ({
  ...(await original<object>()),
  stopGuest: async () => {
    if (killed === "stop") throw new Error("killed");
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
vi.mock("../../../src/guest/create.ts", async (original) => ({
  ...(await original<object>()),
  Creation: class {
    readonly #inFolder: (paths: GuestPaths) => void;
    readonly needsService = false;
    constructor(_wishes: unknown, _source: unknown, inFolder: (paths: GuestPaths) => void) {
      this.#inFolder = inFolder;
    }
    steps() {
      const make = async (): Promise<void> => {
        mkdirSync(guestPathsOf(UUID).dir, { recursive: true });
        this.#inFolder(guestPathsOf(UUID));
        did.push("made");
        domain = "running";
        if (killed === "boot") throw new Error("killed");
        bootWell();
      };
      return [{ title: "Make it", run: make }];
    }
    async rollBack() {
      return [];
    }
  },
}));

/** Puts a good boot into its history. */
function bootWell(): void {
  const pair = { id: "0".repeat(32), release: "6.12", kernel: "vmlinuz-6.12", initrd: "initrd.img-6.12" };
  appendEvents(guestPathsOf(UUID), [{ e: "cloned", from: UUID, pair }]);
}

async function ensure(): Promise<string> {
  const wishes = { suite: "trixie", arch: "amd64" };
  return await ensureBaseGuest(
    wishes,
    (line) => said.push(line),
    new AbortController().signal,
    async () => {},
  );
}

/** A making that is cut short at a place. */
async function cutShort(where: "boot" | "stop"): Promise<void> {
  killed = where;
  await expect(ensure()).rejects.toThrow("killed");
  killed = undefined;
  did = [];
  said = [];
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "bootshare-base-"));
  domain = undefined;
  did = [];
  said = [];
  killed = undefined;
});
afterEach(() => rmSync(root, { recursive: true }));

describe("a base guest", () => {
  it("is made once, and has no mark when it is whole", async () => {
    expect(await ensure()).toBe(NAME);
    expect(await ensure()).toBe(NAME);
    expect(did).toEqual(["made", "stopped"]);
    expect(existsSync(guestPathsOf(UUID).unfinished)).toBe(false);
  });

  it.each(["running", "shut off"])("is made anew where its first boot was cut short: %s", async (state) => {
    await cutShort("boot");
    domain = state;
    await ensure();
    expect(did).toEqual(["deleted", "made", "stopped"]);
    expect(said[0]).toBe(
      "No boot of base-trixie-amd64 was ever good: its making was cut short. It is deleted, and made anew.",
    );
    expect(existsSync(guestPathsOf(UUID).unfinished)).toBe(false);
  });

  it("is stopped where it was left running after a good boot, and is a person's afterwards", async () => {
    await cutShort("stop");
    await ensure();
    expect(did).toEqual(["stopped"]);
    expect(said).toEqual(["base-trixie-amd64 is running: it is shut down."]);
    domain = "running";
    await ensure();
    expect(did).toEqual(["stopped"]);
  });

  it("is left running where a person has it so: whoever clones it says SOURCE_RUNNING", async () => {
    await ensure();
    did = [];
    domain = "running";
    expect(await ensure()).toBe(NAME);
    expect([did, domain]).toEqual([[], "running"]);
  });

  it.each(["running", "shut off"])(
    "is not deleted where a person made it, or took it up: %s",
    async (state) => {
      await cutShort("boot");
      clearUnfinished(guestPathsOf(UUID));
      domain = state;
      await ensure();
      expect([did, domain]).toEqual([[], state]);
    },
  );

  it("is not deleted while a 'create' makes one of its name", async () => {
    mkdirSync(guestPathsOf(UUID).dir, { recursive: true });
    markUnfinished(guestPathsOf(UUID));
    domain = "shut off";
    const unlock = lockName(NAME);
    await expect(ensure()).rejects.toMatchObject({ code: "NAME_TAKEN" });
    expect(did).toEqual([]);
    unlock();
  });
});

describe("remedyFor", () => {
  const GOOD: SourceFacts = {
    name: NAME,
    state: "shut off",
    saved: false,
    ephemeral: false,
    everGood: true,
    worker: false,
    foreign: false,
    snapshots: [],
  };
  it.each<[Partial<SourceFacts>, boolean, Remedy]>([
    [{}, true, "none"],
    [{}, false, "none"],
    [{ state: "running" }, true, "stop"],
    [{ state: "paused" }, true, "stop"],
    [{ state: "running" }, false, "none"],
    [{ saved: true }, true, "none"],
    [{ everGood: false }, true, "delete"],
    [{ everGood: false, state: "running" }, true, "delete"],
    [{ everGood: false, saved: true }, true, "delete"],
    [{ everGood: false }, false, "none"],
    [{ everGood: false, state: "running" }, false, "none"],
    // Somebody's disk, under the name of one of ours.
    [{ everGood: false, foreign: true }, true, "none"],
    [{ everGood: false, worker: true }, true, "none"],
    [{ everGood: false, ephemeral: true }, true, "none"],
  ])("%o, nobody's: %s: %s", (facts, nobodys, remedy) => {
    expect(remedyFor({ ...GOOD, ...facts }, nobodys)).toBe(remedy);
  });
});
