import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  InstallerConsole,
  type InstallerEvent,
  stepName,
} from "../../../../src/provision/installer/console.ts";

const LOG = "Nov 26 10:13:05";

describe("a line of the console", () => {
  it.each<[what: string, line: string, event: InstallerEvent | undefined]>([
    ["a step", `${LOG} main-menu[1119]: INFO: Menu item 'pkgsel' selected`, { kind: "step", item: "pkgsel" }],
    [
      "a step behind something that was drawn",
      `... 100%${LOG} main-menu[1119]: INFO: Menu item 'partman-base' selected`,
      { kind: "step", item: "partman-base" },
    ],
    [
      "a step that failed",
      `${LOG} main-menu[1119]: WARNING **: Menu item 'pkgsel' failed.`,
      { kind: "failed", item: "pkgsel" },
    ],
    [
      "no modules",
      `${LOG} anna[1894]: WARNING **: no packages matching running kernel 6.12.1-amd64 in archive`,
      { kind: "no-modules", release: "6.12.1-amd64" },
    ],
    [
      "a package",
      `${LOG} in-target: Setting up openssh-server (1:10.0p1-7) ...\r`,
      { kind: "line", line: "Setting up openssh-server (1:10.0p1-7) ..." },
    ],
    [
      "what dpkg says in a line of its progress, as syslogd writes that",
      `${LOG} in-target: (Reading database ... ^M(Reading database ... 5%^MPreparing to unpack x.deb ...^M`,
      { kind: "line", line: "Preparing to unpack x.deb ..." },
    ],
    ["progress alone", `${LOG} in-target: 5%^M(Reading database ... 10%^M`, undefined],
    ["the begin of a progress", `${LOG} in-target: (Reading database ... ^M`, undefined],
    ["a line without anything", `${LOG} in-target: ^M`, undefined],
    [
      "debootstrap's",
      `${LOG} debootstrap: I: Unpacking bash...`,
      { kind: "line", line: "Unpacking bash..." },
    ],
    ["a panic", "[    2.1] Kernel panic - not syncing: VFS", { kind: "panic" }],
    ["the kernel's", "[    2.5] zbud: loaded", undefined],
    ["what somebody in a package's name makes of it", `${LOG} x: Menu item 'pkgsel' failed`, undefined],
  ])("%s", (_what, line, event) => {
    expect(new InstallerConsole().feed(`${line}\n`)).toEqual(event === undefined ? [] : [event]);
  });
});

describe("a question", () => {
  const question =
    "Downloading a file failed:\n  1: Retry [*],  3: Cancel,\nPrompt: '?' for help, default=1> ";

  it("is seen though its line does not end, once", () => {
    const console = new InstallerConsole();
    expect(console.feed(question)).toEqual([{ kind: "question" }]);
    expect(console.feed("")).toEqual([]);
    expect(console.lastLines).toContain("Downloading a file failed:");
  });

  it("is seen when it comes by pieces", () => {
    const console = new InstallerConsole();
    expect([...question].flatMap((char) => console.feed(char))).toEqual([{ kind: "question" }]);
  });

  it("may be a note", () => {
    expect(new InstallerConsole().feed("An error.\n[Press enter to continue] ")).toEqual([
      { kind: "question" },
    ]);
  });

  it("for a password may be where the last words end with a colon, until the installer is two steps further", () => {
    const console = new InstallerConsole();
    const step = (item: string): string => `${LOG} main-menu[1]: INFO: Menu item '${item}' selected\n`;
    console.feed(`Root password:\r\n${step("user-setup-udeb")}`);
    expect(console.mayWait).toBe(true);
    console.feed(step("clock-setup"));
    expect(console.mayWait).toBe(false);
  });

  it("is none in the middle of a log", () => {
    expect(new InstallerConsole().feed(`${LOG} x: Prompt: '?' for help, default=1> and so on\n`)).toEqual([]);
  });
});

describe("whatever a machine prints", () => {
  it("is printable and bounded", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary", maxLength: 300 })), (pieces) => {
        const console = new InstallerConsole();
        const events = pieces.flatMap((piece) => console.feed(piece));
        const said = events.flatMap((event) => ("line" in event ? [event.line] : []));
        for (const text of [...said, ...console.lastLines.split("\n")]) {
          expect(text).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
        }
      }),
    );
    const console = new InstallerConsole();
    for (let count = 0; count < 100; count++) console.feed("x".repeat(100_000));
    expect(console.lastLines.length).toBeLessThan(5000);
  });
});

it("names steps in words, and those that it does not know as they are", () => {
  expect(stepName("pkgsel")).toBe("installing packages");
  expect(stepName("constructor")).toBe("constructor");
});
