import { describe, expect, it } from "vitest";
import { assessAttempt, assessPair } from "../../../src/boot/assess.ts";
import { type EndReason, endSchema, type NewEvent } from "../../../src/boot/events.ts";
import { deriveState } from "../../../src/boot/state.ts";
import { bootTimeout } from "../../../src/boot/timeout.ts";
import { good, pair, prepare, RELEASED, STARTED, timeline } from "./events.ts";

const attempt = (
  how: EndReason,
  { id = "a", before = [] }: { id?: string; before?: NewEvent[] } = {},
): NewEvent[] => [prepare(id), STARTED, ...before, RELEASED, { e: "end", attempt: id, how }];
const STOP: NewEvent = { e: "asked", what: "stop", by: "person" };
const REBOOT: NewEvent = { e: "asked", what: "reboot", by: "person" };
const assessed = (...events: NewEvent[]): string => {
  const { current } = deriveState(timeline(...events));
  return current === undefined ? "none" : assessAttempt(current);
};

describe("an attempt", () => {
  const expected: Record<EndReason, string> = {
    reboot: "bad",
    poweroff: "bad",
    halt: "bad",
    reset: "bad",
    crashed: "bad",
    failed: "bad",
    timeout: "bad",
    unknown: "bad",
    // Somebody else's doing.
    destroyed: "indeterminate",
    "host-down": "indeterminate",
  };
  it.each(endSchema.options.map((how) => [how, expected[how]]))("that ended by %s is %s", (how, word) => {
    expect(assessed(...attempt(endSchema.parse(how)))).toBe(word);
    expect(assessed(...attempt(endSchema.parse(how), { before: [good("a")] }))).toBe("good");
  });

  it.each(endSchema.options)(
    "of an adopted guest that has reported no good boot yet says nothing by %s",
    (how) => {
      const ADOPTED: NewEvent = { e: "adopted" };
      expect(assessed(ADOPTED, ...attempt(how))).toBe("indeterminate");
      expect(assessed(ADOPTED, ...attempt(how, { before: [good("a")] }))).toBe("good");
      // From then on it counts like any other.
      const judged = [ADOPTED, ...attempt("reboot", { before: [good("a")] }), ...attempt(how, { id: "b" })];
      expect(assessed(...judged)).toBe(expected[how]);
      // And what came before cost no try.
      expect(deriveState(timeline(ADOPTED, ...attempt(how))).badAttempts.size).toBe(0);
    },
  );

  it("is indeterminate while it runs, when a person ended it, and when QEMU never ran", () => {
    expect(assessed(prepare("a"), STARTED)).toBe("indeterminate");
    expect(assessed(...attempt("poweroff", { before: [STOP] }))).toBe("indeterminate");
    expect(assessed(...attempt("poweroff", { before: [REBOOT] }))).toBe("indeterminate");
    expect(assessed(prepare("a"), RELEASED, { e: "end", attempt: "a", how: "failed" })).toBe("indeterminate");
    // Asked for when it was over already.
    expect(assessed(...attempt("reset"), STOP)).toBe("bad");
  });
});

describe("a pair", () => {
  const { id } = pair("6.1.0-1");
  const stands = (tries: number, ...events: NewEvent[]) =>
    assessPair(deriveState(timeline(...events)), id, tries);
  const resets = (count: number): NewEvent[] =>
    Array.from({ length: count }, (_, n) => attempt("reset", { id: `r${n}` })).flat();

  it("spends its tries one by one, and is bad then", () => {
    expect(stands(2)).toEqual({ assessment: "indeterminate", triesLeft: 2 });
    expect(stands(2, ...resets(1))).toEqual({ assessment: "indeterminate", triesLeft: 1 });
    expect(stands(2, ...resets(2))).toEqual({ assessment: "bad", triesLeft: 0 });
    expect(stands(2, ...resets(3)).triesLeft).toBe(0);
    expect(stands(1, ...resets(1)).assessment).toBe("bad");
  });

  it("spends none for what others did", () => {
    expect(stands(1, ...attempt("destroyed"), ...attempt("host-down")).triesLeft).toBe(1);
  });

  it("that was good once stays so, however it ends later", () => {
    const events = [prepare("a"), STARTED, good("a"), ...resets(3)];
    expect(stands(2, ...events).assessment).toBe("good");
  });

  it("has all its tries again when its release is pinned, and not when another one is", () => {
    const spent = [...resets(2)];
    expect(stands(2, ...spent, { e: "pinned", release: "6.1.0-1" }).triesLeft).toBe(2);
    expect(stands(2, ...spent, { e: "pinned", release: "6.1.0-2" }).triesLeft).toBe(0);
    expect(stands(2, ...spent, { e: "pinned" }).triesLeft).toBe(0);
  });

  it("of other bytes is another pair", () => {
    const { goodIds, badAttempts } = deriveState(timeline(...resets(2)));
    expect(assessPair({ goodIds, badAttempts }, pair("6.1.0-1, initrd made anew").id, 2).triesLeft).toBe(2);
  });
});

describe("what is kept when the log is cut", () => {
  it("is which pairs were good, and the tries that others spent", () => {
    const before = pair("6.1.0-0");
    const now = pair("6.1.0-1");
    const bad = pair("6.1.0-2");
    const state = deriveState(
      timeline({
        e: "checkpoint",
        desired: "on",
        good: now,
        goodBefore: before,
        bad: { [bad.id]: 2 },
      }),
    );
    expect(state).toMatchObject({ good: now, goodBefore: before });
    expect(assessPair(state, before.id, 2).assessment).toBe("good");
    expect(assessPair(state, bad.id, 2).assessment).toBe("bad");
  });
});

describe("the pair that was good before", () => {
  it("is the last other one", () => {
    const boot = (release: string): NewEvent[] => [
      prepare(release, { release }),
      STARTED,
      good(release, release),
    ];
    const state = deriveState(
      timeline(...boot("v1"), ...boot("v2"), ...boot("v2"), ...boot("v3"), ...boot("v3")),
    );
    expect([state.good?.release, state.goodBefore?.release]).toEqual(["v3", "v2"]);
    const back = deriveState(timeline(...boot("v1"), ...boot("v2"), ...boot("v1")));
    expect([back.good?.release, back.goodBefore?.release]).toEqual(["v1", "v2"]);
  });
});

describe("the time a boot is given", () => {
  it.each([
    [undefined, "kvm", false, 600],
    [undefined, "tcg", false, 1800],
    [undefined, "tcg", true, 5400],
    [undefined, "other", false, 600],
    [90, "tcg", true, 90],
    [0, "kvm", false, undefined],
  ] as const)("wanted %s, %s, first boot %s: %s s", (wanted, accel, provided, seconds) => {
    expect(bootTimeout(wanted, accel, provided)).toBe(seconds);
  });
});
