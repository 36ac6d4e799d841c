/** Deleting guests, with a libvirt that does between two questions what a real one may. */
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { deleteAbandoned } from "../../../src/guest/abandoned.ts";
import { deleteGuest, deleteOrphan } from "../../../src/guest/delete.ts";
import { findGuest } from "../../../src/guest/inventory.ts";
import { virshError } from "../../../src/libvirt/virsh-output.ts";
import { guestPathsOf } from "../../../src/paths.ts";

let root: string;
vi.mock("../../../src/mode.ts", async (original) =>
  (await import("../mode-in.ts")).modeIn(original, () => root),
);

interface Domain {
  uuid: string;
  name: string;
  state: string;
  active: boolean;
  persistent: boolean;
}
let domains: Domain[];
/** Definitions of domains, where a test gives them one. */
let xmls: Map<string, string>;
/** What was asked of libvirt that changes something. */
let calls: string[];
/** UUIDs of domains whose definitions were asked for. */
let dumped: string[];
/** Done when libvirt is asked to do something, before it does it. */
let meanwhile: (what: string) => void;

vi.mock("../../../src/libvirt/virsh.ts", () => {
  const find = (what: string, uuid: string): Domain => {
    calls.push(`${what} ${domains.find((one) => one.uuid === uuid)?.name ?? "nothing"}`);
    meanwhile(what);
    const domain = domains.find((one) => one.uuid === uuid);
    if (domain === undefined) throw virshError(what, `error: failed to get domain '${uuid}'`);
    return domain;
  };
  const drop = ({ uuid }: Domain): void => {
    domains = domains.filter((one) => one.uuid !== uuid);
  };
  return {
    domainStatuses: async () =>
      domains.map(({ uuid, name, state }) => ({ uuid, name, state, reason: "", saved: false })),
    dumpXml: async (uuid: string) => {
      dumped.push(uuid);
      meanwhile("dumpxml");
      const domain = domains.find((one) => one.uuid === uuid);
      if (domain === undefined) throw virshError("dumpxml", `error: failed to get domain '${uuid}'`);
      return xmls.get(uuid) ?? "<domain/>";
    },
    destroyDomain: async (uuid: string) => {
      const domain = find("destroy", uuid);
      if (!domain.active)
        throw virshError("destroy", "error: Requested operation is not valid: domain is not running");
      Object.assign(domain, { active: false, state: "shut off" });
      if (!domain.persistent) drop(domain);
    },
    undefineDomain: async (uuid: string) => {
      const domain = find("undefine", uuid);
      domain.persistent = false;
      if (!domain.active) drop(domain);
    },
  };
});

const GUEST = "11111111-2222-4333-8444-555555555555";

function domain(changes: Partial<Domain> = {}): Domain {
  return { uuid: GUEST, name: "w1", state: "shut off", active: false, persistent: true, ...changes };
}

const running = { state: "running", active: true };

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "bootshare-delete-"));
  const { dir, share, ephemeral } = guestPathsOf(GUEST);
  mkdirSync(dir, { recursive: true });
  mkdirSync(share);
  writeFileSync(ephemeral, "");
  domains = [];
  calls = [];
  dumped = [];
  xmls = new Map();
  meanwhile = () => {};
});
afterEach(() => rmSync(root, { recursive: true }));

const ways: [string, () => Promise<void>][] = [
  ["a guest", async () => await deleteGuest(await findGuest(GUEST), true)],
  ["an abandoned guest", async () => await deleteAbandoned(GUEST)],
];

