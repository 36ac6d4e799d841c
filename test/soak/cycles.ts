/** Upgrades and reboots of a guest, one after the other, while the service is killed at moments that nobody chose. */
import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import type { Shared } from "../vm/guests.ts";
import {
  inGuest,
  inGuestLastWord,
  json,
  startService,
  statusOf,
  stopService,
  untilGoodAgain,
} from "../vm/machine.ts";

interface Attempt {
  readonly pair: string;
  readonly source: string;
  readonly assessment: string;
  readonly how: string | null;
}

/** Makes the initrd anew, as apt has it done: two minutes of an emulated guest. What is in this folder goes into it. */
export const ANEW = 'echo "# $1" >/etc/initramfs-tools/conf.d/bs-test-cycle && update-initramfs -u';
/** Adds an archive to the initrd, which the kernel unpacks as well, from a multiple of four bytes on: other bytes in a second. */
export const LONGER =
  "initrd=$(realpath /boot/initrd.img) && cp $initrd $initrd.new && truncate -s %4 $initrd.new && cd /run && echo $1 >bs-test-cycle && echo bs-test-cycle | cpio --quiet -o -H newc >>$initrd.new && mv $initrd.new $initrd";

/**
 * Each time the guest gets an initrd of other bytes, which is another candidate. It reboots into that, and is good, whatever
 * became of the service meanwhile. Nothing of the history is lost.
 *
 * @param upgrade a shell command, with the number of the cycle as its argument
 */
export async function upgradeCycles({ name }: Shared, count: number, upgrade: string): Promise<void> {
  const before = await json<Attempt[]>("history", name);
  for (let cycle = 1; cycle <= count; cycle++) {
    const status = await statusOf(name);
    await inGuest(name, "sh", "-ec", `${upgrade} && sync`, "upgrade", String(cycle));
    await inGuestLastWord(name, "systemctl", "reboot");
    const stop = new AbortController();
    const killer = killAtRandom(stop.signal);
    try {
      await untilGoodAgain(name, status);
    } finally {
      stop.abort();
      await killer;
    }
  }
  const attempts = (await json<Attempt[]>("history", name)).slice(before.length - 1);
  expect(attempts).toHaveLength(count + 1);
  expect(attempts.map(({ assessment }) => assessment)).toEqual(Array(count + 1).fill("good"));
  expect(attempts.slice(0, -1).map(({ how }) => how)).toEqual(Array(count).fill("reboot"));
  expect(new Set(attempts.map(({ pair }) => pair)).size).toBe(count + 1);
}

/** Kills the service, and starts it again, until it is told to stop; the service runs then. */
async function killAtRandom(signal: AbortSignal): Promise<void> {
  const waits: number[] = [];
  try {
    while (!signal.aborted) {
      waits.push(randomInt(500, 12_000));
      await sleep(waits.at(-1), undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      await stopService("SIGKILL");
      await startService();
    }
  } finally {
    // Should it fail, this is when it was killed.
    console.log(`the service was killed after ${waits.join(", ")} ms`);
  }
}
