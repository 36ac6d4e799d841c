import { describe, expect, it } from "vitest";
import type { NewEvent } from "../../../src/boot/events.ts";
import type { DomainStatus } from "../../../src/boot/observe.ts";
import { deriveState } from "../../../src/boot/state.ts";
import { decide, START_LIMIT } from "../../../src/guest/decide.ts";
import {
  good,
  HOST_BOOT,
  prepare,
  RELEASED,
  START,
  START_BY_PERSON,
  START_BY_RECONCILER,
  STARTED,
  timeline,
} from "../boot/events.ts";

const running: DomainStatus = { state: "running", reason: "booted", saved: false };
const off = (reason: string, saved = false): DomainStatus => ({ state: "shut off", reason, saved });

/** A guest that booted, was good or not, and ended. */
const ended = (
  how: "reboot" | "poweroff" | "halt" | "reset" | "destroyed" | "crashed" | "failed" | "unknown",
  wasGood = true,
): NewEvent[] => [
  prepare("a"),
  STARTED,
  ...(wasGood ? [good("a")] : []),
  RELEASED,
  { e: "end", attempt: "a", how },
];
const STOP: NewEvent = { e: "asked", what: "stop", by: "person" };
const REBOOT: NewEvent = { e: "asked", what: "reboot", by: "person" };
const ADOPTED: NewEvent = { e: "adopted" };
const GAVE_UP: NewEvent = { e: "gave-up", why: "enough" };

interface Row {
  readonly name: string;
  readonly events: NewEvent[];
  readonly domain: DomainStatus;
  readonly expected: string;
  readonly hostBoot?: string;
  readonly hostStopping?: boolean;
  readonly ephemeral?: "held" | "abandoned";
  readonly seconds?: number;
}

