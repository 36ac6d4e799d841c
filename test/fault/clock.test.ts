// The host's clock jumps by years between the steps of a boot.
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { type NewEvent, stamp } from "../../src/boot/events.ts";
import { readState } from "../../src/boot/log.ts";
import { observe } from "../../src/boot/observe.ts";
import { prepareBoot } from "../../src/boot/prepare.ts";
import { NO_REPORT } from "../../src/boot/report.ts";
import { type BootState, deriveState } from "../../src/boot/state.ts";
import { decide, START_LIMIT } from "../../src/guest/decide.ts";
import {
  good,
  HOST_BOOT,
  prepare,
  RELEASED,
  START,
  START_BY_PERSON,
  START_BY_RECONCILER,
  STARTED,
} from "../unit/boot/events.ts";
import { AMD64 } from "../unit/machines.ts";
import { FaultGuest, NAME, NEW, OLD } from "./guest.ts";
import { ReliabilityTable } from "./table.ts";

const table = new ReliabilityTable("clock", ["what the clock did", "what came of it"]);
const saw = (row: string, what: string): void => table.saw(row, "what came of it", what);

const YEAR = 365 * 24 * 3600_000;
const off = { state: "shut off", reason: "shutdown", saved: false } as const;
const at = (event: NewEvent, time: number) => stamp(event, new Date(time));

/** A state without its times. */
function timeless(state: BootState): unknown {
  return JSON.parse(
    JSON.stringify(state).replaceAll(/"[+-]?\d{4,6}-\d\d-\d\dT[^"]*"/g, '"a time"'),
  ) as unknown;
}

describe("what the record comes to", () => {
  const events: NewEvent[] = [
    START_BY_PERSON,
    prepare("a"),
    STARTED,
    { e: "up", attempt: "a", release: "6.1.0-1" },
    good("a"),
    RELEASED,
    { e: "end", attempt: "a", how: "reboot" },
    START_BY_RECONCILER,
    prepare("b", { release: "6.1.0-2" }),
    STARTED,
  ];
  it("does not depend on the clock", () => {
    const steady = timeless(deriveState(events.map((event, i) => at(event, START + i * 10_000))));
    const times = fc.array(fc.integer({ min: 0, max: START + 70 * YEAR }), {
      minLength: events.length,
      maxLength: events.length,
    });
    fc.assert(
      fc.property(times, (jumps) => {
        const jumped = deriveState(events.map((event, i) => at(event, jumps[i] ?? 0)));
        expect(timeless(jumped)).toEqual(steady);
      }),
    );
    saw(
      "jumps anywhere between the steps of two boots",
      "attempts, last good pair and desired state are the same",
    );
  });

  it.each([
    ["back", new Date(0)],
    ["ahead", new Date(START + 70 * YEAR)],
  ])("is written on when the clock has jumped %s by decades", (direction, now) => {
    const guest = new FaultGuest();
    try {
      guest.install(OLD);
      guest.bootToGood();
      guest.install(NEW);
      prepareBoot(guest.paths, NAME, AMD64, { now });
      const { current } = readState(guest.paths);
      expect([current?.pair.release, current?.prepared]).toEqual([NEW, now.toISOString()]);
      guest.expectGoodKept(OLD);
      guest.emptyShare();
      expect(guest.prepare()).toBe(`${OLD} by good`);
    } finally {
      guest.remove();
    }
    saw(`jumps ${direction} by decades before a start`, "the new kernel boots; the last good pair is known");
  });
});

describe("the end of a boot", () => {
  it.each([
    ["back", START - 10 * YEAR],
    ["ahead", START + 10 * YEAR],
  ])("is seen when the hook saw it, though the clock jumped %s meanwhile", (direction, now) => {
    const state = deriveState([at(prepare("a"), START), at(STARTED, START), at(RELEASED, now)]);
    const moment = { hostBoot: HOST_BOOT, m: 60_000, now: new Date(now) };
    expect(observe(state, { ...NO_REPORT, end: "reboot" }, off, moment).map(({ event }) => event)).toEqual([
      { e: "end", attempt: "a", how: "reboot" },
    ]);
    saw(`jumps ${direction} by years while a guest runs that ends by a reboot`, "its end is seen, and why");
  });

  it("has no time in the future, though the guest's report has", () => {
    const state = deriveState([at(prepare("a"), START), at(STARTED, START)]);
    const report = { ...NO_REPORT, good: "6.1.0-1", written: new Date(START + 10 * YEAR).toISOString() };
    const now = new Date(START + 60_000);
    const [seen] = observe(
      state,
      report,
      { ...off, state: "running" },
      { hostBoot: HOST_BOOT, m: 60_000, now },
    );
    expect([seen?.event.e, seen?.at]).toEqual(["good", now]);
    saw("jumps back by years after a guest's report", "the boot is good, from now on");
  });
});

describe("the time that a boot has", () => {
  it.each([
    ["back", START - 10 * YEAR],
    ["ahead", START + 10 * YEAR],
  ])("is the same when the clock jumps %s meanwhile", (direction, now) => {
    const m = 5_000_000;
    const boot = prepare("a", { m, timeout: 600 });
    const state = deriveState([at(START_BY_PERSON, START), at(boot, START), at(STARTED, now)]);
    const decideAfter = (ms: number): string => {
      const moment = { hostBoot: HOST_BOOT, m: m + ms, now: new Date(now) };
      const domain = { ...off, state: "running", reason: "booted" };
      return decide({ ...moment, state, domain, hostStopping: false }).do;
    };
    expect([0, 600_000, 600_001].map(decideAfter)).toEqual(["nothing", "nothing", "end"]);
    saw(`jumps ${direction} by years while a boot has its time`, "it has the same time");
  });
});

describe("the start limit", () => {
  const startByReconciler = (m: number): NewEvent => ({
    e: "asked",
    what: "start",
    by: "reconciler",
    unclean: true,
    hostBoot: HOST_BOOT,
    m,
  });
  const starts = (time: number) =>
    Array.from({ length: START_LIMIT.starts }, (_, i) => at(startByReconciler(i), time + i));
  const decideAt = (now: number): string => {
    const state = deriveState([
      at(START_BY_PERSON, START),
      ...starts(START),
      at(prepare("a"), START),
      at(STARTED, START),
      at(RELEASED, START),
      at({ e: "end", attempt: "a", how: "reset" }, START),
    ]);
    const moment = { hostBoot: HOST_BOOT, m: 60_000, now: new Date(now) };
    return decide({ ...moment, state, domain: off, hostStopping: false }).do;
  };
  afterEach(() => expect(decideAt(START + 1000)).toBe("give-up"));

  it("holds when the clock jumps back", () => {
    expect(decideAt(START - 10 * YEAR)).toBe("give-up");
    saw("jumps back by years while a guest keeps resetting", "the start limit holds");
  });

  it("holds when the clock jumps ahead", () => {
    expect(decideAt(START + 10 * YEAR)).toBe("give-up");
    saw("jumps ahead by years while a guest keeps resetting", "the start limit holds");
  });
});

it("docs/reliability.md says what was seen", () => table.expectInDocument());
