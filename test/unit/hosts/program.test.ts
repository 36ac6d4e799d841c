/** `--host` in the real program: what it hands to ssh. */
import { once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Bootshare, outcome } from "../program.ts";

let bootshare: Bootshare;
beforeAll(async () => {
  // The command for the host is its last argument.
  bootshare = await Bootshare.withSsh(`for last; do :; done
case $last in
*nosuch) echo "sh: 1: nosuch: not found" >&2; exit 127 ;;
*upgrade*) echo "worker1: installing"; echo "worker1: half of it" >&2; : >began; exec sleep 60 ;;
*) echo "$last" ;;
esac`);
});
afterAll(() => bootshare.remove());

it.each([["exec w1 -- shutdown -h now"], ["exec w1 dpkg --help"], ["exec w1 -- lsblk --json"]])(
  "the program's own arguments go along: %s",
  async (line) => {
    expect(await bootshare.run("--host", "h", ...line.split(" "))).toEqual({
      code: 0,
      stdout: `h: bootshare ${line}\n`,
      stderr: "",
    });
  },
);

it.each([["exec --help"], ["list -h"]])("help is ours: %s", async (line) => {
  const [name = "", ...rest] = line.split(" ");
  const { code, stdout } = await bootshare.run("--host", "h", name, ...rest);
  expect([code, stdout.startsWith(`Usage: bootshare ${name} `)]).toEqual([0, true]);
});

it("a program's 127 is its own", async () => {
  const { code, stderr } = await bootshare.run("--host", "h", "exec", "w1", "--", "nosuch");
  expect(code).toBe(127);
  expect(stderr).toContain("  | h failed: sh: 1: nosuch: not found\n");
});

it.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const)(
  "%s: what came is shown, and the exit code says that it was interrupted",
  async (signal, expected) => {
    const child = bootshare.start("--host", "a", "--host", "b", "upgrade", "--all");
    const shown = [child.stdout, child.stderr].map(async (stream) => stream && (await once(stream, "data")));
    const ended = outcome(child);
    await Promise.all(shown);
    child.kill(signal);
    const { code, stdout, stderr } = await ended;
    expect({ code, stdout, stderr }).toEqual({
      code: expected,
      stdout: "a: worker1: installing\n",
      stderr: `a: worker1: half of it\nError: It was interrupted (${signal}). [INTERRUPTED]\n`,
    });
  },
);

it("an interruption is told as JSON too", async () => {
  rmSync(join(bootshare.folder, "began"), { force: true });
  const child = bootshare.start("--host", "a", "--host", "b", "upgrade", "--all", "--json");
  const ended = outcome(child);
  // Nothing is shown before its end.
  while (!existsSync(join(bootshare.folder, "began"))) await sleep(20);
  child.kill("SIGINT");
  const { code, stdout } = await ended;
  expect(code).toBe(130);
  expect(JSON.parse(stdout)).toMatchObject([
    { host: "a", outcome: "unreachable", exitCode: null, error: { code: "INTERRUPTED" } },
    { host: "b", outcome: "not-tried", error: null },
  ]);
});
