import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { statePaths } from "../../src/paths.ts";
import { ensureGuest, FOREIGN, VIRTIOFS } from "./guests.ts";
import {
  aWhile,
  bootshare,
  inGuest,
  inGuestLastWord,
  json,
  keepLogsOnFailure,
  startLibvirtd,
  startService,
  statusOf,
  stopLibvirtd,
  stopService,
  until,
  untilGoodAgain,
  untilOff,
  virsh,
} from "./machine.ts";

const { name } = VIRTIOFS;

/** Resets the machine at once, as a crash would: no shutdown, no word on the report port. */
const RESET = ["sh", "-c", "echo 1 >/proc/sys/kernel/sysrq; echo b >/proc/sysrq-trigger"];

describe("the service", () => {
  beforeAll(async () => {
    await ensureGuest(VIRTIOFS);
  });
  const test = (title: string, body: () => Promise<void>): void => {
    it(title, async () => {
      keepLogsOnFailure(name, title);
      await body();
    });
  };

  test("starts a guest that was reset while it was down", async () => {
    const before = await statusOf(name);
    await stopService("SIGKILL");
    await inGuestLastWord(name, ...RESET);
    await untilOff(name);
    await aWhile();
    expect((await statusOf(name)).state).toBe("shut off");
    await startService();
    expect(await untilGoodAgain(name, before)).toMatchObject({ desired: "on" });
  });

  test("starts a guest that was reset while libvirtd was down", async () => {
    const before = await statusOf(name);
    // ssh goes through QEMU's own forwarding, which needs no libvirtd once it is there.
    await inGuest(name, "systemd-run", "--on-active=5", "--timer-property=AccuracySec=100ms", ...RESET);
    await stopLibvirtd();
    await sleep(15_000);
    await startLibvirtd();
    expect(await untilGoodAgain(name, before)).toMatchObject({ state: "running", desired: "on" });
  });

  test("gives up on a guest that keeps resetting, until a person starts it", async () => {
    const before = await statusOf(name);
    // As early as a program of the guest's own disk runs: six boots that end there take a third of six whole ones.
    const script = `#!/bin/sh\n${RESET[2] ?? ""}\n`;
    const install =
      'printf "%s" "$1" >/usr/sbin/reset-now && chmod +x /usr/sbin/reset-now && ln -sfn reset-now /usr/sbin/init && sync';
    await inGuest(name, "sh", "-c", install, "install", script);
    await virsh("reset", name);
    const failed = await until(`${name} is failed`, 6 * 120, async () => {
      const status = await statusOf(name);
      return status.boot === "failed" ? status : undefined;
    });
    expect(failed.failed?.why).toBe("it was reset without shutting down, after 5 restarts in 30 minutes");
    expect(failed.state).toBe("shut off");
    const attempts = (await json<unknown[]>("history", name)).length;
    await aWhile();
    expect((await json<unknown[]>("history", name)).length).toBe(attempts);

    // A person mends it: here, with a disk that is edited while the guest is off.
    const disk = await virsh("domblklist", name, "--details");
    const image = /\S+\.qcow2/.exec(disk)?.[0] ?? "";
    const folder = mkdtempSync(join(tmpdir(), "bootshare-mend-"));
    const raw = join(folder, "disk.raw");
    execFileSync("qemu-img", ["convert", "-O", "raw", image, raw]);
    for (const command of ["rm /usr/sbin/init", "symlink /usr/sbin/init ../lib/systemd/systemd"])
      execFileSync("debugfs", ["-w", "-R", command, raw]);
    execFileSync("qemu-img", ["convert", "-O", "qcow2", raw, image]);
    rmSync(folder, { recursive: true });
    await bootshare("start", name, "--wait");
    const mended = await statusOf(name);
    expect(mended).toMatchObject({ boot: "good", failed: null });
    expect(mended.attempt?.id).not.toBe(before.attempt?.id);
  });
});

describe("a foreign domain", () => {
  it("is left alone by the hook", async () => {
    const folder = mkdtempSync(join(tmpdir(), "bootshare-foreign-"));
    const xml = join(folder, "foreign.xml");
    const serial = "<serial type='null'/>";
    writeFileSync(
      xml,
      `<domain type='qemu'><name>${FOREIGN}</name><memory unit='MiB'>64</memory><os><type arch='x86_64' machine='q35'>hvm</type></os><devices>${serial}</devices></domain>`,
    );
    await virsh("define", xml);
    const uuid = await virsh("domuuid", FOREIGN);
    try {
      await virsh("start", FOREIGN);
      expect(await virsh("domstate", FOREIGN)).toBe("running");
      await virsh("destroy", FOREIGN);
      await aWhile();
      expect(await virsh("domstate", FOREIGN)).toBe("shut off");
      // The guard let it pass: bootshare's program never heard of it.
      expect(readFileSync(statePaths().hookLog, "utf8")).not.toContain(uuid);
    } finally {
      await virsh("undefine", FOREIGN);
      rmSync(folder, { recursive: true });
    }
  });
});
