/** What runs in a worker's guest (in-guest/usr/lib/bootshare/obs-worker), with stand-ins for systemd and the server. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { fillIn } from "../../../src/provision/guest-files.ts";
import { obsWorkerValues } from "../../../src/provision/obs-worker.ts";

let folder: string;
const IN_GUEST = new URL("../../../in-guest/", import.meta.url).pathname;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bootshare-worker-"));
  mkdirSync(join(folder, "bin"));
  const values = obsWorkerValues(
    {
      repo: "10.0.2.2:5252",
      src: "10.0.2.2:5352",
      instances: 2,
      jobs: 1,
      portBase: 25_400,
      forwarded: true,
      hosts: "",
    },
    "armhf",
  );
  const config = readFileSync(join(IN_GUEST, "etc/bootshare/obs-worker.conf"), "utf8");
  writeFileSync(join(folder, "obs-worker.conf"), fillIn(config, values));
  const script = readFileSync(join(IN_GUEST, "usr/lib/bootshare/obs-worker"), "utf8")
    .replaceAll("/etc/bootshare", folder)
    .replaceAll("/var/lib/bootshare", folder);
  program("obs-worker", script);
  // A unit is active while there is a file of its name; each call is noted.
  program(
    "systemctl",
    `#!/bin/sh
echo "systemctl $*" >>${folder}/calls
for unit; do :; done
case " $* " in
*" is-active "*) [ -e "${folder}/$unit" ] ;;
*" stop "*) rm -f "${folder}/$unit" ;;
*" start "*) : >"${folder}/$unit" ;;
esac
`,
  );
  program("curl", `#!/bin/sh\nfor url; do :; done\necho "curl $url" >>${folder}/calls\n`);
});
afterEach(() => rmSync(folder, { recursive: true }));

function program(name: string, text: string): void {
  writeFileSync(join(folder, "bin", name), text);
  chmodSync(join(folder, "bin", name), 0o755);
}

/** A worker that runs, in this state of its own. */
function worker(number: number, state: string | undefined): void {
  writeFileSync(join(folder, `bootshare-obs-worker@${number}.service`), "");
  mkdirSync(join(folder, "obs-worker", String(number)), { recursive: true });
  if (state !== undefined) writeFileSync(stateFile(number), state);
}
const stateFile = (number: number): string => join(folder, "obs-worker", String(number), "state");
const stateOf = (number: number): string => readFileSync(stateFile(number), "utf8").trim();
const isActive = (number: number): boolean =>
  existsSync(join(folder, `bootshare-obs-worker@${number}.service`));
const calls = (): string =>
  existsSync(join(folder, "calls"))
    ? readFileSync(join(folder, "calls"), "utf8").replaceAll(/^systemctl --quiet is-active.*\n/gm, "")
    : "";

function start(...args: string[]): ChildProcess {
  return spawn(join(folder, "bin/obs-worker"), args, {
    env: { PATH: `${folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin` },
    stdio: ["ignore", "inherit", "inherit"],
  });
}
async function ended(child: ChildProcess): Promise<number | null> {
  return await new Promise((resolve) => child.on("close", resolve));
}
const call = async (...args: string[]): Promise<number | null> => await ended(start(...args));

const IDLE = '<workerstate state="idle" />\n';
const BUILDING = '<workerstate state="building" jobid="0123abcd" pid="42" />\n';

