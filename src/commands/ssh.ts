import { z } from "zod";
import { findGuest } from "../guest/inventory.ts";
import { sshArguments, sshEndpoint } from "../guest/ssh.ts";
import { runInTerminal } from "../process.ts";
import { defineCommand } from "./command.ts";

export const ssh = defineCommand({
  name: "ssh",
  summary: "log in to a guest as root",
  hosts: "never",
  arguments: [["<name>", "name or UUID of the guest"]],
  schema: z.object({}),
  action: async ([name = ""]) => {
    const guest = await findGuest(name);
    return await runInTerminal("ssh", sshArguments(guest, await sshEndpoint(guest), []));
  },
});
