/** A guest whose apt gave it kernels that do not boot: each time it is back on its last good one, with nobody there. */
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { guestPathsOf } from "../../src/paths.ts";
import { SIZE } from "../vm/guests.ts";
import {
  BOOT_SECONDS,
  bootshare,
  inGuest,
  inGuestLastWord,
  json,
  keepLogsOnFailure,
  onNewEvents,
  type Status,
  statusOf,
  tryBootshare,
  until,
} from "../vm/machine.ts";

const name = "bs-test-rollback";
/** A boot that never comes up is ended after this many seconds. */
const HANGING_S = 40;
/** One that comes up and is not good, after so many: enough for that, on a machine that emulates another guest too. */
const DOOMED_S = 120;

interface Attempt {
  readonly id: string;
  readonly kernel: string;
  readonly source: string;
  readonly assessment: string;
  readonly how: string | null;
  readonly skipped: readonly { readonly release: string; readonly reason: string }[];
}

let release = "";
let uuid = "";

/** Makes the guest's initrd anew: unpacked, changed by shell commands in its root folder, packed. The good one is kept. */
async function changeInitrd(...commands: string[]): Promise<void> {
  const image = `/boot/initrd.img-${release}`;
  const script = [
    "set -e",
    `[ -e /root/good ] || cp ${image} /root/good`,
    "rm -rf /root/x && mkdir /root/x && unmkinitramfs /root/good /root/x && cd /root/x",
    ...commands,
    `find . | cpio --quiet -o -H newc | zstd -q -1 >${image}.new`,
    `mv ${image}.new ${image}`,
    "rm -rf /root/x",
    "sync",
  ];
  await inGuest(name, "sh", "-c", script.join("\n"));
}

/**
 * Reboots the guest, from inside or by a person, and waits until it is good again, by whatever way.
 *
 * @param limitS the first boot gets so many seconds, and no second try
 */
async function rebootUntilGood(how: "inside" | "person", limitS?: number): Promise<Attempt[]> {
  const before = await json<Attempt[]>("history", name);
  if (limitS !== undefined)
    await bootshare("kernels", name, "--tries", "1", "--boot-timeout", String(limitS));
  if (how === "inside") await inGuestLastWord(name, "systemctl", "reboot");
  else await bootshare("reboot", name, "--force");
  // What was prepared keeps its limit; the boots after it have the usual one.
  if (limitS !== undefined) await bootshare("kernels", name, "--boot-timeout", "1800");
  const ask = async (): Promise<true | undefined> => {
    const { attempt, boot } = await statusOf(name);
    return boot === "good" && attempt?.id !== before.at(-1)?.id ? true : undefined;
  };
  await until("the guest is good again", 2 * DOOMED_S + 2 * BOOT_SECONDS, onNewEvents(uuid, ask));
  return (await json<Attempt[]>("history", name)).slice(before.length);
}

const course = (attempts: readonly Attempt[]): string[] =>
  attempts.map(({ source, assessment, how }) => `${source} ${assessment} ${how ?? "runs"}`);

const test = (title: string, body: () => Promise<void>): void => {
  it(title, async () => {
    keepLogsOnFailure(name, `rollback ${title}`);
    await body();
    // Whatever booted, it is a guest with its network and its /boot.
    expect(await inGuest(name, "findmnt", "-n", "-o", "FSTYPE", "/boot")).toContain("virtiofs");
  });
};

describe("a guest whose kernels go wrong", () => {
  beforeAll(async () => {
    await tryBootshare("delete", "--force", name);
    await bootshare("create", name, "--suite", "trixie", "--share", "virtiofs", ...SIZE, "--cpus", "1");
    release = (await statusOf(name)).kernel ?? "";
    ({ uuid } = await statusOf(name));
  });
  afterAll(async () => {
    await tryBootshare("delete", "--force", name);
  });

  test("panics: two tries, then the last good pair", async () => {
    await changeInitrd("printf '#!/bin/sh\\nexit 1\\n' >init");
    const attempts = await rebootUntilGood("inside");
    expect(course(attempts)).toEqual(["links bad reset", "links bad reset", "good good runs"]);
    expect(attempts.at(-1)?.skipped).toContainEqual({
      release,
      reason: "it is bad: it was not good in 2 tries",
    });
    expect(await bootshare("logs", name, "--attempt", "last", "--lines", "200")).toContain("Kernel panic");
    expect(await bootshare("status", name)).toContain("was passed over: it is bad");
  });

  test("hangs: ended when its time is up", async () => {
    await changeInitrd("printf '#!/bin/sh\\nwhile :; do sleep 60; done\\n' >init");
    expect(course(await rebootUntilGood("person", HANGING_S))).toEqual([
      "links bad timeout",
      "good good runs",
    ]);
  });

  test("boots, and its gate fails", async () => {
    const unit = "/etc/systemd/system/bs-test-bad.service";
    const text =
      "[Unit]\\nConditionPathExists=/run/bs-test-bad\\n[Service]\\nType=oneshot\\nExecStart=/bin/false\\n[Install]\\nWantedBy=multi-user.target\\n";
    await inGuest(name, "sh", "-c", `printf '${text}' >${unit} && systemctl enable -q bs-test-bad`);
    await changeInitrd("echo ': >/run/bs-test-bad' >>scripts/init-bottom/ORDER");
    expect(course(await rebootUntilGood("person", DOOMED_S))).toEqual([
      "links bad timeout",
      "good good runs",
    ]);
  });

  test("has a truncated kernel, and another whose initrd lacks the driver of its disk: neither is started", async () => {
    // The truncated one is what the links name, and so the first choice. The other has the highest version of all.
    const other = `99-${release}`;
    await changeInitrd(
      "find . -name 'virtio_blk.ko*' -delete",
      `find . -depth -name '${release}' -execdir mv '{}' '${other}' ';'`,
    );
    const script = [
      "set -e",
      `mv ${`/boot/initrd.img-${release}`} /boot/initrd.img-${other}`,
      `cp /root/good /boot/initrd.img-${release}`,
      `cp /boot/vmlinuz-${release} /boot/vmlinuz-${other}`,
      `truncate -s 4M /boot/vmlinuz-${release}`,
      "sync",
    ];
    await inGuest(name, "sh", "-c", script.join("\n"));
    const attempts = await rebootUntilGood("person");
    expect(course(attempts)).toEqual(["good good runs"]);
    expect(attempts[0]?.skipped).toMatchObject([
      { release, reason: expect.stringContaining("is cut short") },
      { release: other, reason: expect.stringContaining("virtio_blk") },
    ]);
  });

  test("has lost its /boot and its modules", async () => {
    await inGuest(name, "sh", "-c", `rm -rf /boot/* /lib/modules/${release}; sync`);
    expect(readdirSync(guestPathsOf(uuid).share)).toEqual([]);
    expect(course(await rebootUntilGood("person"))).toEqual(["good good runs"]);
    expect(await inGuest(name, "uname", "-r")).toBe(release);
    const { lastGood, next } = await json<Status & { lastGood: string; next: { source: string } }>(
      "status",
      name,
    );
    expect([lastGood, next.source]).toEqual([release, "good"]);
  });

  test("is told by apt what never to remove", async () => {
    const config = await inGuest(name, "apt-config", "dump", "APT::NeverAutoRemove");
    expect(config).toContain(release.replace(/[.+]/g, "\\$&"));
  });

  it("has nothing else to go back to, and says so", async () => {
    const { exitCode, stderr } = await tryBootshare("rollback", name);
    expect(exitCode).toBe(4);
    expect(stderr).toContain(`The guest ${name} has no other kernel that was ever good`);
  });
});
