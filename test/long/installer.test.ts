/** A guest that Debian's installer makes, from its netboot kernel to a reboot into the kernel that it installed: emulated, most of an hour. */
import { afterAll, expect, it } from "vitest";
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

const SUITE = "bookworm";
const name = "bs-long-installer";
afterAll(async () => {
  await tryBootshare("delete", "--force", name);
});

interface Kernels {
  readonly kernels: readonly { readonly release: string; readonly complete: boolean }[];
}

it("installs by itself, boots its own kernel, and comes back from a reboot", {
  timeout: 7_200_000,
}, async () => {
  keepLogsOnFailure(name, name);
  await tryBootshare("delete", "--force", name);
  const began = Date.now();
  const machine = ["--memory", "1G", "--cpus", "1", "--disk", "4G"];
  await bootshare("create", name, "--installer", "--suite", SUITE, ...machine);
  console.log(`create --installer, ${SUITE}: ${Math.round((Date.now() - began) / 1000)} s`);
  const before = await statusOf(name);
  expect(before).toMatchObject({ boot: "good", reports: true });
  const { kernels } = await json<Kernels>("kernels", name);
  expect(kernels.some(({ release, complete }) => release === before.kernel && complete)).toBe(true);
  expect(await inGuest(name, "findmnt", "--noheadings", "--output", "TARGET,FSTYPE", "/")).toMatch(
    /^\/ +ext4$/,
  );
  expect(await inGuest(name, "dpkg", "--status", "bootshare-guest")).toContain(
    "Status: install ok installed",
  );
  await inGuestLastWord(name, "systemctl", "reboot");
  await untilGoodAgain(name, before);
  await bootshare("delete", "--force", name);
});
