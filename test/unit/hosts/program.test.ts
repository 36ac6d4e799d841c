/** `--host` in the real program: what it hands to ssh. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { Bootshare } from "../program.ts";

let bootshare: Bootshare;
beforeAll(async () => {
  // The command for the host is its last argument.
  bootshare = await Bootshare.withSsh('for last; do :; done; echo "$last"');
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
