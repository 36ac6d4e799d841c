/** The steps of a roll-out in a guest that is made of facts: no libvirt, no ssh. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { NewEvent } from "../../../src/boot/events.ts";
import { survey } from "../../../src/boot/prepare.ts";
import type { Candidate, Selection } from "../../../src/boot/select.ts";
import { deriveState } from "../../../src/boot/state.ts";
import { hasUpgrades, upgradeEverything } from "../../../src/builder/guest-apt.ts";
import { type GuestRecord, newRollout, type Step } from "../../../src/builder/upgrade-plan.ts";
import { carryOut, type Duty, type DutyLook, isLost } from "../../../src/builder/upgrade-steps.ts";
import { UserError } from "../../../src/errors.ts";
import { findGuest, look } from "../../../src/guest/inventory.ts";
import { rebootGuest, waitForGood } from "../../../src/guest/life.ts";
import { guestPaths } from "../../../src/paths.ts";
import { pair, prepare, timeline } from "../boot/events.ts";

vi.mock("../../../src/guest/inventory.ts", { spy: true });
vi.mock("../../../src/guest/life.ts", { spy: true });
vi.mock("../../../src/builder/guest-apt.ts", { spy: true });
vi.mock("../../../src/boot/prepare.ts", { spy: true });
vi.mock("../../../src/boot/look-next.ts", () => ({
  lookAtNext: (_share: string, selection: Selection) => ({ selection, initrd: undefined }),
}));

const REPORT = { up: undefined, good: undefined, end: undefined, written: undefined };
const OLD = "6.12.1-amd64";
const NEW = "6.12.2-amd64";
const BAD = { release: NEW, reason: "it is bad: it was not good in 2 tries" };

function shared(release: string): Candidate {
  const files = { files: `files of ${release}`, kernel: "vmlinuz", initrd: "initrd.img" };
  return { release, source: "links", why: "", notes: [], arches: undefined, config: undefined, ...files };
}
const kept: Candidate = { release: OLD, source: "good", why: "", notes: [], pair: pair(OLD) };

/** A boot of a kernel, as its events tell it. */
const booted = (attempt: string, release: string, changes: object = {}): NewEvent[] => [
  { ...prepare(attempt, { release }), files: `files of ${release}`, ...changes } as NewEvent,
  { e: "started" },
];
const good = (attempt: string, release: string): NewEvent => ({ e: "good", attempt, release });

let state = deriveState([]);
let domain = "running";
let jobs: (DutyLook | undefined)[] = [];
let undrained: "back" | "kept" = "back";
const drained: string[] = [];
const said: string[] = [];
const duty: Duty = {
  isActive: async () => true,
  drain: async (_guest, { say }) => {
    drained.push("drain");
    say("waiting for test/hello");
  },
  undrain: async () => {
    drained.push("undrain");
    return undrained;
  },
  look: async () => (jobs.length > 1 ? jobs.shift() : jobs[0]),
};

beforeEach(() => {
  vi.resetAllMocks();
  domain = "running";
  undrained = "back";
  jobs = [undefined];
  drained.length = 0;
  said.length = 0;
  const guest = () => ({
    uuid: "u1",
    name: "w1",
    status: { state: domain, reason: "", saved: false },
    paths: guestPaths("/nonexistent"),
  });
  vi.mocked(findGuest).mockImplementation(async () => guest());
  vi.mocked(look).mockImplementation((present) => ({ ...present, report: REPORT, state }));
  vi.mocked(waitForGood).mockImplementation(async (present) => look(present));
  vi.mocked(rebootGuest).mockResolvedValue(undefined);
  vi.mocked(upgradeEverything).mockResolvedValue(undefined);
  vi.mocked(hasUpgrades).mockResolvedValue(false);
  boots([shared(OLD)]);
  ran(booted("a1", OLD), [good("a1", OLD)]);
});

function ran(...lists: NewEvent[][]): void {
  state = deriveState(timeline(...lists.flat()));
}
function boots(candidates: Candidate[], skipped: Selection["skipped"] = []): void {
  const selection = { candidates, skipped, reshape: undefined };
  vi.mocked(survey).mockReturnValue({ catalogue: undefined, selection });
}

async function step(what: Step, changes: Partial<GuestRecord> = {}, canarySeconds = 0) {
  const options = { rolling: 1, drain: true, canarySeconds, drainSeconds: 60, aptSeconds: 60 };
  const rollout = newRollout("r", [{ uuid: "u1", name: "w1" }], options, new Date());
  const [record] = rollout.guests;
  if (record === undefined) throw new Error("no guest");
  const { definitionOf } = await import("../../../src/guest/inventory.ts");
  vi.mocked(definitionOf).mockResolvedValue({ arch: "amd64", accel: "kvm" } as never);
  const { signal } = new AbortController();
  const say = (sentence: string): void => void said.push(sentence);
  return await carryOut({ ...record, phase: what, ...changes }, what, {
    rollout,
    duty,
    signal,
    pauseMs: 5,
    say,
  });
}

