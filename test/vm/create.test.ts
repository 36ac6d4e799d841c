/** What create does when it cannot: it says why, and leaves nothing. */
import { existsSync, readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { statePaths } from "../../src/paths.ts";
import { PROGRAM, tryBootshare, until, virsh } from "./machine.ts";

const NAME = "bs-test-never";

/** Everything that a creation could leave behind. */
async function traces(): Promise<unknown> {
  const { guests, work } = statePaths();
  const list = (folder: string): string[] => (existsSync(folder) ? readdirSync(folder).sort() : []);
  const { stdout: mounts } = await execa("cat", ["/proc/self/mounts"]);
  return { domains: await virsh("list", "--all", "--name"), guests: list(guests), work: list(work), mounts };
}

describe("a create that fails", () => {
  let before: unknown;
  beforeEach(async () => {
    before = await traces();
  });
  afterEach(async () => {
    expect(await traces()).toEqual(before);
  });

  const refusals: [string, string[], RegExp][] = [
    ["a name that is none", ["../etc"], /cannot be the name of a guest.*NAME_INVALID/],
    [
      "an architecture that Debian has not",
      [NAME, "--arch", "mips"],
      /makes no guests of architecture mips\. \[ARCH_UNKNOWN\]/,
    ],
    [
      "a kernel that the suite has not",
      [NAME, "--arch", "i386", "--guest-kernel-arch", "native"],
      /no i386 kernel for this i386 guest\. \[GUEST_KERNEL_UNSUPPORTED\]/,
    ],
    [
      "more processors than a kernel of 32-bit ARM has",
      [NAME, "--arch", "armhf", "--cpus", "9"],
      /at most 8 processors, not 9 processors\. \[MACHINE_TOO_LARGE\]/,
    ],
    ["an unknown suite", [NAME, "--suite", "woody"], /does not know the suite "woody"\. \[SUITE_UNKNOWN\]/],
    [
      "a cloud kernel with 9p",
      [NAME, "--share", "9p", "--kernel", "linux-image-cloud-amd64"],
      /KERNEL_NEEDS_VIRTIOFS/,
    ],
    ["a size that is none", [NAME, "--memory", "lots"], /--memory: lots is no size\. \[USAGE\]/],
    ["a key file that is not there", [NAME, "--ssh-key", "/nowhere"], /ssh key \/nowhere cannot be read/],
    ["a way of sharing that is none", [NAME, "--share", "nfs"], /--share: auto, virtiofs or 9p\. \[USAGE\]/],
  ];
  it.each(refusals)("for %s", async (_what, args, message) => {
    const { exitCode, stderr, stdout } = await tryBootshare("create", ...args);
    expect(`${stdout}${stderr}`).toMatch(message);
    expect(exitCode).toBe(2);
  });

  it("for a mirror that does not answer: with what apt said, and what to do", async () => {
    const { exitCode, stderr } = await tryBootshare("create", NAME, "--mirror", "http://127.0.0.1:9/debian");
    expect(exitCode).not.toBe(0);
    expect(stderr).toMatch(/^Error: .*\[[A-Z_]+\]$/m);
    expect(stderr).toMatch(/^ {2}\| .*127\.0\.0\.1/m);
    expect(stderr).toMatch(/^What to do: /m);
  });

  it.each(["SIGINT", "SIGTERM"] as const)("for %s in the middle of it", async (signal) => {
    const child = execa(PROGRAM, ["create", NAME], { reject: false, stdin: "ignore" });
    const { work } = statePaths();
    await until("packages are being installed", 120, async () => {
      const logs = existsSync(work)
        ? readdirSync(work).filter((name) => existsSync(`${work}/${name}/create.log`))
        : [];
      return logs.length > 0 ? true : undefined;
    });
    await sleep(5000);
    child.kill(signal);
    const { exitCode, stderr } = await child;
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`The making of ${NAME} was interrupted (${signal}). [INTERRUPTED]`);
  });
});

describe("a create that was killed", () => {
  it("is cleared away by the next one", async () => {
    const { work } = statePaths();
    const folders = (): string[] =>
      existsSync(work)
        ? readdirSync(work).filter((name) => !name.startsWith(".new-") && !name.endsWith(".lock"))
        : [];
    const before = folders();
    const child = execa(PROGRAM, ["create", NAME], { reject: false, stdin: "ignore" });
    await until("its folder is there", 60, async () => (folders().length > before.length ? true : undefined));
    child.kill("SIGKILL");
    await child;
    await sleep(2000);
    expect(folders()).toHaveLength(before.length + 1);
    await tryBootshare("create", NAME, "--mirror", "http://127.0.0.1:9/debian");
    expect(folders()).toEqual(before);
  });
});
