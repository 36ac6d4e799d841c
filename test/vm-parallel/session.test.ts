/** An ordinary user's guest: made, booted, rebooted, stopped and deleted without root; without the hook, and with it. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, onTestFailed } from "vitest";
import { modeOf } from "../../src/mode.ts";
import { guestPathsOf, statePaths } from "../../src/paths.ts";
import { BOOT_SECONDS, type Ran, type Status, until } from "../vm/machine.ts";
import { endDaemons, makeUser, type OrdinaryUser, removeUser } from "./user.ts";

const GUEST = "mine";

let user: OrdinaryUser;
let root: string;
/** Whether libvirt finds root's hook. */
let hook = false;

function must(args: readonly string[], { exitCode, stdout, stderr }: Ran): string {
  if (exitCode !== 0) throw new Error(`${args.join(" ")}: exit code ${exitCode}\n${stdout}\n${stderr}`);
  return stdout.trim();
}
const bootshare = async (...args: string[]): Promise<string> =>
  must(args, await user.tryBootshare(args, hook));
const json = async <T>(...args: string[]): Promise<T> => JSON.parse(await bootshare(...args, "--json")) as T;
const inGuest = async (...command: string[]): Promise<string> =>
  await bootshare("exec", GUEST, "--", ...command);
const events = async (): Promise<string[]> =>
  readFileSync(guestPathsOf((await json<Status>("status", GUEST)).uuid, root).boots, "utf8")
    .trim()
    .split("\n");

async function endService(): Promise<void> {
  const { stdout } = await user.tryBootshare(["service", "status", "--json"], hook);
  const { pid } = JSON.parse(stdout) as { pid: number | null };
  if (pid === null) return;
  process.kill(pid, "SIGTERM");
  await until("the user's service has ended", 60, async () =>
    existsSync(`/proc/${pid}`) ? undefined : true,
  );
}

const test = (title: string, body: () => Promise<void> | void): void => {
  it(title, async () => {
    onTestFailed(() => {
      const { guests, hookLog, serviceLog } = statePaths(root);
      const [uuid] = existsSync(guests) ? readdirSync(guests) : [];
      const ofGuest = uuid === undefined ? undefined : guestPathsOf(uuid, root);
      const bad = ofGuest !== undefined && existsSync(ofGuest.badLogs) ? readdirSync(ofGuest.badLogs) : [];
      const badLogs = bad.map((name) => join(ofGuest?.badLogs ?? "", name));
      for (const log of [hookLog, serviceLog, ofGuest?.serialLog, ofGuest?.boots, ...badLogs])
        if (log !== undefined && existsSync(log)) console.error(log, readFileSync(log, "utf8").slice(-4000));
    });
    await body();
  });
};

