import { z } from "zod";
import { drain as drainGuest } from "../builder/drain.ts";
import { findGuest } from "../guest/inventory.ts";
import { defineCommand } from "./command.ts";
import { printLines } from "./output.ts";
import { timeoutOption, timeoutSchema } from "./shared.ts";
import { type EndingSignal, endedBySignals, SIGNAL_EXIT } from "./signals.ts";

/** A build may take hours; one that takes longer than this is for a person to judge. */
const DEFAULT_SECONDS = 3600;

export const drain = defineCommand({
  name: "drain",
  summary: "take a worker out of service when its job is done",
  about:
    "The guest's workers get no new jobs from now on. Waits until those that run are done and delivered; then the workers are down and the guest may be rebooted. It stays so, also over reboots, until 'bootshare undrain NAME'. When the wait ends before the job does, the guest goes on draining. Of a builder ('bootshare build') no build begins from now on, and those that run are waited for. A guest without a role has nothing to drain.",
  arguments: [["<name>", "name or UUID of the guest"]],
  options: [timeoutOption(DEFAULT_SECONDS, "stop waiting")],
  examples: [
    ["bootshare drain b1 && bootshare reboot b1 --wait && bootshare undrain b1", "reboot a build worker"],
  ],
  schema: z.object({ timeout: timeoutSchema(DEFAULT_SECONDS) }),
  action: async ([name = ""], { timeout }) => {
    const guest = await findGuest(name);
    const say = (sentence: string): void => printLines([`${sentence}.`]);
    let ended: number | undefined;
    let knows = false;
    const told = (): void => {
      knows = true;
    };
    const reasonOf = (signal: EndingSignal): Error => {
      ended = SIGNAL_EXIT[signal];
      return new Error(`ended by ${signal}`);
    };
    try {
      const had = await endedBySignals(
        async ({ signal }) =>
          await drainGuest(guest, { by: "person", timeoutMs: timeout * 1000, signal, say, told }),
        reasonOf,
      );
      printLines([
        had
          ? `${guest.name} is drained: it gets no jobs until 'bootshare undrain ${guest.name}'.`
          : `${guest.name} has no role: there is nothing to drain.`,
      ]);
      return undefined;
    } catch (error) {
      if (ended === undefined) throw error;
      const { name: own } = guest;
      printLines([
        knows
          ? `No longer waiting; ${own} takes no new jobs until 'bootshare undrain ${own}'.`
          : `${own} may not know of it yet: 'bootshare drain ${own}' tells it again, 'bootshare undrain ${own}' takes it back.`,
      ]);
      return ended;
    }
  },
});
