/** The main job, the same on both ways of sharing /boot. */
import { execFileSync } from "node:child_process";
import { readdirSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { guestPathsOf } from "../../src/paths.ts";
import { unmountShare } from "../../src/share/mount.ts";
import { ensureGuest, type Shared } from "./guests.ts";
import {
  aWhile,
  bootshare,
  inGuest,
  inGuestLastWord,
  json,
  keepLogsOnFailure,
  statusOf,
  tryBootshare,
  untilGoodAgain,
  untilOff,
  virsh,
} from "./machine.ts";

interface Kernels {
  readonly running: string | null;
  readonly next: { readonly release: string; readonly source: string } | null;
  readonly kernels: readonly { readonly release: string; readonly complete: boolean }[];
}

interface HistoryEntry {
  readonly assessment: string;
  readonly how: string | null;
  readonly kernel: string;
}

/** @param meanwhile defines more tests of the guest while it runs both of its kernels; they leave it running and good */
export function lifecycle(guest: Shared, meanwhile: () => void): void {
  const { name } = guest;
  const test = (title: string, body: () => Promise<void>): void => {
    it(title, async () => {
      keepLogsOnFailure(name, `${name} ${title}`);
      await body();
    });
  };

  describe(`${guest.suite}, /boot by ${guest.share}`, () => {
    beforeAll(async () => {
      await ensureGuest(guest);
    });

    test("is made and boots to good", async () => {
      const status = await statusOf(name);
      expect(status).toMatchObject({ state: "running", desired: "on", boot: "good", share: guest.share });
      expect(await inGuest(name, "sh", "-c", "ls /boot >/dev/null; findmnt -no FSTYPE /boot")).toContain(
        guest.share,
      );
      expect(await inGuest(name, "uname", "-r")).toBe(status.kernel);
      expect(await inGuest(name, "hostname")).toBe(name);
      expect(await inGuest(name, "systemctl", "is-system-running", "--wait")).toBe("running");
      expect(await inGuest(name, "stat", "-c", "%U:%G %a", "/boot")).toBe("root:root 755");
      for (const [script, exitCode] of [
        ["exit 255", 255],
        ["kill -SEGV $$", 139],
      ] as const)
        expect(await tryBootshare("exec", name, "--", "sh", "-c", script)).toMatchObject({ exitCode });
    });

    test("refuses a second guest of its name, and changes nothing", async () => {
      const before = await statusOf(name);
      await expect(bootshare("create", name)).rejects.toThrow(/NAME_TAKEN/);
      expect(await statusOf(name)).toEqual(before);
    });

    test("reboots into a kernel that apt installed in it", async () => {
      const before = await statusOf(name);
      await inGuest(name, "apt-get", "-q", "update");
      // dpkg forces each of a kernel's thousands of files to disk; a guest that is thrown away can do without.
      const quick = ["-o", "Dpkg::Options::=--force-unsafe-io"];
      const install = [
        "apt-get",
        "-q",
        ...quick,
        "install",
        "-y",
        "--no-install-recommends",
        guest.secondKernel,
      ];
      await inGuest(name, "env", "DEBIAN_FRONTEND=noninteractive", ...install);
      const kernels = await json<Kernels>("kernels", name);
      expect(kernels.running).toBe(before.kernel);
      expect(kernels.next).toMatchObject({
        source: "links",
        release: expect.stringContaining(guest.flavour),
      });
      expect(kernels.kernels.map((kernel) => kernel.complete)).toEqual([true, true]);

      await inGuestLastWord(name, "systemctl", "reboot");
      const after = await untilGoodAgain(name, before);
      expect(after.kernel).toBe(kernels.next?.release);
      expect(await inGuest(name, "uname", "-r")).toBe(after.kernel);
      const history = await json<HistoryEntry[]>("history", name);
      expect(history.at(-2)).toMatchObject({ assessment: "good", how: "reboot", kernel: before.kernel });
      expect(history.at(-1)).toMatchObject({ assessment: "good", how: null, kernel: after.kernel });
    });

    test("comes back from virsh reset, with a /boot that is full", async () => {
      const before = await statusOf(name);
      const { dir, share } = guestPathsOf(before.uuid);
      // By the host, as that takes no time; the last megabytes by the guest.
      const filler = join(share, "filler");
      const { bavail, bsize } = statfsSync(share);
      execFileSync("fallocate", ["--length", String(bavail * bsize - 4 * 2 ** 20), filler]);
      const write = "dd if=/dev/zero of=/boot/filler2 bs=1M count=16 conv=fsync 2>&1 || true";
      expect(await inGuest(name, "sh", "-c", write)).toContain("No space left on device");
      expect(statfsSync(share).blocks * bsize).toBeLessThan(2 ** 30);
      expect(statfsSync(dir).bavail).toBeGreaterThan(0);
      await virsh("reset", name);
      expect(await untilGoodAgain(name, before)).toMatchObject({ state: "running", desired: "on" });
      const history = await json<HistoryEntry[]>("history", name);
      expect(history.at(-2)).toMatchObject({ how: "reset" });
      await inGuest(name, "rm", "/boot/filler", "/boot/filler2");
    });

    meanwhile();

    test("stays off when it is powered off", async () => {
      await inGuestLastWord(name, "systemctl", "poweroff");
      await untilOff(name);
      await aWhile();
      expect(await statusOf(name)).toMatchObject({
        state: "shut off",
        desired: "off",
        attempt: { how: "poweroff" },
      });
    });

    test("is started by virsh with the kernel that the hook chooses, and stays off when virsh destroys it", async () => {
      const before = await statusOf(name);
      // As it is when the host was restarted.
      const { share } = guestPathsOf(before.uuid);
      unmountShare(share);
      expect(readdirSync(share)).toEqual([]);
      await virsh("start", name);
      expect(readdirSync(share)).toContain(`vmlinuz-${before.next?.release}`);
      const started = await statusOf(name);
      expect(started).toMatchObject({ state: "running", desired: "on", kernel: before.next?.release });
      expect(started.attempt?.id).not.toBe(before.attempt?.id);
      await virsh("destroy", name);
      await aWhile();
      expect(await statusOf(name)).toMatchObject({
        state: "shut off",
        desired: "off",
        attempt: { how: "destroyed" },
      });
    });
  });
}
