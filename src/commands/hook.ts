import { z } from "zod";
import { EXIT } from "../errors.ts";
import { hookStatus, installHook, removeHook } from "../libvirt/hook-install.ts";
import { type Command, defineCommand, JSON_OPTION } from "./command.ts";
import { printJson, printLines } from "./output.ts";

export const hook: Command = {
  name: "hook",
  summary: "install, remove or check the libvirt hook",
  about:
    "The libvirt hook chooses, checks and stages the kernel before every start of a guest. It is a file of its own in /etc/libvirt/hooks/qemu.d/, beside anybody else's, and leaves other domains alone. Only root installs it; ordinary users' own libvirt daemons call it, too.",
  subcommands: [
    defineCommand({
      name: "install",
      summary: "install or refresh the hook",
      options: [
        { flags: "--restart", text: "restart libvirt's daemon where that is needed (guests go on running)" },
      ],
      schema: z.object({ restart: z.boolean().default(false) }),
      action: async (_args, { restart }) => {
        printLines(await installHook({ restart }));
        return undefined;
      },
    }),
    defineCommand({
      name: "remove",
      summary: "remove the hook; guests then keep the kernel that was staged last",
      schema: z.object({}),
      action: async () => {
        printLines(await removeHook());
        return undefined;
      },
    }),
    defineCommand({
      name: "status",
      summary: "whether the hook is installed, current, and called",
      options: [JSON_OPTION],
      schema: z.object({ json: z.boolean().default(false) }),
      action: async (_args, { json }) => {
        const found = await hookStatus();
        if (json) printJson(found);
        else printLines(found.lines);
        return found.usable ? EXIT.ok : EXIT.unusable;
      },
    }),
  ],
};
