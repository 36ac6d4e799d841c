/** A hundred upgrades and reboots, for `./check --soak`: hours on a machine that emulates. */
import { it } from "vitest";
import { ensureGuest, NINEP } from "../vm/guests.ts";
import { keepLogsOnFailure } from "../vm/machine.ts";
import { ANEW, upgradeCycles } from "./cycles.ts";

const CYCLES = 100;

it(`${CYCLES} upgrades and reboots while the service is killed at random`, async () => {
  await ensureGuest(NINEP);
  keepLogsOnFailure(NINEP.name, "soak");
  await upgradeCycles(NINEP, CYCLES, ANEW);
});
