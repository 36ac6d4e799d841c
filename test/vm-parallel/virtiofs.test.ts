import { it } from "vitest";
import { LONGER, upgradeCycles } from "../soak/cycles.ts";
import { ensureGuest, VIRTIOFS } from "../vm/guests.ts";
import { lifecycle } from "../vm/lifecycle.ts";
import { bootshare, keepLogsOnFailure } from "../vm/machine.ts";

lifecycle(VIRTIOFS);

const CYCLES = 5;

it(`${CYCLES} upgrades and reboots while the service is killed at random`, async () => {
  await ensureGuest(VIRTIOFS);
  keepLogsOnFailure(VIRTIOFS.name, "upgrades and reboots");
  await upgradeCycles(VIRTIOFS, CYCLES, LONGER);
  // Nobody after this file needs it up, and an emulated guest costs a machine of two cores even when it is idle.
  await bootshare("stop", "--force", VIRTIOFS.name);
});
