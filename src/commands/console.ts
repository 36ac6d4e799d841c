import { z } from "zod";
import { findGuest } from "../guest/inventory.ts";
import { consoleArguments } from "../libvirt/virsh.ts";
import { runInTerminal } from "../process.ts";
import { defineCommand } from "./command.ts";

export const console_ = defineCommand({
  name: "console",
  summary: "the guest's serial console (Ctrl-] leaves it)",
  hosts: "never",
  about:
    "Opens the guest's serial console with 'virsh console'. Ctrl-] leaves it. What the guest writes reaches your terminal as it is: use 'bootshare logs' to read it escaped.",
  arguments: [["<name>", "name or UUID of the guest"]],
  options: [{ flags: "--force", text: "take the console from whoever has it" }],
  schema: z.object({ force: z.boolean().default(false) }),
  action: async ([name = ""], { force }) => {
    const guest = await findGuest(name);
    const [program, ...args] = consoleArguments(guest.uuid, force);
    return await runInTerminal(program, args);
  },
});
