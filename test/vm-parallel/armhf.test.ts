/** A guest of another architecture, emulated: made, booted with an initrd of its own, rebooted from inside. */
import { beforeAll, describe, expect, it } from "vitest";
import { ARMHF, createForeign } from "../vm/guests.ts";
import {
  bootshare,
  inGuest,
  inGuestLastWord,
  json,
  keepLogsOnFailure,
  statusOf,
  tryBootshare,
  untilGoodAgain,
} from "../vm/machine.ts";

const { name, suite, share } = ARMHF;

describe("armhf, emulated", () => {
  let said = "";
  beforeAll(async () => {
    if ((await tryBootshare("status", name)).exitCode === 0) await bootshare("delete", "--force", name);
    said = await createForeign(name, "armhf", "--suite", suite, "--share", share);
  });

  it("is made with a warning that names the cost", () => {
    expect(said).toMatch(/Warning: Emulation is slow/);
    expect(said).toContain("with an initrd of its own");
  });

  it("is a 32-bit ARM machine", async () => {
    keepLogsOnFailure(name, "armhf is made");
    const status = await statusOf(name);
    expect(status).toMatchObject({ state: "running", boot: "good", arch: "armhf", share });
    expect(await inGuest(name, "uname", "-m")).toBe("armv7l");
    expect(await inGuest(name, "dpkg", "--print-architecture")).toBe("armhf");
    expect(await inGuest(name, "uname", "-r")).toMatch(/-armmp-lpae$/);
    expect(await inGuest(name, "systemctl", "is-system-running", "--wait")).toBe("running");
  });

  it("was booted by the host's initrd once, and made its own, with what the machine needs in it", async () => {
    keepLogsOnFailure(name, "armhf own initrd");
    const history = await json<{ source: string; assessment: string; how: string | null }[]>("history", name);
    expect(history).toMatchObject([
      { source: "provided", assessment: "good", how: "poweroff" },
      { source: "links", assessment: "good", how: null },
    ]);
    const release = await inGuest(name, "uname", "-r");
    const content = await inGuest(name, "lsinitramfs", `/boot/initrd.img-${release}`);
    for (const module of ["virtio_blk", "virtio_pci", "virtio_mmio", "ext4", "crc32c_generic"]) {
      expect(content).toMatch(new RegExp(`/${module}\\.ko`));
    }
    expect(await inGuest(name, "sh", "-c", "ls /etc/bootshare")).not.toContain("make-own-initrd");
  });

  it("comes back from a reboot inside it", async () => {
    keepLogsOnFailure(name, "armhf reboots");
    const before = await statusOf(name);
    await inGuestLastWord(name, "systemctl", "reboot");
    const after = await untilGoodAgain(name, before);
    expect(after.kernel).toBe(before.kernel);
    expect(await inGuest(name, "uname", "-m")).toBe("armv7l");
    await bootshare("stop", name);
  });
});
