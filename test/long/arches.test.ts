/** Guests of architectures that take minutes to emulate: made, booted, rebooted from inside. */
import { afterAll, describe, expect, it } from "vitest";
import { createForeign } from "../vm/guests.ts";
import {
  inGuest,
  inGuestLastWord,
  keepLogsOnFailure,
  statusOf,
  tryBootshare,
  untilGoodAgain,
} from "../vm/machine.ts";

describe.each([
  { arch: "arm64", suite: "trixie", stage: "auto", machine: "aarch64" },
  { arch: "riscv64", suite: "trixie", stage: "auto", machine: "riscv64" },
  { arch: "armhf", suite: "bookworm", stage: "guest", machine: "armv7l" },
])("$arch, emulated, second stage $stage", ({ arch, suite, stage, machine }) => {
  const name = `bs-long-${arch}-${stage}`;
  afterAll(async () => {
    await tryBootshare("delete", "--force", name);
  });

  it("is made, boots, and comes back from a reboot inside it", async () => {
    keepLogsOnFailure(name, name);
    await tryBootshare("delete", "--force", name);
    await createForeign(name, arch, "--suite", suite, "--second-stage", stage);
    expect(await inGuest(name, "uname", "-m")).toBe(machine);
    expect(await inGuest(name, "systemctl", "is-system-running", "--wait")).toBe("running");
    const before = await statusOf(name);
    expect(before).toMatchObject({ arch, boot: "good" });
    await inGuestLastWord(name, "systemctl", "reboot");
    await untilGoodAgain(name, before);
  });
});
