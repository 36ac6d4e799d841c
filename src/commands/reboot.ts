import { z } from "zod";
import { findGuest } from "../guest/inventory.ts";
import { rebootGuest, waitForGood } from "../guest/life.ts";
import { defineCommand } from "./command.ts";
import { printLines } from "./output.ts";
import { FORCE_OPTION, note, noteService, timeoutOption, timeoutSchema, WAIT_OPTION } from "./shared.ts";
import { upLines } from "./skipped.ts";

export const reboot = defineCommand({
  name: "reboot",
  summary: "reboot a guest into the kernel that it should boot now",
  about:
    "Shuts a guest down and starts it again, so that the kernel that its apt installed really runs. (A 'virsh reboot' leaves it off: docs/limitations.md.)",
  arguments: [["<name>", "name or UUID of the guest"]],
  options: [
    FORCE_OPTION,
    WAIT_OPTION,
    timeoutOption(600, "for the shutdown, and with --wait for the boot: give up"),
  ],
  schema: z.object({
    force: z.boolean().default(false),
    wait: z.boolean().default(false),
    timeout: timeoutSchema(600),
  }),
  action: async ([name = ""], { force, wait, timeout }) => {
    const guest = await findGuest(name);
    await noteService();
    await rebootGuest(guest, { force, timeoutMs: timeout * 1000 }, note);
    if (wait) {
      const view = await waitForGood(guest, timeout * 1000);
      printLines(upLines(guest.name, view.state.current));
    } else printLines([`${guest.name} is started again.`]);
    return undefined;
  },
});
