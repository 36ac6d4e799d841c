import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NO_REPORT, parseReport, readReport, rotateReport } from "../../../src/boot/report.ts";
import { guestPaths } from "../../../src/paths.ts";

const BOOT = "0b8d4a5e-6a64-4c9e-9a57-3a4f8d7d2c11";

describe("parseReport", () => {
  const table: [string, string, Partial<typeof NO_REPORT>][] = [
    ["nothing", "", {}],
    ["up", `up 6.12.38+deb13-amd64 ${BOOT}\n`, { up: "6.12.38+deb13-amd64" }],
    ["up and good", `up 6.1.0-9 ${BOOT}\ngood 6.1.0-9 ${BOOT}\n`, { up: "6.1.0-9", good: "6.1.0-9" }],
    ["a serial port's line ends", `up 6.1.0-9 ${BOOT}\r\nend reboot\r\n`, { up: "6.1.0-9", end: "reboot" }],
    [
      "power-off",
      `good 6.1.0-9 ${BOOT}\nend poweroff\n`,
      { up: "6.1.0-9", good: "6.1.0-9", end: "poweroff" },
    ],
    ["the last end counts", "end poweroff\nend reboot\n", { end: "reboot" }],
    ["kexec, and up again", `end kexec\nup 6.1.0-9 ${BOOT}\n`, { up: "6.1.0-9" }],
    ["a half line at the end", "end reb", {}],
    ["a word more", "end reboot now\n", {}],
    ["another word", "end explode\n", {}],
    ["no boot id", "good 6.1.0-9\n", {}],
    ["a release with a path in it", `good ../../etc ${BOOT}\n`, {}],
    ["a release with an escape in it", `good 6.1\x1b[2J ${BOOT}\n`, {}],
    ["a release that is too long", `good ${"6".repeat(65)} ${BOOT}\n`, {}],
    ["garbage before and after", `\0\0\xff\ngood 6.1.0-9 ${BOOT}\n\0`, { up: "6.1.0-9", good: "6.1.0-9" }],
  ];
  it.each(table)("%s", (_name, text, expected) => {
    const { written: _, ...empty } = NO_REPORT;
    expect(parseReport(text)).toEqual({ ...empty, ...expected });
  });

  it("never throws, and never lets through more than a release", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
        const { up, good } = parseReport(text);
        for (const release of [up, good]) expect(release ?? "6.1").toMatch(/^[A-Za-z0-9._+~-]{1,64}$/);
      }),
    );
  });
});

describe("readReport", () => {
  let dir = "";
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "bootshare-report-"));
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  it("reads beginning and end of a report that a guest made huge", () => {
    const paths = guestPaths(dir);
    writeFileSync(paths.report, `up 6.1.0-9 ${BOOT}\n`);
    truncateSync(paths.report, 2 ** 40);
    writeFileSync(paths.report, "\nend reboot\n", { flag: "a" });
    expect(readReport(paths)).toMatchObject({ up: "6.1.0-9", good: undefined, end: "reboot" });
  });

  it("follows no link and takes a missing file for an empty report", () => {
    const paths = guestPaths(dir);
    expect(readReport(paths)).toEqual(NO_REPORT);
    writeFileSync(join(dir, "elsewhere"), "end reboot\n");
    symlinkSync(join(dir, "elsewhere"), paths.report);
    expect(readReport(paths)).toEqual(NO_REPORT);
  });

  it("rotates, and keeps three", () => {
    const paths = guestPaths(dir);
    for (const end of ["reboot", "poweroff", "halt", "kexec"]) {
      writeFileSync(paths.report, `end ${end}\n`);
      rotateReport(paths);
    }
    expect(readReport(paths).end).toBeUndefined();
    expect(readReport({ ...paths, report: paths.oldReport(1) }).end).toBe("kexec");
    expect(readReport({ ...paths, report: paths.oldReport(3) }).end).toBe("poweroff");
    expect(readReport({ ...paths, report: paths.oldReport(4) })).toEqual(NO_REPORT);
  });
});
