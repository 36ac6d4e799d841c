import { z } from "zod";
import { cloneGuest } from "../guest/clone.ts";
import { findGuest, type Guest } from "../guest/inventory.ts";
import { startGuest, waitForGood } from "../guest/life.ts";
import { printable } from "../text.ts";
import { defineCommand, JSON_OPTION } from "./command.ts";
import { printJson, printLines } from "./output.ts";
import {
  cpusSchema,
  memoryOf,
  note,
  noteService,
  timeoutOption,
  timeoutSchema,
  WAIT_OPTION,
} from "./shared.ts";

const WAIT_S = 600;

export const clone = defineCommand({
  name: "clone",
  summary: "make copies of a guest that is off, in about a second each",
  about:
    "Makes copies of a guest that is off and has no snapshots. A copy's disk is an overlay and takes only what it changes; its name, MAC address, machine id, ssh keys and /boot are its own, and its first boot takes them. The guest that was cloned may be started, changed and deleted afterwards: its copies do not notice.",
  arguments: [
    ["<source>", "name or UUID of a guest that is off"],
    ["<name>", "name of the clone; with --count, what their names begin with"],
  ],
  options: [
    { flags: "--count <n>", text: "make so many: NAME-1, NAME-2, …" },
    { flags: "--memory <size>", text: "memory (default: as the source)" },
    { flags: "--cpus <count>", text: "virtual CPUs (default: as the source)" },
    { flags: "--start", text: "start them" },
    { ...WAIT_OPTION, text: "start them, and wait until their boots are good" },
    timeoutOption(WAIT_S, "with --wait: stop waiting for one"),
    JSON_OPTION,
  ],
  examples: [
    ["bootshare clone base worker1", "a copy, which is off"],
    ["bootshare clone base worker --count 4 --start", "worker-1 to worker-4, running"],
  ],
  schema: z.object({
    count: z.coerce.number({ error: "a number" }).int().min(1).max(256).optional(),
    memory: z.string().optional(),
    cpus: cpusSchema,
    start: z.boolean().default(false),
    wait: z.boolean().default(false),
    timeout: timeoutSchema(WAIT_S),
    json: z.boolean().default(false),
  }),
  action: async ([source = "", name = ""], options) => {
    const { count, cpus, start, wait, timeout, json } = options;
    const memoryBytes = memoryOf(options.memory);
    const names =
      count === undefined ? [name] : Array.from({ length: count }, (_, index) => `${name}-${index + 1}`);
    if (start || wait) await noteService();
    const made: Guest[] = [];
    try {
      for (const one of names) {
        const began = Date.now();
        const guest = await cloneGuest(source, { name: one, memoryBytes, cpus, tell: note });
        made.push(guest);
        if (json) continue;
        printLines([
          `${one} is a clone of ${printable(source)} (${((Date.now() - began) / 1000).toFixed(1)} s).`,
        ]);
      }
      if (start || wait) for (const guest of made) await startGuest(guest, note);
      if (wait) for (const guest of made) await waitForGood(guest, timeout * 1000);
    } finally {
      // Those that are made stay, whatever became of the others.
      if (json && made.length > 0) printJson(await Promise.all(made.map(stateOf)));
    }
    return undefined;
  },
});

async function stateOf({ uuid }: Guest): Promise<{ name: string; uuid: string; state: string }> {
  const { name, status } = await findGuest(uuid);
  return { name, uuid, state: status.state };
}
