/** Builders made ready: real folders and locks, and in libvirt's place what this file says that there is. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { ensureBuilder } from "../../../src/builder/base.ts";
import { UserError } from "../../../src/errors.ts";
import type { MakingSteps } from "../../../src/guest/base-guest.ts";
import type { Guest } from "../../../src/guest/inventory.ts";
import { guestPathsOf } from "../../../src/paths.ts";

const UUID = "11111111-2222-4333-8444-555555555555";
const TARGET = { suite: "trixie", arch: "amd64" } as const;
const MIRRORS = { archive: "http://mirror.example.org/debian", security: undefined, updates: true };

let root: string;
/** libvirt's word for the builder's state; undefined where there is none. */
let domain: string | undefined;
let did: string[];

vi.mock("../../../src/mode.ts", async (original) => {
  const real = await original<typeof import("../../../src/mode.ts")>();
  return {
    ...real,
    workMode: () => ({ ...real.workMode(), name: "session", stateRoot: root, folderMode: 0o700 }),
  };
});
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
    domain = "shut off";
  },
}));

function guest(): Guest {
  const status = { state: domain, reason: "", saved: false, asOf: new Date() } as Guest["status"];
  return { uuid: UUID, name: "builder-trixie-amd64", status, paths: guestPathsOf(UUID) };
}

async function ensure(mirrors: Parameters<typeof ensureBuilder>[1]["mirrors"] = MIRRORS) {
  return await ensureBuilder(TARGET, { accel: "auto", mirrors }, () => {}, new AbortController().signal);
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "bootshare-base-"));
  domain = undefined;
  did = [];
});
afterEach(() => rmSync(root, { recursive: true }));

describe("a builder's mirrors", () => {
  it("are those that it was made with, whatever a later build would choose", async () => {
    expect((await ensure()).mirrors).toEqual(MIRRORS);
    expect(JSON.parse(did[0]?.slice("made ".length) ?? "")).toMatchObject({
      mirror: MIRRORS.archive,
      security: false,
      updates: true,
    });
    const other = { archive: "http://other.example.org/debian", security: undefined, updates: false };
    expect((await ensure(other)).mirrors).toEqual(MIRRORS);
    expect(did).toHaveLength(1);
  });

  it("are unknown of an old one", async () => {
    mkdirSync(guestPathsOf(UUID).dir, { recursive: true });
    domain = "shut off";
    expect((await ensure()).mirrors).toBeUndefined();
  });
});
