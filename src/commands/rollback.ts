import { z } from "zod";
import { findGuest } from "../guest/inventory.ts";
import { rebootGuest, waitForGood } from "../guest/life.ts";
import { rollBack } from "../guest/pin.ts";
import { defineCommand } from "./command.ts";
import { printLines } from "./output.ts";
import { FORCE_OPTION, note, noteService, timeoutOption, timeoutSchema, WAIT_OPTION } from "./shared.ts";

export const rollback = defineCommand({
  name: "rollback",
  summary: "go back to the kernel that was good before this one",
  about:
    "Pins the kernel and initrd that were good before the present ones, from the host's own copies, and reboots a running guest into them. 'bootshare kernels NAME --unpin' follows the guest's /boot again.",
  arguments: [["<name>", "name or UUID of the guest"]],
  options: [
    { flags: "--no-reboot", text: "only from the next start on" },
    FORCE_OPTION,
    WAIT_OPTION,
    timeoutOption(600, "for the shutdown, and with --wait for the boot: give up"),
  ],
  schema: z.object({
    reboot: z.boolean().default(true),
    force: z.boolean().default(false),
    wait: z.boolean().default(false),
    timeout: timeoutSchema(600),
  }),
  action: async ([name = ""], { reboot, force, wait, timeout }) => {
    const guest = await findGuest(name);
    const release = await rollBack(guest);
    const unpin = `It is pinned until 'bootshare kernels ${guest.name} --unpin'.`;
    if (!reboot || guest.status.state === "shut off") {
      printLines([`${guest.name} boots ${release} at its next start. ${unpin}`]);
      return undefined;
    }
    await noteService();
    await rebootGuest(guest, { force, timeoutMs: timeout * 1000 }, note);
    if (wait) await waitForGood(guest, timeout * 1000);
    printLines([`${guest.name} ${wait ? "is up with" : "is started again with"} ${release}. ${unpin}`]);
    return undefined;
  },
});
