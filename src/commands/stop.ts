import { z } from "zod";
import { findGuest } from "../guest/inventory.ts";
import { stopGuest } from "../guest/life.ts";
import { defineCommand } from "./command.ts";
import { printLines } from "./output.ts";
import { FORCE_OPTION, timeoutOption, timeoutSchema } from "./shared.ts";

export const stop = defineCommand({
  name: "stop",
  summary: "shut a guest down; it stays off",
  arguments: [["<name>", "name or UUID of the guest"]],
  options: [FORCE_OPTION, timeoutOption(120, "give up waiting")],
  schema: z.object({ force: z.boolean().default(false), timeout: timeoutSchema(120) }),
  action: async ([name = ""], { force, timeout }) => {
    const guest = await findGuest(name);
    await stopGuest(guest, { force, timeoutMs: timeout * 1000 });
    printLines([`${guest.name} is off.`]);
    return undefined;
  },
});
