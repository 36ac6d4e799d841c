import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  admit,
  advance,
  away,
  extend,
  type GuestRecord,
  newRollout,
  type Outcome,
  type Rollout,
  type RolloutOptions,
  rolloutSchema,
  stepOf,
  stop,
} from "../../../src/builder/upgrade-plan.ts";

const AT = new Date("2026-01-01T00:00:00Z");
const OPTIONS: RolloutOptions = {
  rolling: 1,
  drain: true,
  canarySeconds: 600,
  drainSeconds: 3600,
  aptSeconds: 3600,
};
const BEFORE = { attempt: "a1", release: "6.1.0-1-amd64" };
const EXPECTED = { release: "6.1.0-2-amd64", source: "links", files: "f2" };
const PROBLEM = { code: "KERNEL_ROLLED_BACK", sentence: "It was rolled back." };

const checked: Outcome = { of: "checking", todo: true, active: true };
const nothingToDo: Outcome = { of: "checking", todo: false, active: false };
const drained: Outcome = { of: "draining" };
const upgraded: Outcome = { of: "upgrading", before: BEFORE, expected: undefined };
const newKernel: Outcome = { of: "upgrading", before: BEFORE, expected: EXPECTED };
const good: Outcome = { of: "rebooting" };
const undrained: Outcome = { of: "undraining" };
const proved: Outcome = { of: "probation" };
const failure = (phase: GuestRecord["phase"], working = true): Outcome => {
  const step = stepOf({ phase });
  return { of: "failure", phase: step ?? "done", problem: PROBLEM, working };
};

function begin(count: number, options: Partial<RolloutOptions> = {}): Rollout {
  const guests = Array.from({ length: count }, (_, i) => ({ uuid: `u${i + 1}`, name: `w${i + 1}` }));
  return admit(newRollout("r1", guests, { ...OPTIONS, ...options }, AT), AT);
}

/** Steps of the first guest that is at one, the others waiting behind. */
function onward(rollout: Rollout, ...course: (readonly [string, Outcome])[]): Rollout {
  return course.reduce((r, [uuid, outcome]) => admit(advance(r, uuid, outcome, AT), AT), rollout);
}

const phases = ({ guests }: Rollout): string[] => guests.map(({ phase }) => phase);
const of = (uuid: string, ...outcomes: Outcome[]): (readonly [string, Outcome])[] =>
  outcomes.map((outcome) => [uuid, outcome] as const);

