import { z } from "zod";
import { EXIT, UserError } from "../errors.ts";
import { exitCodeInGuest } from "../guest/exit-code.ts";
import { findGuest } from "../guest/inventory.ts";
import { sshEndpoint } from "../guest/ssh.ts";
import { runInTerminal } from "../process.ts";
import { defineCommand } from "./command.ts";

export const exec = defineCommand({
  name: "exec",
  summary: "run a program in a guest as root",
  about:
    "Runs a program in a guest, as root, over ssh. Arguments arrive in the guest as they are given here: no shell takes them apart. Standard input, output and error are the program's own, and so is the exit code (128 + N where signal N ended it).",
  arguments: [
    ["<name>", "name or UUID of the guest"],
    ["<command...>", "the program and its arguments, after '--'"],
  ],
  passThrough: true,
  examples: [
    ["bootshare exec worker1 -- uname -r", "the kernel that it runs"],
    ["bootshare exec worker1 -- sh -c 'dpkg -l | wc -l'", "a pipe needs a shell, asked for by name"],
  ],
  schema: z.object({}),
  action: async ([name = "", ...rest]) => {
    // commander leaves the '--' that ends our own options where it passes options through.
    const command = rest[0] === "--" ? rest.slice(1) : rest;
    if (command.length === 0) {
      throw new UserError("USAGE", "There is no program to run.", {
        exitCode: EXIT.usage,
        hint: "'bootshare ssh' logs in.",
      });
    }
    const guest = await findGuest(name);
    const endpoint = await sshEndpoint(guest);
    const code = await exitCodeInGuest(
      guest,
      endpoint,
      command,
      {},
      async (args) => await runInTerminal("ssh", args),
    );
    if (code !== undefined) return code;
    throw new UserError(
      "SSH_FAILED",
      `The guest ${guest.name} could not be reached by ssh, or the connection is lost.`,
      {
        exitCode: EXIT.failed,
        hint: `It may still be booting, or be going down: see 'bootshare status ${guest.name}'.`,
      },
    );
  },
});
