import { describe, expect, it } from "vitest";
import { assessPair } from "../../../src/boot/assess.ts";
import { eventLine, type NewEvent, parseEvents, stamp } from "../../../src/boot/events.ts";
import { deriveState } from "../../../src/boot/state.ts";
import { configOf } from "../../../src/kernel/config.ts";
import {
  good,
  HOST_BOOT,
  PREPARED,
  pair,
  prepare,
  RELEASED,
  START,
  START_BY_PERSON,
  START_BY_RECONCILER,
  STARTED,
  timeline,
} from "./events.ts";

describe("deriveState", () => {
  it("of a guest that was never started", () => {
    expect(deriveState([])).toMatchObject({
      attempts: [],
      current: undefined,
      desired: "off",
      good: undefined,
    });
  });

  it("follows an attempt through its phases", () => {
    const state = deriveState(
      timeline(
        START_BY_PERSON,
        prepare("a"),
        STARTED,
        { e: "up", attempt: "a", release: "6.1.0-1" },
        good("a"),
        RELEASED,
        {
          e: "end",
          attempt: "a",
          how: "reboot",
        },
      ),
    );
    expect(state.attempts).toHaveLength(1);
    expect(state.current).toMatchObject({
      id: "a",
      askedBy: "person",
      asked: "2026-01-01T00:00:00.000Z",
      prepared: "2026-01-01T00:00:10.000Z",
      started: "2026-01-01T00:00:20.000Z",
      up: "2026-01-01T00:00:30.000Z",
      good: "2026-01-01T00:00:40.000Z",
      released: "2026-01-01T00:00:50.000Z",
      ended: "2026-01-01T00:01:00.000Z",
      how: "reboot",
    });
    expect(state.good).toEqual(pair("6.1.0-1"));
    expect(state.desired).toBe("on");
    expect(state.pending).toBeUndefined();
  });

  it("tells what was done to the domain before an attempt, and of that attempt alone", () => {
    const to = { bus: "mmio", highmem: true } as const;
    const reshaped: NewEvent = { e: "reshaped", to, release: "6.1.0-2", why: "needs devices on virtio-mmio" };
    const { attempts } = deriveState(
      timeline(prepare("a"), reshaped, START_BY_PERSON, prepare("b"), prepare("c")),
    );
    expect(attempts.map((attempt) => attempt.reshaped)).toEqual([
      undefined,
      { t: "2026-01-01T00:00:10.000Z", to, release: "6.1.0-2", why: "needs devices on virtio-mmio" },
      undefined,
    ]);
  });

  it("knows the configuration of a pair, and keeps an attempt whose configuration is of another version", () => {
    const config = configOf({ PCI: "y" });
    const event = stamp({ ...PREPARED, pair: { ...pair("6.1.0-1"), config } }, new Date(START));
    const line = eventLine(event);
    expect(parseEvents(line)).toEqual([event]);
    const { PCI: _, ...fewer } = config;
    for (const other of [fewer, { ...config, NEW_OPTION: "y" }, { ...config, PCI: "3" }, "y"]) {
      const [read] = parseEvents(line.replace(JSON.stringify(config), JSON.stringify(other)));
      expect(read).toEqual(stamp(PREPARED, new Date(START)));
    }
  });

  it("keeps the last good pair when a newer one was not good", () => {
    const events = timeline(
      prepare("a", { release: "6.1.0-1" }),
      good("a"),
      prepare("b", { release: "6.1.0-2" }),
      {
        e: "end",
        attempt: "b",
        how: "reset",
      },
    );
    expect(deriveState(events).good).toEqual(pair("6.1.0-1"));
  });

  it("takes a start that nobody asked bootshare for as a person's, and forgets a failure", () => {
    const failed = timeline(prepare("a"), STARTED, START_BY_RECONCILER, { e: "gave-up", why: "enough" });
    expect(deriveState(failed).failed).toMatchObject({ why: "enough" });
    const started = deriveState([...failed, ...timeline(prepare("b"))]);
    expect(started.failed).toBeUndefined();
    expect(started.uncleanStarts).toEqual([]);
    expect(started.current?.askedBy).toBe("libvirt");
  });

  it("does not forget a failure for a start of the reconciler's own", () => {
    const events = timeline(prepare("a"), STARTED, START_BY_RECONCILER, prepare("b"), START_BY_RECONCILER);
    expect(deriveState(events).uncleanStarts).toHaveLength(2);
    expect(deriveState(events).current?.askedBy).toBe("reconciler");
  });

  it("lets a restored guest go on with its attempt", () => {
    const events = timeline(prepare("a"), STARTED, good("a"), RELEASED, { e: "restore" }, STARTED);
    expect(deriveState(events).current).toMatchObject({ id: "a" });
    expect(deriveState(events).current?.released).toBeUndefined();
  });

  it("counts the first of two equal observations", () => {
    const events = timeline(prepare("a"), STARTED, good("a"), good("a"));
    expect(deriveState(events).current?.good).toBe("2026-01-01T00:00:20.000Z");
  });

  it("goes on from a checkpoint", () => {
    const events = timeline({ e: "checkpoint", good: pair("6.1.0-1"), desired: "on" });
    expect(deriveState(events)).toMatchObject({ good: pair("6.1.0-1"), desired: "on" });
  });

  it("takes a clone's pair for good, as it was for the guest that it was cloned from", () => {
    const cloned = { e: "cloned", from: HOST_BOOT, pair: pair("6.1.0-1") } as const;
    const state = deriveState(
      timeline(cloned, { e: "desired", state: "off", why: "it was cloned just now" }),
    );
    expect(state).toMatchObject({
      good: pair("6.1.0-1"),
      goodBefore: undefined,
      desired: "off",
      attempts: [],
    });
    expect(assessPair(state, pair("6.1.0-1").id, 1)).toMatchObject({ assessment: "good" });
  });
});

describe("parseEvents", () => {
  it("passes over torn lines, other versions and unknown events", () => {
    const [event] = timeline(STARTED);
    if (event === undefined) throw new Error("no event");
    const whole = eventLine(event);
    const torn = whole.slice(0, 20);
    const later = JSON.stringify({ ...event, v: 2 });
    const unknown = JSON.stringify({ ...event, e: "teleported" });
    expect(parseEvents(`${whole}${torn}\n${later}\n${unknown}\nnull\n\n${whole}${torn}`)).toEqual([
      event,
      event,
    ]);
  });
});