describe("a roll-out over three guests", () => {
  it.each<[string, (readonly [string, Outcome])[], string[]]>([
    ["begins with one", [], ["checking", "pending", "pending"]],
    ["takes it out of service before apt", of("u1", checked), ["draining", "pending", "pending"]],
    ["upgrades what is drained", of("u1", checked, drained), ["upgrading", "pending", "pending"]],
    ["reboots for a new kernel", of("u1", checked, drained, newKernel), ["rebooting", "pending", "pending"]],
    ["and for nothing else", of("u1", checked, drained, upgraded), ["undraining", "pending", "pending"]],
    [
      "puts the first one back before its trial: only so it can finish a build",
      of("u1", checked, drained, newKernel, good, undrained),
      ["probation", "pending", "pending"],
    ],
    [
      "goes on when that has passed",
      of("u1", checked, drained, newKernel, good, undrained, proved),
      ["done", "checking", "pending"],
    ],
    [
      "has no trial of the second",
      [
        ...of("u1", checked, drained, newKernel, good, undrained, proved),
        ...of("u2", checked, drained, newKernel, good, undrained),
      ],
      ["done", "done", "checking"],
    ],
    [
      "tries the first one that had something to do",
      [...of("u1", nothingToDo), ...of("u2", checked, drained, upgraded, undrained)],
      ["done", "probation", "pending"],
    ],
    [
      "has no trial where nobody waits for it",
      [
        ...of("u1", nothingToDo),
        ...of("u2", nothingToDo),
        ...of("u3", checked, drained, upgraded, undrained),
      ],
      ["done", "done", "done"],
    ],
    [
      "has nothing to do",
      [...of("u1", nothingToDo), ...of("u2", nothingToDo), ...of("u3", nothingToDo)],
      ["done", "done", "done"],
    ],
    [
      "stops at the canary that was rolled back, and puts it back",
      of("u1", checked, drained, newKernel, failure("rebooting")),
      ["undraining", "held", "held"],
    ],
    [
      "names it as failed then",
      of("u1", checked, drained, newKernel, failure("rebooting"), undrained),
      ["failed", "held", "held"],
    ],
    [
      "gives no work to one that does not work",
      of("u1", checked, drained, newKernel, failure("rebooting", false)),
      ["failed", "held", "held"],
    ],
    [
      "stops when the canary is lost in its trial",
      of("u1", checked, drained, newKernel, good, undrained, failure("probation")),
      ["failed", "held", "held"],
    ],
    [
      "stops when one that was through is lost",
      [
        ...of("u1", checked, drained, newKernel, good, undrained, proved),
        ...of("u2", checked, drained),
        ...of("u1", failure("done")),
      ],
      ["failed", "upgrading", "held"],
    ],
    [
      "lets apt come to its end then, and does not reboot",
      [
        ...of("u1", checked, drained, newKernel, good, undrained, proved),
        ...of("u2", checked, drained),
        ...of("u1", failure("done")),
        ...of("u2", newKernel, undrained),
      ],
      ["failed", "held", "held"],
    ],
    [
      "waits for no build then",
      [
        ...of("u1", checked, drained, newKernel, good, undrained, proved),
        ...of("u2", checked),
        ...of("u1", failure("done")),
      ],
      ["failed", "undraining", "held"],
    ],
    [
      "passes over what comes late",
      of("u1", good, undrained, failure("rebooting")),
      ["checking", "pending", "pending"],
    ],
  ])("%s", (_, course, expected) => {
    expect(phases(onward(begin(3), ...course))).toEqual(expected);
  });

  it("is over when nobody is left, and changes no more", () => {
    const over = onward(begin(1), ...of("u1", nothingToDo));
    expect(over.ended).toBe(AT.toISOString());
    expect(onward(over, ...of("u1", failure("done")))).toEqual(over);
  });

  it("keeps the first reason, and why a guest failed", () => {
    const r = onward(begin(2), ...of("u1", checked, drained, failure("upgrading"), undrained));
    expect(r.stopped).toEqual({ at: AT.toISOString(), guest: "u1", ...PROBLEM });
    expect(r.guests[0]).toMatchObject({ phase: "failed", problem: PROBLEM, drained: false });
    const other = { code: "OTHER", sentence: "Another.", guest: "u2" };
    expect(stop(r, other, AT).stopped).toEqual(r.stopped);
  });

  it("says of a guest that could not be put back that it is still out of service", () => {
    const r = onward(begin(1), ...of("u1", checked, drained, upgraded, failure("undraining")));
    expect(r.guests[0]).toMatchObject({ phase: "failed", drained: true });
  });

  it("upgrades without taking out of service where that is not wanted", () => {
    const r = onward(begin(2, { drain: false }), ...of("u1", checked));
    expect(r.guests[0]).toMatchObject({ phase: "upgrading", drained: false });
  });

  it("leaves out of service what was so before", () => {
    const idle: Outcome = { of: "checking", todo: true, active: false };
    expect(onward(begin(1), ...of("u1", idle)).guests[0]).toMatchObject({
      phase: "draining",
      drained: false,
    });
  });

  it("has up to N at a time once the canary has passed", () => {
    const passed = of("u1", checked, drained, newKernel, good, undrained, proved);
    expect(phases(onward(begin(5, { rolling: 3 }), ...passed))).toEqual([
      "done",
      "checking",
      "checking",
      "checking",
      "pending",
    ]);
  });

  it("takes further guests when it goes on, and each once", () => {
    const open = onward(begin(1), ...of("u1", checked));
    const guests = ["u2", "u1", "u3"].map((uuid) => ({ uuid, name: uuid }));
    const extended = admit(extend(open, guests, AT), AT);
    expect(extended.guests.map(({ uuid, phase }) => [uuid, phase])).toEqual([
      ["u1", "draining"],
      ["u2", "pending"],
      ["u3", "pending"],
    ]);
    // There is somebody now whom the canary goes before.
    const back = of("u1", drained, newKernel, good, undrained);
    expect(phases(onward(extended, ...back))).toEqual(["probation", "pending", "pending"]);
  });

  it("is ended by a person: what works goes back to work", () => {
    const r = onward(begin(2), ...of("u1", checked));
    const why = { code: "ABANDONED", sentence: "A person ended it.", guest: null };
    const ended = admit(stop(r, why, AT), AT);
    expect(phases(ended)).toEqual(["undraining", "held"]);
    expect(phases(onward(ended, ...of("u1", undrained)))).toEqual(["held", "held"]);
  });
});