const REBOOT = {
  before: { attempt: "a1", release: OLD },
  expected: { release: NEW, source: "links", files: `files of ${NEW}` },
};

describe("checking", () => {
  it("has nothing to do", async () => {
    expect(await step("checking")).toEqual({ of: "checking", todo: false, active: false });
  });
  it("has packages to upgrade", async () => {
    vi.mocked(hasUpgrades).mockResolvedValue(true);
    expect(await step("checking")).toEqual({ of: "checking", todo: true, active: true });
  });
  it("finds a kernel that waits for a reboot", async () => {
    boots([shared(NEW), shared(OLD)]);
    expect(await step("checking")).toEqual({ of: "checking", todo: true, active: true });
  });
  it("stops at a kernel that would be passed over", async () => {
    boots([kept], [BAD]);
    expect(await step("checking")).toMatchObject({
      of: "failure",
      phase: "checking",
      working: true,
      problem: {
        code: "KERNEL_PASSED_OVER",
        sentence: `The guest w1 would not boot its newest kernel ${NEW}: it is bad: it was not good in 2 tries.`,
      },
    });
  });
  it("lets an upgrade come that may put that right", async () => {
    boots([kept], [BAD]);
    vi.mocked(hasUpgrades).mockResolvedValue(true);
    expect(await step("checking")).toMatchObject({ of: "checking", todo: true });
  });
  it.each([
    ["shut off", "The guest w1 is shut off."],
    ["paused", "The guest w1 is paused."],
  ])("refuses a guest that is %s", async (how, sentence) => {
    domain = how;
    expect(await step("checking")).toMatchObject({
      of: "failure",
      working: false,
      problem: { code: "GUEST_NOT_GOOD", sentence },
    });
  });
});

it("drains, and says what it waits for", async () => {
  expect(await step("draining")).toEqual({ of: "draining" });
  expect([drained, said]).toEqual([["drain"], ["waiting for test/hello"]]);
});

describe("upgrading", () => {
  it("needs no reboot where the same bytes would boot", async () => {
    expect(await step("upgrading")).toEqual({ of: "upgrading", before: REBOOT.before, expected: undefined });
  });
  it("needs one for a new kernel", async () => {
    boots([shared(NEW)]);
    expect(await step("upgrading")).toEqual({ of: "upgrading", ...REBOOT });
  });
  it("keeps the code, the hint and the end of the log of a failure", async () => {
    const failure = new UserError("UPGRADE_APT_FAILED", "In the guest w1 apt-get or dpkg failed.", {
      hint: "See it.",
      detail: "E: \u001b[2Jbroken",
    });
    vi.mocked(upgradeEverything).mockRejectedValue(failure);
    expect(await step("upgrading")).toEqual({
      of: "failure",
      phase: "upgrading",
      working: true,
      problem: {
        code: "UPGRADE_APT_FAILED",
        sentence: "In the guest w1 apt-get or dpkg failed.",
        hint: "See it.",
        detail: "E: \\x1b[2Jbroken",
      },
    });
  });
  it("throws what is a bug", async () => {
    vi.mocked(upgradeEverything).mockRejectedValue(new Error("a bug"));
    await expect(step("upgrading")).rejects.toThrow("a bug");
  });
});

describe("rebooting", () => {
  it("is good with the new kernel", async () => {
    vi.mocked(rebootGuest).mockImplementation(async () => {
      ran(booted("a1", OLD), [good("a1", OLD)], booted("a2", NEW), [good("a2", NEW)]);
    });
    expect(await step("rebooting", REBOOT)).toEqual({ of: "rebooting" });
    expect(said).toEqual([`rebooting into ${NEW}`]);
  });
  it("was rebooted already, by one that was killed", async () => {
    ran(booted("a1", OLD), [good("a1", OLD)], booted("a2", NEW), [good("a2", NEW)]);
    expect(await step("rebooting", REBOOT)).toEqual({ of: "rebooting" });
    expect(rebootGuest).not.toHaveBeenCalled();
  });
  it("was rolled back", async () => {
    const back = booted("a3", OLD, { source: "good", skipped: [BAD] });
    ran(booted("a1", OLD), [good("a1", OLD)], booted("a2", NEW), back, [good("a3", OLD)]);
    expect(await step("rebooting", REBOOT)).toMatchObject({
      of: "failure",
      working: true,
      problem: {
        code: "KERNEL_ROLLED_BACK",
        sentence: `The guest w1 came up with ${OLD} and not with ${NEW}: it is bad: it was not good in 2 tries.`,
      },
    });
  });
  it("was rolled back to another initrd of the same release", async () => {
    const expected = { release: OLD, source: "links", files: "files of a new initrd" };
    ran(booted("a1", OLD), [good("a1", OLD)], booted("a3", OLD, { source: "good" }), [good("a3", OLD)]);
    expect(await step("rebooting", { ...REBOOT, expected })).toMatchObject({
      problem: {
        sentence: `The guest w1 came up with the last good initrd of ${OLD} and not with the new one.`,
      },
    });
  });
  it.each([
    ["GUEST_FAILED", "shut off", false],
    ["BOOT_TIMEOUT", "running", false],
  ])("does not come up: %s", async (code, how, working) => {
    domain = how;
    ran(booted("a1", OLD), [good("a1", OLD)], booted("a2", NEW));
    vi.mocked(waitForGood).mockRejectedValue(new UserError(code, "It is not up."));
    expect(await step("rebooting", REBOOT)).toMatchObject({ of: "failure", working, problem: { code } });
  });
  it("does not shut down: it may be half down, and gets no work", async () => {
    vi.mocked(rebootGuest).mockRejectedValue(new UserError("STOP_TIMEOUT", "It did not shut down."));
    expect(await step("rebooting", REBOOT)).toMatchObject({ of: "failure", working: false });
  });
});