const table: Row[] = [
  { name: "running", events: [prepare("a"), STARTED], domain: running, expected: "nothing: it is running" },
  {
    name: "paused",
    events: [prepare("a"), STARTED],
    domain: { ...running, state: "paused" },
    expected: "nothing: it is paused",
  },
  {
    name: "ephemeral, and reset",
    events: ended("reset"),
    domain: off("shutdown"),
    ephemeral: "held",
    expected: "nothing: it is ephemeral: the command that it was made for decides",
  },
  {
    name: "ephemeral, and its boot takes too long",
    events: [prepare("a", { m: 0, timeout: 60 }), STARTED],
    domain: running,
    ephemeral: "held",
    expected: "nothing: it is ephemeral: the command that it was made for decides",
  },
  {
    name: "ephemeral, running, its command gone",
    events: [START_BY_PERSON, prepare("a"), STARTED, good("a")],
    domain: running,
    ephemeral: "abandoned",
    expected: "delete: the command that it was made for is gone",
  },
  {
    name: "ephemeral, off, its command gone",
    events: [],
    domain: off("unknown"),
    ephemeral: "abandoned",
    expected: "delete: the command that it was made for is gone",
  },
  {
    name: "ephemeral, its command gone with the host that goes down",
    events: [prepare("a"), STARTED],
    domain: running,
    ephemeral: "abandoned",
    hostStopping: true,
    expected: "nothing: the host is shutting down",
  },
  ...(["reset", "unknown"] as const).map((how) => ({
    name: `adopted, and ended by ${how} before it ever reported`,
    events: [ADOPTED, ...ended(how, false)],
    domain: off("shutdown"),
    expected: "stay-off: it stopped, and does not report yet whether for a reboot",
  })),
  {
    name: "adopted, and reported a reboot without having been good",
    events: [ADOPTED, ...ended("reboot", false)],
    domain: off("shutdown"),
    expected: "start unclean: it rebooted",
  },
  {
    name: "adopted, good in this boot, then reset",
    events: [ADOPTED, ...ended("reset")],
    domain: off("shutdown"),
    expected: "start unclean: it was reset without shutting down",
  },
  { name: "rebooted", events: ended("reboot"), domain: off("shutdown"), expected: "start: it rebooted" },
  {
    name: "rebooted before it was good",
    events: ended("reboot", false),
    domain: off("shutdown"),
    expected: "start unclean: it rebooted",
  },
  {
    name: "powered off",
    events: ended("poweroff"),
    domain: off("shutdown"),
    expected: "stay-off: it was powered off",
  },
  {
    name: "halted",
    events: ended("halt"),
    domain: off("shutdown"),
    expected: "stay-off: it was powered off",
  },
  {
    name: "reset",
    events: ended("reset"),
    domain: off("shutdown"),
    expected: "start unclean: it was reset without shutting down",
  },
  {
    name: "destroyed",
    events: ended("destroyed"),
    domain: off("destroyed"),
    expected: "stay-off: it was destroyed",
  },
  {
    name: "crashed",
    events: ended("crashed"),
    domain: off("crashed"),
    expected: "start unclean: QEMU crashed",
  },
  {
    name: "gone with libvirtd",
    events: ended("unknown"),
    domain: off("unknown"),
    expected: "start unclean: it went away while libvirt was not looking",
  },
  {
    name: "being started",
    events: [prepare("a")],
    domain: off("unknown"),
    expected: "nothing: libvirt is starting or stopping it",
  },
  {
    name: "saved",
    events: [prepare("a"), STARTED, RELEASED],
    domain: off("saved"),
    expected: "nothing: it is saved; a start restores it",
  },
  {
    name: "saved, libvirtd restarted",
    events: [prepare("a"), STARTED, RELEASED],
    domain: off("unknown", true),
    expected: "nothing: it is saved; a start restores it",
  },
  { name: "never started", events: [], domain: off("unknown"), expected: "nothing: it is meant to be off" },
  {
    name: "meant to be off",
    events: [...ended("reset"), { e: "desired", state: "off", why: "so" }],
    domain: off("shutdown"),
    expected: "nothing: it is meant to be off",
  },
  {
    name: "stop asked for",
    events: [prepare("a"), STARTED, STOP, RELEASED, { e: "end", attempt: "a", how: "reset" }],
    domain: off("shutdown"),
    expected: "nothing: it is meant to be off",
  },
  {
    name: "start asked for by a command that was killed",
    events: [...ended("destroyed"), START_BY_PERSON],
    domain: off("destroyed"),
    expected: "start: a start was asked for",
  },
  {
    name: "start asked for by a reconciler that was killed",
    events: [...ended("reset"), START_BY_RECONCILER],
    domain: off("shutdown"),
    expected: "start unclean: a start was asked for",
  },
  {
    name: "reboot asked for, guest powered off",
    events: [prepare("a"), STARTED, good("a"), REBOOT, RELEASED, { e: "end", attempt: "a", how: "poweroff" }],
    domain: off("shutdown"),
    expected: "start: a reboot was asked for",
  },
  {
    name: "reboot asked for long ago",
    events: [prepare("a"), STARTED, good("a"), REBOOT, RELEASED, { e: "end", attempt: "a", how: "poweroff" }],
    domain: off("shutdown"),
    seconds: 3600,
    expected: "stay-off: it was powered off",
  },
  {
    name: "a person's start failed",
    events: [START_BY_PERSON, prepare("a"), RELEASED, { e: "end", attempt: "a", how: "failed" }],
    domain: off("failed"),
    expected: "stay-off: its start failed",
  },
  {
    name: "the reconciler's start failed",
    events: [START_BY_RECONCILER, prepare("a"), RELEASED, { e: "end", attempt: "a", how: "failed" }],
    domain: off("failed"),
    expected: "start unclean: its last start failed",
  },
  {
    name: "the hook's line of the start was lost",
    events: [prepare("a"), good("a"), RELEASED, { e: "end", attempt: "a", how: "reboot" }],
    domain: off("shutdown"),
    expected: "start: it rebooted",
  },
  {
    name: "failed",
    events: [...ended("reset"), GAVE_UP],
    domain: off("shutdown"),
    expected: "nothing: it failed, and waits for a person",
  },
  {
    name: "host was rebooted under it",
    events: ended("unknown"),
    domain: off("unknown"),
    hostBoot: "new",
    expected: "start: the host was rebooted",
  },
  {
    name: "host shut it down and was rebooted",
    events: ended("poweroff"),
    domain: off("unknown"),
    hostBoot: "new",
    expected: "start: the host was rebooted",
  },
  {
    name: "host was rebooted, guest was off",
    events: [...ended("poweroff"), { e: "desired", state: "off", why: "so" }],
    domain: off("unknown"),
    hostBoot: "new",
    expected: "nothing: it is meant to be off",
  },
  {
    name: "not good in time",
    events: [prepare("a", { m: 0, timeout: 200 }), STARTED],
    domain: running,
    seconds: 201,
    expected: "end: it was not good within 200 s",
  },
  {
    name: "still within its time",
    events: [prepare("a", { m: 0, timeout: 200 }), STARTED],
    domain: running,
    seconds: 200,
    expected: "nothing: it is running",
  },
  {
    name: "its time was up after it had been good",
    events: [prepare("a", { m: 0, timeout: 200 }), STARTED, good("a")],
    domain: running,
    seconds: 201,
    expected: "nothing: it is running",
  },
  {
    name: "its time is up, and a person is shutting it down",
    events: [prepare("a", { m: 0, timeout: 200 }), STARTED, STOP],
    domain: running,
    seconds: 201,
    expected: "nothing: it is running",
  },
  {
    name: "its time is up, and it is paused",
    events: [prepare("a", { m: 0, timeout: 200 }), STARTED],
    domain: { ...running, state: "paused" },
    seconds: 201,
    expected: "nothing: it is paused",
  },
  {
    name: "its time is up, by the clock of another boot of the host",
    events: [prepare("a", { m: 0, timeout: 200, hostBoot: "old" }), STARTED],
    domain: running,
    seconds: 201,
    expected: "nothing: it is running",
  },
  {
    name: "restored: the time that it lay saved does not count",
    events: [prepare("a", { m: 0, timeout: 200 }), STARTED, RELEASED, { e: "restore", m: 100_000 }, STARTED],
    domain: running,
    seconds: 299,
    expected: "nothing: it is running",
  },
  {
    name: "restored, and its time is up",
    events: [prepare("a", { m: 0, timeout: 200 }), STARTED, RELEASED, { e: "restore", m: 100_000 }, STARTED],
    domain: running,
    seconds: 301,
    expected: "end: it was not good within 200 s",
  },
  {
    name: "ended because its time was up",
    events: [
      prepare("a"),
      STARTED,
      { e: "overdue", attempt: "a" },
      RELEASED,
      { e: "end", attempt: "a", how: "timeout" },
    ],
    domain: off("destroyed"),
    expected: "start unclean: its boot took too long",
  },
  {
    name: "host is shutting down",
    events: ended("poweroff"),
    domain: off("shutdown"),
    hostStopping: true,
    expected: "nothing: the host is shutting down",
  },
];

