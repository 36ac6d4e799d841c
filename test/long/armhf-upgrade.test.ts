/**
 * The armhf guest installs a kernel without LPAE by its own apt. That kernel sees no device where the machine has them: the
 * domain is moved to virtio-mmio while it is off, and the guest comes back with the new kernel.
 */
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
  virsh,
} from "../vm/machine.ts";

const { name, suite, share } = ARMHF;

describe("armhf, kernels of both kinds", () => {
  beforeAll(async () => {
    if ((await tryBootshare("status", name)).exitCode !== 0) {
      await createForeign(name, "armhf", "--suite", suite, "--share", share);
    } else if ((await statusOf(name)).state !== "running") await bootshare("start", name, "--wait");
  });

  it("moves to the machine that a kernel without LPAE needs", async () => {
    keepLogsOnFailure(name, "armhf without LPAE");
    const before = await statusOf(name);
    expect(before.kernel).toMatch(/-armmp-lpae$/);
    expect(await virsh("dumpxml", "--inactive", name)).not.toContain("virtio-mmio");
    await inGuest(name, "apt-get", "-q", "update");
    const install = ["apt-get", "-q", "-o", "Dpkg::Options::=--force-unsafe-io", "install", "-y"];
    await inGuest(
      name,
      "env",
      "DEBIAN_FRONTEND=noninteractive",
      ...install,
      "--no-install-recommends",
      "linux-image-armmp",
    );
    // Until the domain is changed, only the old kernel fits it.
    expect(
      await json<{ next: { release: string }; reshape: { release: string; reason: string } }>("status", name),
    ).toMatchObject({
      next: { release: before.kernel },
      reshape: {
        release: expect.stringMatching(/-armmp$/),
        reason: expect.stringContaining("needs devices on virtio-mmio"),
      },
    });
    await inGuestLastWord(name, "systemctl", "reboot");
    const after = await untilGoodAgain(name, before);
    expect(after.kernel).toMatch(/-armmp$/);
    expect(await inGuest(name, "uname", "-r")).toBe(after.kernel);
    expect(await inGuest(name, "uname", "-m")).toBe("armv7l");
    expect(await virsh("dumpxml", "--inactive", name)).toContain("<address type='virtio-mmio'/>");
  });
});
