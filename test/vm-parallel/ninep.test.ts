import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { guestPathsOf } from "../../src/paths.ts";
import { NINEP } from "../vm/guests.ts";
import { lifecycle } from "../vm/lifecycle.ts";
import { inGuest, keepLogsOnFailure, statusOf, until, virsh } from "../vm/machine.ts";

lifecycle(NINEP, () => {
  it("restores from managed save with the kernel that was running, though another would boot now", async () => {
    const { name } = NINEP;
    keepLogsOnFailure(name, "managed save");
    const before = await statusOf(name);
    const bootId = await inGuest(name, "cat", "/proc/sys/kernel/random/boot_id");
    const { share, runKernel } = guestPathsOf(before.uuid);
    const running = readFileSync(runKernel);
    // The other flavour's pair becomes the one that the links name.
    const links = ["vmlinuz", "initrd.img"].map((link) => ({
      file: join(share, link),
      text: readFileSync(join(share, link), "utf8"),
    }));
    const other = (await inGuest(name, "sh", "-c", "ls /boot/vmlinuz-*"))
      .split("\n")
      .map((path) => path.slice("/boot/vmlinuz-".length));
    const next = other.find((release) => release !== before.kernel) ?? "";
    expect(next).not.toBe("");
    // QEMU saves no guest that has a 9p share mounted. Left alone, /boot is unmounted after a minute.
    await inGuest(name, "systemctl", "stop", "boot.mount");
    await virsh("managedsave", name);
    expect(await statusOf(name)).toMatchObject({ state: "shut off", desired: "on" });
    for (const { file, text } of links) writeFileSync(file, text.replace(before.kernel ?? "?", next));
    expect((await statusOf(name)).next?.release).toBe(next);

    await virsh("start", name);
    await until(
      "the restored guest answers",
      60,
      async () => (await inGuest(name, "true").catch(() => undefined)) ?? undefined,
    );
    expect(await inGuest(name, "uname", "-r")).toBe(before.kernel);
    expect(await inGuest(name, "cat", "/proc/sys/kernel/random/boot_id")).toBe(bootId);
    expect((await statusOf(name)).attempt?.id).toBe(before.attempt?.id);
    expect(readFileSync(runKernel).equals(running)).toBe(true);
    for (const { file, text } of links) writeFileSync(file, text);
  });
});
