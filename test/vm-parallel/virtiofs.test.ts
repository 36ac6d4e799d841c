import { it } from "vitest";
import { LONGER, upgradeCycles } from "../soak/cycles.ts";
import { clones } from "../vm/clones.ts";
import { VIRTIOFS } from "../vm/guests.ts";
import { lifecycle } from "../vm/lifecycle.ts";
import { keepLogsOnFailure } from "../vm/machine.ts";

const CYCLES = 5;

lifecycle(VIRTIOFS, () => {
  it(`${CYCLES} upgrades and reboots while the service is killed at random`, async () => {
    keepLogsOnFailure(VIRTIOFS.name, "upgrades and reboots");
    await upgradeCycles(VIRTIOFS, CYCLES, LONGER);
  });
});

clones(VIRTIOFS);