describe.each(ways)("deleting %s", (_what, deleteIt) => {
  /** When libvirt was asked for the first thing, once. */
  const onFirst = (what: string, act: () => void): void => {
    let done = false;
    meanwhile = (asked) => {
      if (done || asked !== what) return;
      done = true;
      act();
    };
  };

  it.each<[string, Partial<Domain>, () => void, string[]]>([
    ["is off", {}, () => {}, ["undefine w1"]],
    ["runs", running, () => {}, ["destroy w1", "undefine w1"]],
    [
      "is shown as off while a start of it is under way",
      {},
      () => onFirst("undefine", () => Object.assign(domains[0] ?? {}, running)),
      ["undefine w1", "destroy w1"],
    ],
    [
      "is shown as off, and after that too, while a start of it is under way",
      {},
      () => onFirst("undefine", () => Object.assign(domains[0] ?? {}, { active: true })),
      ["undefine w1", "destroy w1"],
    ],
    [
      "whose start, under way, fails before it is ended",
      {},
      () => {
        onFirst("undefine", () => {
          Object.assign(domains[0] ?? {}, running);
          onFirst("destroy", () => {
            domains = [];
          });
        });
      },
      ["undefine w1", "destroy w1"],
    ],
    [
      "goes off by itself before its power is cut",
      running,
      () => onFirst("destroy", () => Object.assign(domains[0] ?? {}, { active: false, state: "shut off" })),
      ["destroy w1", "undefine w1"],
    ],
    [
      "was made transient by a deletion that was killed",
      { ...running, persistent: false },
      () => {},
      ["destroy w1", "undefine nothing"],
    ],
  ])("one that %s: nothing of it runs, and its folder is gone", async (_case, state, happens, asked) => {
    domains = [domain(state)];
    happens();
    await deleteIt();
    expect([calls, domains, existsSync(guestPathsOf(GUEST).dir)]).toEqual([asked, [], false]);
  });

  it.each(["destroy", "undefine"])("is not done where virsh %s fails: its folder stays", async (what) => {
    domains = [domain(running)];
    onFirst(what, () => {
      throw virshError(what, "error: something new");
    });
    await expect(deleteIt()).rejects.toMatchObject({ code: "LIBVIRT_FAILED" });
    expect(existsSync(guestPathsOf(GUEST).dir)).toBe(true);
  });
});

describe("a guest in whose folder virt-clone put another's disk", () => {
  const COPY = "22222222-2222-4333-8444-555555555555";
  const refused = {
    code: "FOLDER_IN_USE",
    message: expect.stringMatching(/: the domain w2 names files in it \(.*\/disk-clone\.qcow2\)\.$/),
  };
  const disk = (): string => join(guestPathsOf(GUEST).dir, "disk-clone.qcow2");
  beforeEach(() => {
    writeFileSync(disk(), "their disk");
    xmls.set(COPY, `<domain><devices><disk><source file='${disk()}'/></disk></devices></domain>`);
  });

  it.each([{}, running])("is not deleted: nothing is ended, undefined or removed (%j)", async (state) => {
    domains = [domain(state), domain({ uuid: COPY, name: "w2" })];
    const before = structuredClone(domains);
    await expect(deleteGuest(await findGuest(GUEST), true)).rejects.toMatchObject(refused);
    expect([calls, domains, existsSync(disk())]).toEqual([[], before, true]);
  });

  it("is not deleted when its own domain is gone, either", async () => {
    domains = [domain({ uuid: COPY, name: "w2" })];
    await expect(deleteOrphan(GUEST)).rejects.toMatchObject(refused);
    expect(existsSync(disk())).toBe(true);
    domains = [];
    await deleteOrphan(GUEST);
    expect(existsSync(guestPathsOf(GUEST).dir)).toBe(false);
  });

  it("is deleted where the other domain went between the list and the question", async () => {
    domains = [domain(), domain({ uuid: COPY, name: "w2" })];
    meanwhile = (what) => {
      if (what === "dumpxml") domains.splice(1);
    };
    await deleteGuest(await findGuest(GUEST), false);
    expect([dumped, existsSync(disk())]).toEqual([[COPY], false]);
  });

  it("asks for no definition where it is ephemeral and abandoned", async () => {
    domains = [domain(), domain({ uuid: COPY, name: "w2" })];
    xmls.clear();
    await deleteAbandoned(GUEST);
    expect([dumped, calls]).toEqual([[], ["undefine w1"]]);
  });
});
