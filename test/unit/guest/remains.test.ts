/** What killed commands have left: one remnant that cannot be removed is told of, and nothing else suffers from it. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { deleteRemains, type Remnant, remnantSentence } from "../../../src/guest/abandoned.ts";
import { cloneGuest } from "../../../src/guest/clone.ts";
import { deletedFolder, deleteFolder } from "../../../src/guest/delete.ts";
import { type Reconciled, reconcileAll } from "../../../src/guest/reconcile.ts";
import { virshError } from "../../../src/libvirt/virsh-output.ts";
import { guestPathsOf, statePaths } from "../../../src/paths.ts";

let root: string;
vi.mock("../../../src/mode.ts", async (original) =>
  (await import("../mode-in.ts")).modeIn(original, () => root),
);

const [STUCK, NEXT, GUEST] = [1, 2, 3].map((n) => `${n}1111111-2222-4333-8444-555555555555`) as [
  string,
  string,
  string,
];
/** UUIDs of domains. */
let domains: string[];

vi.mock("../../../src/libvirt/virsh.ts", () => ({
  domainStatuses: async () =>
    domains.map((uuid) => ({ uuid, name: `w${uuid[0]}`, state: "shut off", reason: "", saved: false })),
  undefineDomain: async (uuid: string) => {
    if (uuid === STUCK) throw virshError("undefine", "error: something new");
    domains = domains.filter((one) => one !== uuid);
  },
}));
/** Folders that cannot be removed. */
let stuck: string[];
vi.mock("../../../src/provision/bootstrap.ts", async (original) => ({
  ...(await original<object>()),
  removeTree: async (folder: string) => {
    if (!stuck.includes(folder)) rmSync(folder, { recursive: true, force: true });
  },
}));
/** Shares that were to be unmounted, and were there. */
let unmounted: string[];
vi.mock("../../../src/share/mount.ts", async (original) => ({
  ...(await original<object>()),
  unmountShare: (share: string) => {
    if (existsSync(share)) unmounted.push(share);
  },
}));

const below = (name: string): string => join(statePaths().guests, name);
const left = (name: string): string => {
  mkdirSync(join(below(name), "share"), { recursive: true });
  return below(name);
};
const abandoned = (uuid: string): void => {
  left(uuid);
  writeFileSync(guestPathsOf(uuid).ephemeral, GUEST);
};

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "bootshare-remains-"));
  left(GUEST);
  domains = [GUEST];
  stuck = [];
  unmounted = [];
  // Folders that are no guest yet, or no more, are left alone for some minutes.
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 11 * 60_000 });
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(root, { recursive: true });
});

const STUCK_PROBLEM = { name: STUCK, problem: "libvirt could not do it: virsh undefine failed." };
const stick = (): string => {
  abandoned(STUCK);
  abandoned(NEXT);
  domains.push(STUCK, NEXT);
  stuck = [left(".deleted-1")];
  left(".deleted-2");
  left(".new-3");
  return stuck[0] ?? "";
};

describe("deleteRemains", () => {
  it("removes all but what cannot be, and tells of that", async () => {
    const folder = stick();
    mkdirSync(statePaths().bases);
    const told: Remnant[] = [];
    await deleteRemains((remnant) => told.push(remnant));
    expect(told).toEqual([
      STUCK_PROBLEM,
      { name: ".deleted-1", problem: `${folder} could not be removed whole.` },
    ]);
    expect(readdirSync(statePaths().guests).sort()).toEqual([".deleted-1", STUCK, GUEST].sort());
  });

  it("tells of bases that could not be looked at, too", async () => {
    writeFileSync(statePaths().bases, "no folder");
    const told: Remnant[] = [];
    await deleteRemains((remnant) => told.push(remnant));
    expect(told).toMatchObject([{ name: statePaths().bases, problem: expect.stringContaining("ENOTDIR") }]);
  });

  it("unmounts the share of what was a guest", async () => {
    const folder = left(".deleted-2");
    await deleteRemains(() => {});
    expect([unmounted, existsSync(folder)]).toEqual([[join(folder, "share")], false]);
  });
});

it("a guest's share is unmounted again when its folder has its last name", async () => {
  const older = join(left(`.deleted-${GUEST}`), "share");
  await deleteFolder(GUEST);
  expect(unmounted).toEqual([guestPathsOf(GUEST).share, older, older]);
  expect(existsSync(deletedFolder(GUEST))).toBe(false);
});

it("is said in one line", () => {
  expect(remnantSentence({ name: ".deleted-1", problem: "it is\nbusy" })).toBe(
    "What a killed command has left, .deleted-1, cannot be removed: it is\\nbusy",
  );
});

it("keeps no clone from being made", async () => {
  stick();
  const told: string[] = [];
  await expect(cloneGuest("w3", { name: "w3", tell: (line) => told.push(line) })).rejects.toMatchObject({
    code: "NAME_TAKEN",
  });
  expect(told).toEqual([expect.stringContaining(STUCK), expect.stringContaining(".deleted-1")]);
});

it("keeps no round of the service from its guests, and is told once in it", async () => {
  stick();
  const reported: Reconciled[] = [];
  const told: Remnant[] = [];
  const views = await reconcileAll(
    false,
    (done) => reported.push(done),
    (remnant) => told.push(remnant),
  );
  expect(views.map(({ name }) => name)).toEqual(["w3"]);
  expect(reported.map(({ guest, problem }) => [guest.name, problem])).toEqual([
    ["w1", STUCK_PROBLEM.problem],
    ["w2", undefined],
  ]);
  expect(told.map(({ name }) => name)).toEqual([".deleted-1"]);
});
