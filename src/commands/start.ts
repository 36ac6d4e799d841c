import { z } from "zod";
import { clearUnfinished } from "../guest/cut-short.ts";
import { findGuest } from "../guest/inventory.ts";
import { startGuest, waitForGood } from "../guest/life.ts";
import { defineCommand } from "./command.ts";
import { printLines } from "./output.ts";
import { note, noteService, timeoutOption, timeoutSchema, WAIT_OPTION } from "./shared.ts";
import { upLines } from "./skipped.ts";

export const start = defineCommand({
  name: "start",
  summary: "start a guest",
  about:
    "Starts a guest. The hook chooses its kernel, as it does for 'virsh start'; where the kernel needs another layout of the machine, the domain is changed first. Clears the state 'failed'.",
  arguments: [["<name>", "name or UUID of the guest"]],
  options: [WAIT_OPTION, timeoutOption(600, "with --wait: give up")],
  schema: z.object({ wait: z.boolean().default(false), timeout: timeoutSchema(600) }),
  action: async ([name = ""], options) => {
    const guest = await findGuest(name);
    await noteService();
    // Whatever its making left, it is a person's now.
    clearUnfinished(guest.paths);
    await startGuest(guest, note);
    if (options.wait) {
      const view = await waitForGood(guest, options.timeout * 1000);
      printLines(upLines(guest.name, view.state.current));
    } else printLines([`${guest.name} is started.`]);
    return undefined;
  },
});