describe("whatever comes of the steps, and whenever it is killed", () => {
  const outcome = fc.record({
    who: fc.nat(),
    ends: fc.constantFrom("well", "well", "well", "well", "fails", "breaks", "nothing"),
    kernel: fc.boolean(),
    killed: fc.boolean(),
    abandoned: fc.constantFrom(...Array<boolean>(30).fill(false), true),
  });
  const course = fc.record({
    count: fc.integer({ min: 1, max: 6 }),
    rolling: fc.integer({ min: 1, max: 4 }),
    drain: fc.boolean(),
    outcomes: fc.array(outcome, { maxLength: 60 }),
  });

  /** What a step of that guest might come to. */
  function outcomeOf(guest: GuestRecord, { ends, kernel }: { ends: string; kernel: boolean }): Outcome {
    if (ends === "fails" || ends === "breaks") return failure(guest.phase, ends === "fails");
    switch (guest.phase) {
      case "checking":
        return ends === "nothing" ? nothingToDo : checked;
      case "draining":
        return drained;
      case "upgrading":
        return kernel ? newKernel : upgraded;
      case "rebooting":
        return good;
      case "probation":
        return proved;
      default:
        return undrained;
    }
  }

  /** Plays a roll-out, each record checked on its way; ends it by steps that all go well. */
  function play(
    { count, rolling, drain, outcomes }: typeof course extends fc.Arbitrary<infer T> ? T : never,
    check: (before: Rollout, now: Rollout) => void = () => {},
  ): { rollout: Rollout; broken: ReadonlySet<string> } {
    let rollout = begin(count, { rolling, drain });
    /** Guests that did not work at some time, or could not be put back. */
    const broken = new Set<string>();
    check(rollout, rollout);
    const step = (who: number, choice: { ends: string; kernel: boolean }): void => {
      const busy = rollout.guests.filter((guest) => stepOf(guest) !== undefined || guest.phase === "done");
      const guest = busy[who % Math.max(1, busy.length)];
      if (guest === undefined) return;
      // One that is through can only be lost.
      if (guest.phase === "done" && choice.ends !== "breaks") return;
      const before = rollout;
      if (choice.ends === "breaks" || (choice.ends === "fails" && guest.phase === "undraining")) {
        broken.add(guest.uuid);
      }
      rollout = admit(advance(rollout, guest.uuid, outcomeOf(guest, choice), AT), AT);
      check(before, rollout);
    };
    for (const { who, killed, abandoned, ...choice } of outcomes) {
      if (rollout.ended !== undefined) break;
      step(who, choice);
      if (killed) rollout = admit(rolloutSchema.parse(JSON.parse(JSON.stringify(rollout))), AT);
      if (abandoned) {
        const before = rollout;
        rollout = admit(stop(rollout, { ...PROBLEM, guest: null }, AT), AT);
        check(before, rollout);
      }
    }
    for (let i = 0; rollout.ended === undefined; i++) {
      if (i > 1000) throw new Error(`it never ends: ${phases(rollout).join(" ")}`);
      const active = rollout.guests.find((guest) => stepOf(guest) !== undefined);
      if (active === undefined) throw new Error(`nobody has a step: ${phases(rollout).join(" ")}`);
      const before = rollout;
      rollout = admit(
        advance(rollout, active.uuid, outcomeOf(active, { ends: "well", kernel: true }), AT),
        AT,
      );
      check(before, rollout);
    }
    return { rollout, broken };
  }

  const holds = (name: string, check: (before: Rollout, now: Rollout) => void): void => {
    it(name, () => {
      fc.assert(
        fc.property(course, (c) => void play(c, check)),
        { numRuns: 500 },
      );
    });
  };

  holds("never more than N are away, and one until the canary has passed", (_, now) => {
    expect(away(now).length).toBeLessThanOrEqual(now.canary === "passed" ? now.rolling : 1);
  });

  holds("nobody but the canary is away before it has passed", (_, now) => {
    if (now.canary !== "passed") expect(away(now).filter(({ canary }) => !canary)).toEqual([]);
    expect(now.guests.filter(({ canary }) => canary).length).toBeLessThanOrEqual(1);
  });

  holds("once stopped, nobody begins and nobody is rebooted", (before, now) => {
    if (before.stopped === undefined) return;
    now.guests.forEach((guest, i) => {
      const was = before.guests[i]?.phase;
      if (guest.phase === was) return;
      expect(["undraining", "done", "failed", "held"]).toContain(guest.phase);
    });
  });

  holds("a failure stops it", (_, now) => {
    if (now.guests.some(({ problem }) => problem !== undefined)) expect(now.stopped).toBeDefined();
  });

  it("it ends, and whoever works is in service", () => {
    fc.assert(
      fc.property(course, (c) => {
        const { rollout, broken } = play(c);
        for (const guest of rollout.guests) {
          expect(["done", "failed", "held"]).toContain(guest.phase);
          if (guest.drained) expect([guest.phase, broken.has(guest.uuid)]).toEqual(["failed", true]);
        }
        if (rollout.stopped === undefined) expect(phases(rollout)).toEqual(Array(c.count).fill("done"));
      }),
      { numRuns: 500 },
    );
  });
});
