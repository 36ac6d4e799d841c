/** Clones and ephemeral guests, of a guest that is there: it is off meanwhile, and is started again at the end. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { chainOf } from "../../src/guest/bases.ts";
import { guestPaths, guestPathsOf, IDENTITY_FILE, statePaths } from "../../src/paths.ts";
import { ensureGuest, type Shared } from "./guests.ts";
import {
  bootshare,
  inGuest,
  json,
  keepLogsOnFailure,
  PROGRAM,
  statusOf,
  tryBootshare,
  until,
} from "./machine.ts";

/** The second of two that are asked for together. */
const CLONES = "bs-test-clone";
const CLONE = `${CLONES}-2`;
const FIRST = `${CLONES}-1`;

/** What has to differ between two machines. */
const IDENTITY =
  "cat /etc/machine-id /etc/hostname /proc/sys/kernel/hostname /etc/ssh/ssh_host_ed25519_key.pub /sys/class/net/e*/address; tail -n 1 /root/.ssh/authorized_keys";

/** Adds the tests of them, with this guest as their source. Its file alone makes clones: what is left of them is counted. */
export function clones(guest: Shared): void {
  describe("clones", () => {
    testClones(guest);
  });
}

function testClones(guest: Shared): void {
  const { name } = guest;
  let folder: string;
  let before: readonly string[];
  let standsOn: readonly string[] = [];
  /** What guest and clone stand on since. */
  let base = "";
  /** Milliseconds that the clone took. */
  let cloned = Number.POSITIVE_INFINITY;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "bootshare-clone-"));
    for (const one of [FIRST, CLONE]) await tryBootshare("delete", "--force", one);
    await ensureGuest(guest);
    before = (await inGuest(name, "sh", "-c", IDENTITY)).split("\n");
    await bootshare("stop", name);
    const { uuid } = await statusOf(name);
    standsOn = chainOf(guestPathsOf(uuid).disk);
  });
  afterAll(async () => {
    for (const one of [FIRST, CLONE]) await tryBootshare("delete", "--force", one);
    rmSync(folder, { recursive: true });
  });
  /** Bases that no disk stands on. Another guest's is one for the moment in which it is made. */
  const unused = (): string[] => {
    const { bases, guests } = statePaths();
    const used = new Set(readdirSync(guests).flatMap((one) => chainOf(guestPaths(join(guests, one)).disk)));
    return readdirSync(bases)
      .map((one) => join(bases, one))
      .filter((one) => !used.has(one));
  };

  /** Names of all folders with a disk that stands on the newest base of the guest. */
  const overlaysOn = (): string[] => {
    const { guests } = statePaths();
    return readdirSync(guests).filter((one) => chainOf(guestPaths(join(guests, one)).disk).includes(base));
  };

  it("takes a fraction of the time and the space of a guest", async () => {
    const began = Date.now();
    const [made] = await json<{ uuid: string; state: string }[]>("clone", name, CLONE);
    cloned = Date.now() - began;
    expect(made?.state).toBe("shut off");
    const { disk, share } = guestPathsOf(made?.uuid ?? "");
    expect(readFileSync(disk).length).toBeLessThan(2 ** 20);
    expect(existsSync(join(share, IDENTITY_FILE))).toBe(true);
    expect(chainOf(disk)).toHaveLength(standsOn.length + 1);
    base = chainOf(disk)[0] ?? "";
    // The guest stands on the same.
    expect(chainOf(guestPathsOf((await statusOf(name)).uuid).disk)).toEqual(chainOf(disk));
  });

  it("is refused for a name that is taken, and leaves nothing", async () => {
    const there = overlaysOn();
    const { exitCode, stderr } = await tryBootshare("clone", name, CLONE);
    expect([exitCode, stderr]).toEqual([4, expect.stringContaining("[NAME_TAKEN]")]);
    expect(overlaysOn()).toEqual(there);
    // What could be made of several stays, and is told.
    const some = await tryBootshare("clone", name, CLONES, "--count", "2", "--json");
    expect([some.exitCode, some.stderr]).toEqual([4, expect.stringContaining("[NAME_TAKEN]")]);
    expect(JSON.parse(some.stdout)).toMatchObject([{ name: FIRST, state: "shut off" }]);
    await bootshare("delete", FIRST);
    expect(overlaysOn()).toEqual(there);
    await expect.poll(unused, { timeout: 30_000 }).toEqual([]);
  });

  it("runs a program in an ephemeral one, whose exit code it has, and deletes it", async () => {
    writeFileSync(join(folder, "in"), "some text");
    const copies = ["--copy-in", `${folder}/in:/root/in`, "--copy-out", `/root/out:${folder}/`];
    const script = `cat; ${IDENTITY}; cp /root/in /root/out; ls /boot; echo heard >&2; exit 7`;
    const { exitCode, stdout, stderr } = await execa(
      PROGRAM,
      ["run", "--from", name, ...copies, "--", "sh", "-c", script],
      { reject: false, input: "typed\n" },
    );
    expect(stderr).toContain("heard");
    expect(exitCode).toBe(7);
    const lines = stdout.split("\n");
    expect(lines[0]).toBe("typed");
    for (const line of before) expect(lines).not.toContain(line);
    expect(lines.some((line) => /^run-[0-9a-f]{8}$/.test(line))).toBe(true);
    expect(lines).not.toContain(IDENTITY_FILE);
    expect(readFileSync(join(folder, "out"), "utf8")).toBe("some text");
    // On a machine that is not for tests alone others may be there, for builds.
    const left = (await json<{ name: string }[]>("list")).filter((one) => one.name.startsWith("run-"));
    expect(left).toEqual([]);
  });

  it("deletes an ephemeral one whose command was killed", async () => {
    const child = execa(PROGRAM, ["run", "--from", name, "--", "true"], { reject: false, stdin: "ignore" });
    const there = async (): Promise<string[]> =>
      (await json<{ name: string; state: string }[]>("list"))
        .filter((one) => one.name.startsWith("run-") && one.state === "running")
        .map((one) => one.name);
    await until("it runs", 120, async () => ((await there()).length === 1 ? true : undefined));
    child.kill("SIGKILL");
    await child;
    await until("it is gone", 90, async () => ((await there()).length === 0 ? true : undefined));
    // Its folder goes after its domain.
    const halves = (): string[] => readdirSync(statePaths().guests).filter((one) => one.startsWith("."));
    await expect.poll(halves, { timeout: 60_000 }).toEqual([]);
  });

  it("leaves the guest as it was, and no base behind", async () => {
    keepLogsOnFailure(name, "after its clones");
    await bootshare("delete", CLONE);
    const began = Date.now();
    await bootshare("start", name, "--wait");
    // Making a guest takes longer than its boot does.
    expect(cloned).toBeLessThan((Date.now() - began) / 4);
    expect((await inGuest(name, "sh", "-c", IDENTITY)).split("\n")).toEqual(before);
    expect(await statusOf(name)).toMatchObject({ boot: "good" });
    // The guest itself stands on it.
    expect(chainOf(guestPathsOf((await statusOf(name)).uuid).disk)).toHaveLength(standsOn.length + 1);
    await expect.poll(unused, { timeout: 30_000 }).toEqual([]);
  });
}
