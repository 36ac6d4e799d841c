/** The script that runs apt in a guest, with programs in the place of apt, dpkg and systemd that do what a test says. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { run } from "../../../src/process.ts";

const SCRIPT = readFileSync("src/builder/upgrade-in-guest.sh", "utf8");
let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bootshare-in-guest-"));
  mkdirSync(join(folder, "bin"));
  program("dpkg", "exit 0");
  program("sleep", "exit 0");
  // A unit is a process here; it is over when this has written down which.
  program("systemd-run", `while [ "$1" != -- ]; do shift; done; shift; "$@" & echo $! >${folder}/pid; wait`);
  program("systemctl", `case $1 in show) cat ${folder}/pid;; *) exit 3;; esac`);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function program(name: string, text: string): void {
  const file = join(folder, "bin", name);
  writeFileSync(file, `#!/bin/sh\n${text}\n`);
  chmodSync(file, 0o755);
}

/** apt-get, which writes down how it was called, and does what these shell commands say. */
function apt(text: string): void {
  program("apt-get", `echo "$*" >>${folder}/calls\necho "apt says: $*"\n${text}`);
}

async function script(what: string) {
  const input = SCRIPT.replace("RUN=/run/$UNIT", `RUN=${folder}/run`);
  expect(input).not.toBe(SCRIPT);
  const env = { PATH: `${join(folder, "bin")}:${process.env["PATH"]}` };
  return await run("sh", ["-s", what], { input, env, timeoutMs: 30_000 });
}

const calls = (): string[] =>
  existsSync(join(folder, "calls")) ? readFileSync(join(folder, "calls"), "utf8").trimEnd().split("\n") : [];

describe("check", () => {
  it.each([
    ["there is nothing to upgrade", "exit 0", 0],
    ["there is something", 'case $* in *-s*) echo "Inst linux-image-amd64 [1] (2)";; esac', 3],
    ["something would be removed", 'case $* in *-s*) echo "Remv old [1]";; esac', 3],
    ["what is planned does not work", "case $* in *-s*) exit 100;; esac", 12],
    ["the lists cannot be had", "case $* in *update*) exit 100;; esac", 11],
  ])("%s", async (_, text, code) => {
    apt(text);
    expect((await script("check")).exitCode).toBe(code);
  });

  it("has something to do where dpkg was interrupted", async () => {
    apt("exit 0");
    program("dpkg", "echo 'half installed'");
    expect((await script("check")).exitCode).toBe(3);
  });

  it("tries the lists again, as another program may hold them", async () => {
    apt(`case $* in *update*) [ -e ${folder}/again ] || { : >${folder}/again; exit 100; };; esac`);
    expect((await script("check")).exitCode).toBe(0);
    expect(calls().filter((call) => call.endsWith("update"))).toHaveLength(2);
  });
});

describe("upgrade", () => {
  it("asks no questions, keeps changed configuration files, and shows what apt prints", async () => {
    apt("exit 0");
    const { exitCode, stdout } = await script("upgrade");
    expect(exitCode).toBe(0);
    expect(stdout).toContain("apt says:");
    expect(calls().map((call) => call.replace(/^.*--force-confold /, ""))).toEqual([
      "-o APT::Update::Error-Mode=any -o Acquire::Retries=3 update",
      "purge ?and(?garbage,?name(^linux-image-))",
      "full-upgrade",
    ]);
    expect(calls()[0]).toContain("-q -y -o DPkg::Lock::Timeout=1800 -o Dpkg::Options::=--force-confdef");
  });

  it("does not ask for lists again that the check has just brought", async () => {
    apt("exit 0");
    await script("check");
    await script("upgrade");
    expect(calls().filter((call) => call.endsWith("update"))).toHaveLength(1);
  });

  it.each([
    ["the lists cannot be had", "case $* in *update*) exit 100;; esac", 11, "apt-get update failed"],
    ["apt fails", "case $* in *full-upgrade*) exit 100;; esac", 12, "apt-get or dpkg failed"],
    ["it is killed", "kill -9 $PPID", 13, "was ended before it was through"],
  ])("%s", async (_, text, code, said) => {
    apt(text);
    const { exitCode, stdout } = await script("upgrade");
    expect(exitCode).toBe(code);
    expect(stdout).toContain(said);
  });

  it("begins no second one while one runs, and looks on", async () => {
    apt("exit 0");
    writeFileSync(join(folder, "run.log"), "from before\n");
    writeFileSync(join(folder, "run.code"), "0\n");
    program("systemctl", "case $1 in show) echo 0;; *) exit 0;; esac");
    const { exitCode, stdout } = await script("upgrade");
    expect([exitCode, stdout.trim()]).toEqual([0, "from before"]);
    expect(calls()).toEqual([]);
  });
});
