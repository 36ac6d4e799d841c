/** A rolling upgrade over two workers of a real OBS, with packages queued: by a kernel that is good, and by one that is not. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { offerKernel, offerPackage } from "../vm/apt-repo.ts";
import { bootshare, inGuest, json, keepLogsOnFailure, statusOf, tryBootshare } from "../vm/machine.ts";
import { createWorker, deleteGuest, untilWorker } from "../vm/workers.ts";
import {
  buildersOf,
  makeProject,
  putPackage,
  removeBackend,
  resultsOf,
  startBackend,
  untilResults,
} from "./backend.ts";

const FIRST = "bs-test-worker-a";
const SECOND = "bs-test-worker-b";
const BOTH = [FIRST, SECOND];
const PROJECT = "test";
/** All builds of a test, in guests that are emulated and reboot in between. */
const BUILDS_SECONDS = 5400;
/** Longer than any test: the canary has to prove itself by a build. */
const CANARY = ["--canary-time", "100000"];

interface Upgrade {
  readonly stopped: { readonly guest: string; readonly code: string; readonly sentence: string } | null;
  readonly guests: readonly {
    readonly name: string;
    readonly phase: string;
    readonly result: string | null;
    readonly kernel: string | null;
    readonly drained: boolean;
  }[];
}

/** Queues packages and waits until the first worker is at one. @returns what is to become of them */
async function queue(...names: string[]): Promise<Record<string, string>> {
  for (const name of names) await putPackage(PROJECT, name, { seconds: 10 });
  await untilWorker(FIRST, "building");
  return Object.fromEntries(names.map((name) => [`${name} x86_64`, "succeeded"]));
}

/**
 * Queues another package whenever none waits, for as long as something runs: the canary proves itself by a build that begins in
 * its trial, and by then the other worker may have built all that there was. @returns what is to become of them
 */
async function keepQueued(running: Promise<unknown>): Promise<Record<string, string>> {
  const wanted: Record<string, string> = {};
  let over = false;
  const end = running.finally(() => {
    over = true;
  });
  for (let i = 1; !over; i++) {
    await Promise.race([end, sleep(10_000)]);
    if (over || Object.values(await resultsOf(PROJECT)).includes("scheduled")) continue;
    const name = `more-${i}`;
    await putPackage(PROJECT, name, { seconds: 10 });
    wanted[`${name} x86_64`] = "succeeded";
  }
  return wanted;
}

/** Every package was built once: none was lost on the way and given to another worker. */
async function expectBuiltOnce(wanted: Readonly<Record<string, string>>): Promise<void> {
  await untilResults(PROJECT, wanted, BUILDS_SECONDS);
  for (const key of Object.keys(wanted)) {
    expect(await buildersOf(PROJECT, "amd64", key.split(" ")[0] ?? "")).toHaveLength(1);
  }
}

describe("a rolling upgrade of two workers", { timeout: 2 * BUILDS_SECONDS * 1000 }, () => {
  beforeAll(async () => {
    for (const name of BOTH) await deleteGuest(name);
    await startBackend("amd64");
    await makeProject(PROJECT, "amd64");
    for (const name of BOTH) await createWorker(name, "--suite", "trixie");
    for (const name of BOTH) await untilWorker(name, "idle");
  }, BUILDS_SECONDS * 1000);
  afterAll(async () => {
    if (process.env["BOOTSHARE_KEEP_GUESTS"] === "1") return;
    for (const name of BOTH) await deleteGuest(name);
    await removeBackend();
  });

  const test = (title: string, body: () => Promise<void>): void => {
    it(title, async () => {
      for (const name of BOTH) keepLogsOnFailure(name, `${name} ${title}`);
      await body();
    });
  };

  test("builds everything, and every worker ends on the new kernel", async () => {
    for (const name of BOTH) await offerKernel(name, "linux-image-amd64", "linux-image-cloud-amd64");
    const first = await queue("one", "two", "three", "four");
    const upgrade = json<Upgrade>("upgrade", ...BOTH, ...CANARY);
    const wanted = { ...first, ...(await keepQueued(upgrade)) };
    const { stopped, guests } = await upgrade;
    expect(stopped).toBe(null);
    expect(guests).toMatchObject(
      BOTH.map((name) => ({ name, phase: "done", result: "rebooted", drained: false })),
    );
    for (const [i, name] of BOTH.entries()) {
      expect(await inGuest(name, "uname", "-r")).toBe(guests[i]?.kernel);
      expect(guests[i]?.kernel).toContain("cloud-amd64");
    }
    await expectBuiltOnce(wanted);
    for (const name of BOTH) await untilWorker(name, "idle");
  });

  test("stops at the canary when that does not boot its kernel, and still builds everything", async () => {
    const name = "bs-test-breaks-init";
    for (const guest of BOTH) {
      await offerPackage(guest, { name, version: "1" });
      await inGuest(guest, "dpkg", "-i", `/srv/bs-test-repo/${name}_1.deb`);
      // An archive more in the initrd, whose /init the kernel takes for the first one's.
      const breaks = [
        "initrd=$(realpath /boot/initrd.img) && cp $initrd $initrd.new && truncate -s %4 $initrd.new",
        "mkdir -p /run/breaks && cd /run/breaks && printf '#!/bin/sh\\nexit 1\\n' >init && chmod 755 init",
        "echo init | cpio --quiet -o -H newc >>$initrd.new && mv $initrd.new $initrd && sync",
      ];
      await offerPackage(guest, { name, version: "2", postinst: breaks });
      await bootshare("kernels", guest, "--tries", "1");
    }
    const before = await Promise.all(BOTH.map(statusOf));
    const wanted = await queue("five", "six", "seven");
    const { exitCode, stdout, stderr } = await tryBootshare("upgrade", ...BOTH, ...CANARY, "--json");
    expect(exitCode).toBe(1);
    expect(stderr).toContain("[KERNEL_ROLLED_BACK]");
    const { stopped, guests } = JSON.parse(stdout) as Upgrade;
    expect(stopped).toMatchObject({ guest: before[0]?.uuid, code: "KERNEL_ROLLED_BACK" });
    expect(stopped?.sentence).toContain("it is bad: it was not good in its only try");
    expect(guests).toMatchObject([
      { name: FIRST, phase: "failed", drained: false },
      { name: SECOND, phase: "held", drained: false },
    ]);
    expect((await statusOf(FIRST)).boot).toBe("good");
    expect((await statusOf(SECOND)).attempt?.id).toBe(before[1]?.attempt?.id);
    await expectBuiltOnce(wanted);
    for (const guest of BOTH) await untilWorker(guest, "idle");

    // The next roll-out meets the same kernel: it stops before it reboots anybody.
    const again = await tryBootshare("upgrade", ...BOTH, ...CANARY);
    expect(again.stderr).toContain("[KERNEL_PASSED_OVER]");
    expect((await statusOf(FIRST)).boot).toBe("good");
    expect((await statusOf(SECOND)).attempt?.id).toBe(before[1]?.attempt?.id);
  });
});
