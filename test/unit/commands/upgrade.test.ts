import { describe, expect, it } from "vitest";
import { changeLines } from "../../../src/builder/upgrade.ts";
import { type GuestRecord, newRollout, type Rollout } from "../../../src/builder/upgrade-plan.ts";
import { documentOf, notPutBack, rolloutLines, rolloutRows, upgrade } from "../../../src/commands/upgrade.ts";

const AT = new Date("2026-01-01T00:00:00Z");
const OPTIONS = { rolling: 2, drain: true, canarySeconds: 600, drainSeconds: 60, aptSeconds: 60 };
const PROBLEM = {
  code: "KERNEL_ROLLED_BACK",
  sentence: "The guest w1 came up with 6.1 and not with 6.2: it is bad: it was not good in 2 tries.",
};
const BOOT = {
  before: { attempt: "a", release: "6.1" },
  expected: { release: "6.2", source: "links", files: "f" },
} as const;

function rollout(...changes: Partial<GuestRecord>[]): Rollout {
  const names = changes.map((_, i) => ({ uuid: `u${i + 1}`, name: `w${i + 1}` }));
  const made = newRollout("r", names, OPTIONS, AT);
  return { ...made, guests: made.guests.map((guest, i) => ({ ...guest, ...changes[i] })) };
}

const stopped: Rollout = {
  ...rollout(
    { phase: "failed", canary: true, problem: PROBLEM, ...BOOT },
    { phase: "held" },
    { phase: "held", result: "upgraded", ...BOOT },
  ),
  stopped: { ...PROBLEM, at: AT.toISOString(), guest: "u1" },
  ended: AT.toISOString(),
};

it("shows a row for each guest", () => {
  expect(
    rolloutRows(
      rollout(
        { phase: "done", canary: true, result: "rebooted", ...BOOT },
        { phase: "done", result: "up-to-date" },
        { phase: "rebooting", result: "upgraded", drained: true, ...BOOT },
        { phase: "pending" },
      ),
    ),
  ).toEqual([
    "GUEST  PHASE              WHAT",
    "w1     done       canary  6.1 -> 6.2",
    "w2     done               up to date",
    "w3     rebooting          upgraded",
    "w4     pending",
  ]);
  expect(rolloutRows(stopped)).toEqual([
    "GUEST  PHASE           WHAT",
    `w1     failed  canary  ${PROBLEM.sentence}`,
    "w2     held",
    "w3     held            upgraded; 6.2 waits for a reboot",
  ]);
});

it("says of a guest that is still out of service that it is", () => {
  const [, row] = rolloutRows(
    rollout({ phase: "failed", drained: true, problem: { code: "X", sentence: "It is off." } }),
  );
  expect(row).toContain("It is off.; out of service");
});

it.each([
  [rollout({}), true, "is under way."],
  [rollout({}), false, "was interrupted: 'bootshare upgrade --resume' goes on, '--abandon' ends it."],
  [stopped, false, "It was stopped: The guest w1 came up with 6.1"],
])("says how a roll-out stands", (record, running, expected) => {
  expect(rolloutLines(record, running).join("\n")).toContain(expected);
});

it("is a document", () => {
  expect(documentOf(stopped)).toMatchObject({
    stopped: { guest: "u1", code: "KERNEL_ROLLED_BACK" },
    rolling: 2,
    guests: [
      {
        name: "w1",
        phase: "failed",
        canary: true,
        before: "6.1",
        kernel: "6.2",
        problem: { code: PROBLEM.code },
      },
      { name: "w2", phase: "held", result: null, kernel: null, problem: null },
      { name: "w3", result: "upgraded" },
    ],
  });
});

describe("what is said on the way", () => {
  const guest = (changes: Partial<GuestRecord>): GuestRecord => {
    const [made] = rollout(changes).guests;
    if (made === undefined) throw new Error("no guest");
    return made;
  };
  it.each<[string, GuestRecord, GuestRecord, Rollout, unknown[]]>([
    [
      "a drain",
      guest({ phase: "checking" }),
      guest({ phase: "draining", drained: true }),
      rollout({}),
      [["w1", "takes no new work; waiting for what it is at"]],
    ],
    [
      "a new kernel that is good",
      guest({ phase: "rebooting", ...BOOT }),
      guest({ phase: "undraining", drained: true, ...BOOT }),
      rollout({}),
      [
        ["w1", "up and good with 6.2"],
        ["w1", "back to work"],
      ],
    ],
    [
      "a failure",
      guest({ phase: "rebooting", ...BOOT }),
      guest({ phase: "failed", problem: PROBLEM }),
      stopped,
      [
        ["w1", PROBLEM.sentence],
        [undefined, "no further guest is upgraded"],
      ],
    ],
    [
      "nothing to do",
      guest({ phase: "checking" }),
      guest({ phase: "done", result: "up-to-date" }),
      rollout({}),
      [["w1", "is up to date"]],
    ],
    ["never begun", guest({ phase: "pending" }), guest({ phase: "held" }), stopped, [["w1", "not begun"]]],
  ])("%s", (_, before, now, record, expected) => {
    expect(changeLines(now, before, record)).toEqual(expected);
  });
});

describe("the command line", () => {
  const call = async (args: string[], options: Record<string, unknown>): Promise<unknown> =>
    await upgrade.run?.(args, options);
  it.each<[string[], Record<string, unknown>]>([
    [[], {}],
    [["w1"], { all: true }],
    [["w1"], { resume: true }],
    [[], { resume: true, abandon: true }],
  ])("%j %j is one thing too many, or too few", async (args, options) => {
    await expect(call(args, options)).rejects.toMatchObject({
      exitCode: 2,
      message: "Give names of guests, or one of --all, --status, --resume, --abandon.",
    });
  });
  it.each([
    [{ rolling: "0" }, "--rolling"],
    [{ canaryTime: "-1" }, "--canary-time"],
    [{ aptTimeout: "soon" }, "--apt-timeout: a number of seconds"],
  ])("refuses %j", async (options, said) => {
    await expect(call(["w1"], options)).rejects.toMatchObject({
      exitCode: 2,
      message: expect.stringContaining(said),
    });
  });
});

describe("a roll-out that was abandoned", () => {
  it("says which guests could not be put back", () => {
    const problem = { code: "GUEST_OFF", sentence: "The guest w1 is shut off: it takes no jobs." };
    const left = notPutBack(
      rollout(
        { phase: "failed", drained: true, problem },
        { phase: "failed", drained: true },
        { phase: "held" },
      ),
    );
    expect(left).toMatchObject({
      code: "STILL_DRAINED",
      exitCode: 1,
      message: "w1, w2 could not be put back, and get no work: The guest w1 is shut off: it takes no jobs.",
      hint: "bootshare undrain w1; bootshare undrain w2",
    });
  });

  it("says nothing where all are", () => {
    expect(notPutBack(rollout({ phase: "failed", problem: PROBLEM }, { phase: "done" }))).toBeUndefined();
  });
});
