// The service, or a command, is killed between two steps of what it does about a guest.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { NewEvent } from "../../src/boot/events.ts";
import { appendEvents, readEvents, readState } from "../../src/boot/log.ts";
import { recordLook } from "../../src/boot/look.ts";
import { presentMoment } from "../../src/boot/moment.ts";
import type { DomainStatus } from "../../src/boot/observe.ts";
import { keepSerialLog } from "../../src/boot/serial-log.ts";
import { decide } from "../../src/guest/decide.ts";
import { FaultGuest, NEW, OLD } from "./guest.ts";
import { ReliabilityTable } from "./table.ts";

const table = new ReliabilityTable("service", ["killed", "what came of it"]);
const saw = (row: string, what: string): void => table.saw(row, "what came of it", what);

const running: DomainStatus = { state: "running", reason: "booted", saved: false };
const off = (reason: string): DomainStatus => ({ state: "shut off", reason, saved: false });

let guest: FaultGuest;
beforeEach(() => {
  guest = new FaultGuest();
  guest.install(OLD);
  guest.bootToGood();
  guest.install(NEW);
});
afterEach(() => guest.remove());

const append = (...events: NewEvent[]): void => appendEvents(guest.paths, events);
const attempt = (): string => readState(guest.paths).current?.id ?? "";
/** How many of the events are of this kind. */
const count = (kind: NewEvent["e"]): number => readEvents(guest.paths).filter(({ e }) => e === kind).length;
const look = (domain: DomainStatus) => recordLook(guest.paths, domain, presentMoment());

/** What the next look decides, some time after this one. */
function decided(domain: DomainStatus, laterMs = 0): string {
  const { state } = look(domain);
  const { m, ...moment } = presentMoment();
  const action = decide({ ...moment, m: m + laterMs, state, domain, hostStopping: false });
  const unclean = action.do === "start" && action.unclean ? " unclean" : "";
  return `${action.do}${unclean}: ${action.why}`;
}

describe("a boot whose time is up", () => {
  const LATER = 24 * 3600_000;
  beforeEach(() => {
    guest.prepare();
    append({ e: "started" });
    expect(decided(running)).toBe("nothing: it is running");
    expect(decided(running, LATER)).toMatch(/^end: it was not good within \d+ s$/);
    append({ e: "overdue", attempt: attempt() });
  });

  it("is ended by the next look, when only that it is to be was written", () => {
    expect(decided(running, LATER)).toMatch(/^end: it was not good within \d+ s$/);
    saw("after it wrote that a boot's time is up, before it ended it", "the next look ends it");
  });

  it("is a time-out and costs one try, when it was ended and nobody wrote so", () => {
    append({ e: "released" });
    expect(decided(off("destroyed"))).toBe("start unclean: its boot took too long");
    expect(decided(off("destroyed"))).toBe("start unclean: its boot took too long");
    const { current, badAttempts } = readState(guest.paths);
    expect([current?.how, [...badAttempts.values()]]).toEqual(["timeout", [1]]);
    saw(
      "after it ended a boot whose time was up",
      "it is a time-out, not a person's wish; it costs one try; the guest starts again",
    );
  });
});

describe("a boot that was reset", () => {
  const CONSOLE = "Kernel panic - not syncing\n";
  let ended: number;
  beforeEach(() => {
    guest.prepare();
    append({ e: "started" }, { e: "released" });
    writeFileSync(guest.paths.serialLog, CONSOLE);
    ended = count("end");
  });

  /** The next two looks say the end once, and the console is there once. */
  function expectKept(): void {
    for (const _ of [1, 2]) {
      expect(decided(off("shutdown"))).toBe("start unclean: it was reset without shutting down");
      expect(count("end")).toBe(ended + 1);
      expect(readdirSync(guest.paths.badLogs)).toEqual([`${attempt()}.log`]);
      expect(readFileSync(guest.paths.badLog(attempt()), "utf8")).toBe(CONSOLE);
    }
    expect([...readState(guest.paths).badAttempts.values()]).toEqual([1]);
  }

  it("has its end and its console, when only the console was kept", () => {
    keepSerialLog(guest.paths, readState(guest.paths));
    expect(guest.keptConsoles()).toEqual([CONSOLE]);
    expect(count("end")).toBe(ended);
    expectKept();
    saw(
      "after it kept the console of a bad boot, before it wrote the end",
      "the next look writes it, once; it costs one try",
    );
  });

  it("has its end and its console, when half of that was kept", () => {
    mkdirSync(guest.paths.badLogs, { mode: 0o700 });
    writeFileSync(`${guest.paths.badLog(attempt())}.new`, CONSOLE.slice(0, 5));
    expectKept();
    saw("while it kept the console of a bad boot", "the next look keeps the whole, and nothing else stays");
  });
});

describe("a start that the service decided on", () => {
  it("is made by the next look, when only that it is to be was written", () => {
    guest.prepare();
    append({ e: "started" }, { e: "released" });
    const start = decided(off("shutdown"));
    expect(start).toBe("start unclean: it was reset without shutting down");
    append({ e: "asked", what: "start", by: "reconciler", why: "it was reset", unclean: true });
    expect(decided(off("shutdown"))).toBe("start unclean: a start was asked for");
    saw("after it wrote that it starts a guest, before it did", "the next look starts it");
  });

  it("is no boot of the console before it, when QEMU never ran", () => {
    append({ e: "asked", what: "start", by: "reconciler" });
    writeFileSync(guest.paths.serialLog, "the boot before it\n");
    guest.prepare();
    append({ e: "released" });
    expect(decided(off("failed"))).toBe("start unclean: its last start failed");
    expect(guest.keptConsoles()).toEqual([]);
    saw("while libvirt started a guest, before QEMU ran", "it starts again; no console is kept as its own");
  });
});

it("docs/reliability.md says what was seen", () => table.expectInDocument());
