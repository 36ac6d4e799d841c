import { describe, expect, it } from "vitest";
import type { NewEvent } from "../../../src/boot/events.ts";
import { type DomainStatus, howItEnded, observe } from "../../../src/boot/observe.ts";
import { type BootReport, NO_REPORT } from "../../../src/boot/report.ts";
import { deriveState } from "../../../src/boot/state.ts";
import { HOST_BOOT, prepare, RELEASED, START, STARTED, timeline } from "./events.ts";

const running: DomainStatus = { state: "running", reason: "booted", saved: false };
const off = (reason: string, saved = false): DomainStatus => ({ state: "shut off", reason, saved });
const said = (report: Partial<BootReport>): BootReport => ({ ...NO_REPORT, ...report });

describe("how a boot ended", () => {
  const table: [BootReport["end"], string, string | undefined, string][] = [
    // what the guest said, libvirt's reason, what the release hook was told, what it comes to
    ["reboot", "shutdown", undefined, "reboot"],
    ["poweroff", "shutdown", undefined, "poweroff"],
    ["halt", "shutdown", undefined, "halt"],
    [undefined, "shutdown", undefined, "reset"],
    ["kexec", "shutdown", undefined, "reset"],
    [undefined, "destroyed", undefined, "destroyed"],
    ["reboot", "destroyed", undefined, "destroyed"],
    [undefined, "crashed", undefined, "crashed"],
    ["reboot", "crashed", undefined, "reboot"],
    [undefined, "failed", undefined, "failed"],
    ["reboot", "unknown", undefined, "reboot"],
    ["poweroff", "unknown", undefined, "poweroff"],
    [undefined, "unknown", undefined, "unknown"],
    [undefined, "unknown", "destroyed", "destroyed"],
    [undefined, "unknown", "shutdown", "reset"],
    [undefined, "daemon", undefined, "unknown"],
  ];
  it.each(table)("said %s, libvirt %s, release hook %s: %s", (end, reason, release, how) => {
    expect(howItEnded(said({ end }), off(reason), { releaseReason: release })).toBe(how);
  });
});

describe("howItEnded, with what else is known", () => {
  it.each([
    [undefined, "destroyed", { overdue: true }, "timeout"],
    ["reboot", "destroyed", { overdue: true }, "timeout"],
    [undefined, "unknown", { overdue: true }, "timeout"],
    // It shut down by itself before it was ended.
    ["poweroff", "shutdown", { overdue: true }, "poweroff"],
    [undefined, "unknown", { hostDown: true }, "host-down"],
    ["poweroff", "unknown", { hostDown: true }, "host-down"],
    [undefined, "destroyed", { hostDown: true }, "destroyed"],
  ] as const)("said %s, libvirt %s, %j: %s", (end, reason, facts, how) => {
    expect(howItEnded(said({ end }), off(reason), facts)).toBe(how);
  });
});

describe("observe", () => {
  const at = (seconds: number, hostBoot = HOST_BOOT) => ({
    hostBoot,
    m: seconds * 1000,
    now: new Date(START + seconds * 1000),
  });
  const look = (before: NewEvent[], report: BootReport, status: DomainStatus, moment = at(60)) =>
    observe(deriveState(timeline(...before)), report, status, moment);
  const events = (...args: Parameters<typeof look>) => look(...args).map(({ event }) => event);

  it("sees a kernel come up and be good, once", () => {
    const report = said({ up: "6.1.0-1", good: "6.1.0-1" });
    const seen = events([prepare("a"), STARTED], report, running);
    expect(seen).toEqual([
      { e: "up", attempt: "a", release: "6.1.0-1" },
      { e: "good", attempt: "a", release: "6.1.0-1" },
    ]);
    expect(events([prepare("a"), STARTED, ...seen], report, running)).toEqual([]);
  });

  it("sees the end of an attempt once libvirt let go of it", () => {
    const report = said({ end: "reboot" });
    const end = { e: "end", attempt: "a", how: "reboot" };
    expect(events([prepare("a"), STARTED, RELEASED], report, off("shutdown"))).toEqual([end]);
    expect(events([prepare("a"), STARTED], report, off("shutdown"))).toEqual([]);
    expect(events([prepare("a"), STARTED], report, off("shutdown"), at(3600))).toEqual([end]);
    expect(events([prepare("a"), STARTED], report, off("unknown"), at(60, "another boot"))).toEqual([
      { ...end, how: "host-down" },
    ]);
    expect(events([prepare("a"), STARTED], report, { ...off("unknown"), starting: true }, at(5))).toEqual([
      end,
    ]);
  });

  it("takes shut off for the end where no hook says more, once the start is known to be over", () => {
    const end = { e: "end", attempt: "a", how: "reboot" };
    const unhooked = prepare("a", { hook: false });
    const report = said({ end: "reboot" });
    expect(events([unhooked], report, off("unknown"), at(5))).toEqual([]);
    expect(events([unhooked, STARTED], report, off("shutdown"))).toEqual([end]);
    expect(events([unhooked, STARTED], report, off("shutdown", true))).toEqual([]);
    expect(events([unhooked], report, off("shutdown"), at(3600))).toEqual([end]);
  });

  it("does not take what libvirt said before a start for the end of it", () => {
    const unhooked = prepare("a", { hook: false });
    const before = { ...off("shutdown"), asOf: new Date(START - 1000) };
    const after = { ...off("shutdown"), asOf: new Date(START + 50_000) };
    expect(events([unhooked, STARTED], said({}), before)).toEqual([]);
    expect(events([unhooked, STARTED], said({}), after)).toMatchObject([{ e: "end" }]);
  });

  it("does not end an attempt that is being started, or saved", () => {
    expect(events([prepare("a")], NO_REPORT, off("unknown"), at(5))).toEqual([]);
    expect(events([prepare("a"), STARTED, RELEASED], NO_REPORT, off("saved"))).toEqual([]);
    expect(events([prepare("a"), STARTED, RELEASED], NO_REPORT, off("unknown", true))).toEqual([]);
  });

  it("takes the time of a report that nobody read from its file, and that of an end from the hook", () => {
    const report = said({ good: "6.1.0-1", written: at(30).now.toISOString() });
    const seen = look([prepare("a"), STARTED, RELEASED], report, off("shutdown"), at(500));
    expect(seen.map(({ event, at: time }) => [event.e, time])).toEqual([
      ["good", at(30).now],
      ["end", at(20).now],
    ]);
    const ahead = said({ good: "6.1.0-1", written: at(900).now.toISOString() });
    expect(look([prepare("a"), STARTED], ahead, running, at(500)).map((one) => one.at)).toEqual([
      at(500).now,
    ]);
  });

  it("has nothing to say of a guest that was never started", () => {
    expect(events([], said({ good: "6.1.0-1" }), off("unknown"))).toEqual([]);
  });
});