describe("session mode", () => {
  beforeAll(() => {
    user = makeUser();
    root = modeOf(user.uid, {}, user.home).stateRoot;
  });
  afterAll(async () => {
    await user.tryBootshare(["delete", "--force", GUEST], hook);
    await endService();
    await endDaemons(user);
    removeUser();
  });

  test("doctor finds that the user needs nothing of root's", async () => {
    const { exitCode, stdout } = await user.tryBootshare(["doctor", "--json"], hook);
    const found = JSON.parse(stdout) as { requirements: { required: boolean; ok: boolean | null }[] };
    expect(found).toMatchObject({ usable: true, mode: "session" });
    expect(found.requirements.filter(({ required, ok }) => required && ok !== true)).toEqual([]);
    expect(exitCode).toBe(0);
  });

  test("what only root's libvirt can do is said before anything is made", async () => {
    const { exitCode, stderr } = await user.tryBootshare(
      ["create", GUEST, "--network", "network=default"],
      hook,
    );
    expect(stderr).toContain("An ordinary user's guest cannot be connected to libvirt's network default.");
    expect(exitCode).toBe(5);
    const { guests, work } = statePaths(root);
    expect([guests, work].filter((folder) => existsSync(folder))).toEqual([]);
  });

  test("a guest is made and boots to good, in folders of the user's alone", async () => {
    await bootshare("create", GUEST, "--memory", "1G", "--disk", "8G");
    const status = await json<Status>("status", GUEST);
    expect(status).toMatchObject({ state: "running", boot: "good" });
    const { dir } = guestPathsOf(status.uuid, root);
    for (const folder of [root, statePaths(root).guests, dir]) {
      const { mode, uid } = statSync(folder);
      expect([folder, uid, (mode & 0o777).toString(8)]).toEqual([folder, user.uid, "700"]);
    }
    expect(readdirSync(statePaths(root).work)).toEqual([]);
    expect(await events()).toContainEqual(expect.stringMatching(/"e":"prepare".*"hook":false/));
  });

  test("the guest's files have the owners and modes that root would have given them", async () => {
    expect(
      await inGuest(
        "find",
        "/etc",
        "/usr/bin",
        "/var",
        "-xdev",
        "(",
        "-nouser",
        "-o",
        "-nogroup",
        ")",
        "-print",
      ),
    ).toBe("");
    const files = [
      "/etc/shadow",
      "/usr/bin/chage",
      "/usr/bin/passwd",
      "/var/mail",
      "/usr/lib/dbus-1.0/dbus-daemon-launch-helper",
    ];
    expect((await inGuest("stat", "-c", "%U:%G %a %n", ...files)).split("\n")).toEqual([
      "root:shadow 640 /etc/shadow",
      "root:shadow 2755 /usr/bin/chage",
      "root:root 4755 /usr/bin/passwd",
      "root:mail 2775 /var/mail",
      "root:messagebus 4754 /usr/lib/dbus-1.0/dbus-daemon-launch-helper",
    ]);
    expect(await inGuest("stat", "-c", "%U:%G %a", "/boot")).toBe("root:root 755");
  });

  test("it comes back from a reboot inside", async () => {
    const before = await json<Status>("status", GUEST);
    await user.tryBootshare(["exec", GUEST, "--", "systemctl", "reboot"], hook);
    await until(`${GUEST} comes back`, BOOT_SECONDS, async () => {
      const { attempt, boot } = await json<Status>("status", GUEST);
      return attempt?.id !== before.attempt?.id && boot === "good" ? true : undefined;
    });
    const history = await json<{ how: string | null; assessment: string }[]>("history", GUEST);
    expect(history).toMatchObject([
      { how: "reboot", assessment: "good" },
      { how: null, assessment: "good" },
    ]);
    expect(await inGuest("uname", "-r")).toBe(before.kernel);
  });

  test("it is stopped, and started with root's hook where there is one", async () => {
    await bootshare("stop", GUEST);
    expect(await json<Status>("status", GUEST)).toMatchObject({ state: "shut off", desired: "off" });
    // libvirt looks for hooks when its daemon starts, and the service would start it where there are none.
    await endService();
    await endDaemons(user);
    hook = true;
    await bootshare("start", GUEST);
    expect(await json<Status>("status", GUEST)).toMatchObject({ state: "running", desired: "on" });
    const last = (await events()).filter((line) => /"e":"(prepare|started)"/.test(line)).slice(-2);
    expect(last.map((line) => /"e":"(\w+)"/.exec(line)?.[1])).toEqual(["prepare", "started"]);
    expect(last.join("\n")).not.toContain('"hook":false');
    expect(readFileSync(statePaths(root).hookLog, "utf8")).toMatch(/ prepare begin: \S+ boots /);
  });

  test("it is deleted, and nothing is left", async () => {
    await bootshare("delete", "--force", GUEST);
    const { guests, work } = statePaths(root);
    expect([guests, work].flatMap((folder) => readdirSync(folder))).toEqual([]);
    expect(
      (
        await user.run("virsh", ["-q", "-c", "qemu:///session", "list", "--all", "--name"], hook)
      ).stdout.trim(),
    ).toBe("");
    expect(existsSync(join(user.home, ".cache/libvirt/qemu/log"))).toBe(true);
  });
});
