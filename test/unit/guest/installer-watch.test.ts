import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InstallerWatch } from "../../../src/guest/installer-watch.ts";
import { LogFollower } from "../../../src/guest/log-follower.ts";

let folder: string;
let log: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bootshare-watch-"));
  log = join(folder, "serial.log");
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("a log that grows", () => {
  it("is read on, also where another file takes its place", () => {
    const follower = new LogFollower(log);
    expect(follower.next()).toBe("");
    writeFileSync(log, "one ");
    expect(follower.next()).toBe("one ");
    appendFileSync(log, "two ");
    renameSync(log, `${log}.0`);
    writeFileSync(log, "three");
    expect(follower.next()).toBe("two three");
    expect(follower.next()).toBe("");
  });
});

const at = (text: string): string => `Nov 26 10:13:05 ${text}\n`;
const PKGSEL = at("main-menu[1]: INFO: Menu item 'pkgsel' selected");

describe("an installer that is watched", () => {
  const shown: string[] = [];
  let now = 0;
  function watch(interactive = false): InstallerWatch {
    shown.length = 0;
    now = 0;
    const progress = { line: (line: string): void => void shown.push(line) };
    return new InstallerWatch({ serialLog: log, silentMs: 1000, interactive }, progress, () => now);
  }
  const look =
    (console: string, interactive = false) =>
    (): void => {
      writeFileSync(log, console);
      watch(interactive).look();
    };

  it("shows its steps, and what they do", () => {
    look(PKGSEL + at("in-target: Setting up dbus (1.16) ..."))();
    expect(shown).toEqual(["installing packages", "installing packages: Setting up dbus (1.16) ..."]);
  });

  it.each<[what: string, console: string, code: string, sentence: RegExp]>([
    [
      "a step fails",
      at("main-menu[1]: WARNING **: Menu item 'pkgsel' failed."),
      "INSTALLER_FAILED",
      /at: installing packages/,
    ],
    ["it asks", `${PKGSEL}Prompt: '?' for help> `, "INSTALLER_ASKS", /at: installing packages/],
    [
      "the mirror has moved on",
      at("anna[1]: WARNING **: no packages matching running kernel 6.1.0 in archive"),
      "NETBOOT_OUTDATED",
      /6\.1\.0/,
    ],
    ["its kernel panics", "[    1.0] Kernel panic - not syncing: x\n", "INSTALLER_FAILED", /panicked/],
  ])("ends it when %s", (_what, console, code, sentence) => {
    expect(look(console)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(sentence) }),
    );
    expect(look(console, true)).not.toThrow();
  });

  it("ends it when it is silent for long", () => {
    writeFileSync(log, PKGSEL);
    const watched = watch();
    watched.look();
    now = 1000;
    watched.look();
    appendFileSync(log, "x");
    now = 1900;
    watched.look();
    now = 2901;
    expect(() => watched.look()).toThrow(expect.objectContaining({ code: "INSTALLER_TIMEOUT" }));
  });

  it("takes silence behind a colon for a question for a password, also where the log goes on a little", () => {
    writeFileSync(log, `${PKGSEL}Root password:\r\n${at("main-menu[1]: INFO: x")}`);
    const watched = watch();
    watched.look();
    now = 126;
    expect(() => watched.look()).toThrow(expect.objectContaining({ code: "INSTALLER_ASKS" }));
  });
});
