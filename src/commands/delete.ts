import { z } from "zod";
import { UserError } from "../errors.ts";
import { deleteGuest, deleteOrphan, isOrphan } from "../guest/delete.ts";
import { findGuest } from "../guest/inventory.ts";
import { defineCommand } from "./command.ts";
import { printLines } from "./output.ts";

export const delete_ = defineCommand({
  name: "delete",
  summary: "remove a guest with its disk, its /boot and its history",
  about:
    "Removes a guest: its domain, disk, /boot, keys and history. There is no way back. While another domain names files in its folder, as a copy by virt-clone does, nothing is removed. Given a UUID, it also removes the folder of a guest whose domain is gone.",
  arguments: [["<name>", "name or UUID of the guest"]],
  options: [{ flags: "--force", text: "also when it is running: its power is cut" }],
  schema: z.object({ force: z.boolean().default(false) }),
  action: async ([name = ""], { force }) => {
    try {
      const guest = await findGuest(name);
      await deleteGuest(guest, force);
      printLines([`${guest.name} is deleted.`]);
    } catch (error) {
      const gone = error instanceof UserError && error.code === "GUEST_NOT_FOUND";
      if (!gone || !isOrphan(name)) throw error;
      await deleteOrphan(name);
      printLines([`The folder of ${name}, whose domain is gone, is deleted.`]);
    }
    return undefined;
  },
});
