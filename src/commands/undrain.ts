import { z } from "zod";
import { undrain as undrainGuest } from "../builder/drain.ts";
import { findGuest } from "../guest/inventory.ts";
import { defineCommand } from "./command.ts";
import { printLines } from "./output.ts";

export const undrain = defineCommand({
  name: "undrain",
  summary: "put a worker back to work",
  about:
    "The guest's workers start and take jobs again, and builds begin again in a builder. In the middle of a drain, that is taken back.",
  arguments: [["<name>", "name or UUID of the guest"]],
  schema: z.object({}),
  action: async ([name = ""]) => {
    const guest = await findGuest(name);
    const came = await undrainGuest(guest, "person");
    printLines([
      came !== undefined
        ? `${guest.name} takes jobs again.`
        : `${guest.name} has no role: there is nothing to put back.`,
    ]);
    return undefined;
  },
});