describe("undraining", () => {
  it("leaves alone what was not drained", async () => {
    expect(await step("undraining")).toEqual({ of: "undraining" });
    expect(drained).toEqual([]);
  });
  it("leaves one out of service that a person has drained meanwhile, and does not wait for it", async () => {
    undrained = "kept";
    jobs = [{ up: false, jobs: [] }];
    expect(await step("undraining", { drained: true })).toEqual({ of: "undraining" });
    expect(said).toEqual(["a person has drained it: it stays out of service"]);
  });
  it("puts it back, and its server sees it", async () => {
    jobs = [{ up: true, jobs: [] }];
    expect(await step("undraining", { drained: true })).toEqual({ of: "undraining" });
    expect(drained).toEqual(["undrain"]);
  });
});

describe("probation", () => {
  it("stays well for its time", async () => {
    expect(await step("probation")).toEqual({ of: "probation" });
    expect(said.at(-1)).toBe("it has stayed well");
  });
  it("finishes a build that it began in it", async () => {
    const old = "w1:1 test/old x 1";
    const its = "w1:1 test/new x 2";
    jobs = [[old], [old], [its], [its], []].map((list) => ({ up: true, jobs: list }));
    expect(await step("probation", {}, 3600)).toEqual({ of: "probation" });
    expect(said.at(-1)).toBe("it has finished a build");
    expect(jobs).toHaveLength(1);
  });
  it("is started anew in it", async () => {
    let looks = 0;
    vi.mocked(look).mockImplementation((present) => {
      if (++looks > 1) ran(booted("a1", OLD), booted("a2", OLD), [good("a2", OLD)]);
      return { ...present, report: REPORT, state };
    });
    expect(await step("probation", {}, 60)).toMatchObject({
      of: "failure",
      phase: "probation",
      problem: { code: "GUEST_RESTARTED", sentence: "The guest w1 was started anew in its trial." },
    });
  });
});

describe("one that was through", () => {
  const there = async (): Promise<undefined> => undefined;
  const lost = async () => await isLost({ uuid: "u1" } as GuestRecord, there);
  it("is well", async () => {
    expect(await lost()).toBeUndefined();
  });
  it("has failed since", async () => {
    ran(booted("a1", OLD), [{ e: "gave-up", why: "it resets" }]);
    expect(await lost()).toEqual({
      code: "GUEST_FAILED",
      sentence: "The guest w1 failed after its upgrade: it resets.",
    });
  });
  it("came up with its last good kernel since", async () => {
    ran(booted("a4", OLD, { source: "good", skipped: [BAD] }), [good("a4", OLD)]);
    const record = { uuid: "u1", expected: { release: BAD.release, source: "links" } } as GuestRecord;
    expect(await isLost(record, there)).toMatchObject({ code: "KERNEL_ROLLED_BACK" });
    // Another kernel went before: nobody expects this one any more.
    const other = { uuid: "u1", expected: { release: "6.1.0-99-amd64", source: "links" } } as GuestRecord;
    expect(await isLost(other, there)).toBeUndefined();
  });
  it("has a worker that is lost", async () => {
    const problem = { code: "WORKER_LOST", sentence: "It has been gone." };
    expect(await isLost({ uuid: "u1" } as GuestRecord, async () => problem)).toEqual(problem);
  });
  it("has a worker of which nothing can be read: that says nothing", async () => {
    const unreadable = async (): Promise<undefined> => {
      throw new UserError("WORKER_UNREADABLE", "It cannot be read.");
    };
    expect(await isLost({ uuid: "u1" } as GuestRecord, unreadable)).toBeUndefined();
  });
  it("cannot be asked about: that says nothing", async () => {
    vi.mocked(findGuest).mockRejectedValue(new UserError("LIBVIRT_UNREACHABLE", "It does not answer."));
    expect(await lost()).toBeUndefined();
  });
});
