import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { runInGuest } from "../../../src/guest/in-guest.ts";
import { guest } from "./reachable.ts";

const path = process.env["PATH"] ?? "";
let folder: string;
const marks = (): string[] => readdirSync(join(folder, "run"));

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bootshare-exit-"));
  for (const name of ["bin", "run"]) mkdirSync(join(folder, name));
});
afterEach(() => {
  process.env["PATH"] = path;
  rmSync(folder, { recursive: true });
});

/** What stands for sshd and the login shell: a session of its own for the command, and no exit code where a signal ended it, which ssh makes 255. */
const SSHD = `#!/usr/bin/python3
import subprocess, sys
code = subprocess.Popen(["bash", "-c", sys.argv[1].replace("/run/", sys.argv[2])], start_new_session=True).wait()
sys.exit(255 if code < 0 else code)
`;

/** What stands for ssh: a shell script, in which `run` hands the command to sshd. */
function ssh(script: string): void {
  const run = `run() { "${folder}/bin/sshd" "$last" "${folder}/run/"; }`;
  const lines = ["#!/bin/sh", "for last; do :; done", run, script, ""];
  writeFileSync(join(folder, "bin", "sshd"), SSHD, { mode: 0o755 });
  writeFileSync(join(folder, "bin", "ssh"), lines.join("\n"), { mode: 0o755 });
  process.env["PATH"] = `${join(folder, "bin")}:${path}`;
}

const sh = (script: string): string[] => ["sh", "-c", script];

it.each([
  ["0", ["true"], 0],
  ["one of its own", sh("exit 7"), 7],
  ["255, which is ssh's word too", sh("exit 255"), 255],
  ["of a program that is not there", ["/no/such/program"], 127],
  ["of one that cannot be run", ["/etc/passwd"], 126],
  ["of one that answers an interrupt itself", sh("trap 'exit 3' INT; kill -INT 0; sleep 5"), 3],
])("the exit code is the program's: %s", async (_what, command, code) => {
  ssh("run");
  expect(await runInGuest(guest, command, { stdout: "ignore", stderr: "ignore" })).toBe(code);
  expect(marks()).toEqual([]);
});

it.each([
  ["SEGV", 139],
  ["KILL", 137],
  ["TERM", 143],
])("a program that %s ended has 128 and its number", async (name, code) => {
  ssh("run");
  expect(await runInGuest(guest, sh(`kill -${name} $$`), { stdout: "ignore", stderr: "ignore" })).toBe(code);
});

it.each([
  ["cannot connect", "exit 255"],
  ["loses its connection", "case $last in *rm*) run ;; *) run; exit 255 ;; esac"],
])("the guest is lost where ssh %s", async (_what, script) => {
  ssh(script);
  await expect(runInGuest(guest, sh("exit 7"), { stdout: "ignore", stderr: "ignore" })).rejects.toMatchObject(
    {
      code: "GUEST_LOST",
      message: "The connection to the guest g is lost.",
    },
  );
});

it("an interruption is told as such, also while the guest is asked", async () => {
  ssh("case $last in *rm*) exec sleep 30 ;; *) exit 255 ;; esac");
  const stop = new AbortController();
  setTimeout(() => stop.abort(new Error("enough")), 500);
  await expect(runInGuest(guest, ["true"], { signal: stop.signal })).rejects.toThrow("enough");
});