function answer(row: Omit<Row, "name" | "expected">): string {
  const action = decide({
    state: deriveState(timeline(...row.events)),
    domain: row.domain,
    hostBoot: row.hostBoot ?? HOST_BOOT,
    m: (row.seconds ?? 300) * 1000,
    hostStopping: row.hostStopping ?? false,
    ephemeral: row.ephemeral,
    now: new Date(START + (row.seconds ?? 300) * 1000),
  });
  return `${action.do}${action.do === "start" && action.unclean ? " unclean" : ""}: ${action.why}`;
}

describe("the start limit, when somebody sets the clock", () => {
  const startAt = (m: number): NewEvent => ({
    e: "asked",
    what: "start",
    by: "reconciler",
    unclean: true,
    hostBoot: HOST_BOOT,
    m,
  });
  const crash = [prepare("a"), STARTED, RELEASED, { e: "end", attempt: "a", how: "reset" }] as NewEvent[];
  const answerAt = (days: number, seconds: number): string =>
    decide({
      state: deriveState(timeline(...[1, 2, 3, 4, 5].map((i) => startAt(i * 1000)), ...crash)),
      domain: off("shutdown"),
      hostBoot: HOST_BOOT,
      hostStopping: false,
      m: seconds * 1000,
      now: new Date(START + days * 86_400_000),
    }).do;

  it.each([-3650, 0, 3650])("by %i days, starts count for half an hour", (days) => {
    expect(answerAt(days, 60)).toBe("give-up");
    expect(answerAt(days, 1800)).toBe("give-up");
    expect(answerAt(days, 1806)).toBe("start");
  });
});

describe("decide", () => {
  it.each(table)("$name: $expected", (row) => {
    expect(answer(row)).toBe(row.expected);
  });

  const cycle = (n: number): NewEvent[] => [
    START_BY_RECONCILER,
    prepare(`r${n}`),
    STARTED,
    RELEASED,
    { e: "end", attempt: `r${n}`, how: "reset" },
  ];
  const cycles = (count: number): NewEvent[] => Array.from({ length: count }, (_, n) => cycle(n)).flat();

  it("gives up after too many unclean starts, until a person starts it", () => {
    const before = [...ended("reset"), ...cycles(START_LIMIT.starts - 1)];
    expect(answer({ events: before, domain: off("shutdown") })).toBe(
      "start unclean: it was reset without shutting down",
    );
    const enough = [...ended("reset"), ...cycles(START_LIMIT.starts)];
    expect(answer({ events: enough, domain: off("shutdown") })).toBe(
      "give-up: it was reset without shutting down, after 5 restarts in 30 minutes",
    );
    const acted = [
      ...enough,
      GAVE_UP,
      START_BY_PERSON,
      prepare("p"),
      STARTED,
      RELEASED,
      { e: "end", attempt: "p", how: "reset" } as const,
    ];
    expect(answer({ events: acted, domain: off("shutdown") })).toBe(
      "start unclean: it was reset without shutting down",
    );
  });

  it("does not count what is long ago", () => {
    const events = [...ended("reset"), ...cycles(START_LIMIT.starts)];
    const seconds = START_LIMIT.windowMs / 1000 + 600;
    expect(answer({ events, domain: off("shutdown"), seconds })).toBe(
      "start unclean: it was reset without shutting down",
    );
  });

  it("never gives up on orderly reboots of good boots", () => {
    const orderly = Array.from({ length: 50 }, (_, n): NewEvent[] => [
      { e: "asked", what: "start", by: "reconciler", why: "it rebooted", unclean: false },
      prepare(`r${n}`),
      STARTED,
      good(`r${n}`),
      RELEASED,
      { e: "end", attempt: `r${n}`, how: "reboot" },
    ]).flat();
    expect(answer({ events: orderly, domain: off("shutdown") })).toBe("start: it rebooted");
  });
});
