/** When something is looked at: by a clock that people set, and by one that only runs. */
import { readFileSync } from "node:fs";

export interface Moment {
  /** This host's boot id: another one means that the host was rebooted. */
  readonly hostBoot: string;
  /** Milliseconds of CLOCK_MONOTONIC, to measure by within one boot of the host. It stands still while the host sleeps. */
  readonly m: number;
  readonly now: Date;
}

/** @param now what the clock says, where somebody else has asked it already */
export function presentMoment(now: Date = new Date()): Moment {
  return { hostBoot: hostBootId(), m: Math.round(Number(process.hrtime.bigint() / 1_000_000n)), now };
}

/** The boot id of this host (random(4)). */
function hostBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}