describe("drain", () => {
  it("takes an idle worker out at once: it takes no job, the server is told, and its unit stops", async () => {
    worker(1, IDLE);
    expect(await call("drain")).toBe(0);
    expect(stateOf(1)).toBe('<workerstate state="exit" />');
    expect(isActive(1)).toBe(false);
    expect(calls()).toContain("curl http://10.0.2.2:5252/worker?state=exit&arch=armv7l&port=25400\n");
    expect(existsSync(join(folder, "obs-drained"))).toBe(true);
  });

  it("has one that builds exit when its job is done, and waits for it", async () => {
    worker(1, BUILDING);
    worker(2, IDLE);
    expect(await call("drain")).toBe(3);
    const end = ended(start("wait", "60"));
    expect(isActive(2)).toBe(false);
    expect(isActive(1)).toBe(true);
    expect(stateOf(1)).toBe('<workerstate state="building" nextstate="exit" jobid="0123abcd" pid="42" />');
    // As the worker does it, when its job is done.
    writeFileSync(stateFile(1), '<workerstate state="exit" />\n');
    expect(await end).toBe(0);
    expect(isActive(1)).toBe(false);
    expect(calls()).toContain("port=25401");
  }, 30_000);

  it("says so when a job still runs after the time that it has, and changes nothing twice", async () => {
    worker(1, BUILDING);
    expect(await call("drain")).toBe(3);
    const once = stateOf(1);
    expect(await call("wait", "0")).toBe(3);
    expect(await call("drain")).toBe(3);
    expect(stateOf(1)).toBe(once);
    expect(isActive(1)).toBe(true);
  });

  it("does not wait where it was not drained, and drains nothing", async () => {
    worker(1, IDLE);
    expect(await call("wait", "60")).toBe(4);
    expect(stateOf(1)).toBe(IDLE.trim());
    expect(isActive(1)).toBe(true);
  });

  it.each(["killed", "discarded", "rebooting"])(
    "leaves a worker that is %s alone, and waits",
    async (state) => {
      worker(1, `<workerstate state="${state}" />\n`);
      expect(await call("drain")).toBe(3);
      expect(stateOf(1)).toBe(`<workerstate state="${state}" />`);
    },
  );

  it("stops a worker that waits for its server", async () => {
    worker(1, undefined);
    expect(await call("drain")).toBe(0);
    expect(isActive(1)).toBe(false);
  });

  it("has nothing to do where no worker runs", async () => {
    expect(await call("drain")).toBe(0);
    expect(calls()).toBe("");
  });

  it("waits while the worker has its state locked, and goes by what stands there then", async () => {
    worker(1, IDLE);
    // As the worker does it: locked from the look to the change, which is a new file in place of the old one.
    const holder = spawn("flock", [
      stateFile(1),
      "sh",
      "-c",
      `echo locked; sleep 1; printf '%s' '${BUILDING.trim()}' >${stateFile(1)}.new; mv ${stateFile(1)}.new ${stateFile(1)}`,
    ]);
    await new Promise((resolve) => holder.stdout.once("data", resolve));
    expect(await call("drain")).toBe(3);
    expect(stateOf(1)).toContain('state="building" nextstate="exit"');
    expect(isActive(1)).toBe(true);
  }, 30_000);
});

describe("a worker that keeps its state locked", () => {
  /** As the worker does it while it takes a job, and while it delivers a result. */
  async function locked(number: number): Promise<ChildProcess> {
    const holder = spawn("flock", ["--no-fork", stateFile(number), "sh", "-c", "echo locked; exec sleep 60"]);
    await new Promise((resolve) => holder.stdout.once("data", resolve));
    return holder;
  }

  it("keeps nobody from draining the others, and is busy", async () => {
    worker(1, BUILDING);
    worker(2, IDLE);
    const holder = await locked(1);
    expect(await call("drain")).toBe(3);
    expect(isActive(2)).toBe(false);
    expect(stateOf(1)).toBe(BUILDING.trim());
    const gone = ended(holder);
    process.kill(holder.pid ?? 0);
    await gone;
  }, 40_000);

  it("keeps nobody from putting the others back", async () => {
    worker(1, BUILDING);
    expect(await call("drain")).toBe(3);
    const holder = await locked(1);
    expect(await call("undrain")).toBe(0);
    expect(isActive(2)).toBe(true);
    // Its unit is started again by systemd should it end (Restart=always).
    expect(existsSync(join(folder, "obs-drained"))).toBe(false);
    const gone = ended(holder);
    process.kill(holder.pid ?? 0);
    await gone;
  }, 40_000);
});

describe("undrain", () => {
  it("ends a drain that still waits, which touches no worker any more", async () => {
    worker(1, BUILDING);
    worker(2, IDLE);
    expect(await call("drain")).toBe(3);
    const end = ended(start("wait", "60"));
    await sleep(1000);
    expect(await call("undrain")).toBe(0);
    // As the worker that was started does it.
    writeFileSync(stateFile(2), IDLE);
    expect(await end).toBe(4);
    expect(stateOf(1)).toBe(BUILDING.trim());
    expect(stateOf(2)).toBe(IDLE.trim());
    expect([isActive(1), isActive(2)]).toEqual([true, true]);
  }, 30_000);

  it("starts what is down, and lets one that still builds go on", async () => {
    worker(1, BUILDING);
    expect(await call("drain")).toBe(3);
    expect(await call("undrain")).toBe(0);
    expect(stateOf(1)).toBe(BUILDING.trim());
    expect(isActive(1)).toBe(true);
    expect(isActive(2)).toBe(true);
    expect(existsSync(join(folder, "obs-drained"))).toBe(false);
  });

  it("starts one anew that is about to exit", async () => {
    worker(1, '<workerstate state="exit" />\n');
    expect(await call("undrain")).toBe(0);
    expect(calls()).toMatch(/stop bootshare-obs-worker@1\.service\n.*start bootshare-obs-worker@1\.service/s);
    expect(isActive(1)).toBe(true);
  });
});

describe("leave", () => {
  it.each([
    [IDLE, true],
    [BUILDING, false],
  ])("%j: the server is told: %s", async (state, told) => {
    worker(1, state);
    expect(await call("leave", "1")).toBe(0);
    expect(calls().includes("curl ")).toBe(told);
    expect(stateOf(1).includes('"exit"')).toBe(told);
  });
});

it("refuses what it does not know", () => {
  expect(() => execFileSync(join(folder, "bin/obs-worker"), ["nonsense"])).toThrow();
});
