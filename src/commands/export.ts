import { resolve } from "node:path";
import { z } from "zod";
import { UserError } from "../errors.ts";
import { exportGuest } from "../guest/export.ts";
import { printable } from "../text.ts";
import { defineCommand } from "./command.ts";
import { printLines } from "./output.ts";
import { bootTimeoutSchema } from "./shared.ts";
import { endedBySignals } from "./signals.ts";

export const export_ = defineCommand({
  name: "export",
  summary: "make an ordinary domain of a guest again, /boot and a boot loader on its disk",
  about:
    "Makes an ordinary domain of a guest that is off: its disk becomes the file that you name, /boot is on it again, bootshare's parts are not, and it boots by itself where its architecture has a boot loader that bootshare installs (docs/importing.md). The guest is changed when all that has succeeded; with --copy it is not changed at all.",
  arguments: [["<name>", "the guest"]],
  options: [
    { flags: "--disk <file>", text: "the disk image to be made (qcow2); it must not be there" },
    { flags: "--copy", text: "leave the guest as it is; the domain's XML is written beside the disk" },
    {
      flags: "--boot-timeout <seconds>",
      text: "how long a boot of it may take; the copy's last one gets three times as long (0: no limit)",
    },
  ],
  examples: [
    ["bootshare export vm1 --disk /var/lib/libvirt/images/vm1.qcow2", "vm1 is bootshare's no more"],
    ["bootshare export vm1 --disk /srv/vm1.qcow2 --copy", "a disk and a domain to take elsewhere"],
  ],
  schema: z.object({
    disk: z.string({ error: "the disk needs a place" }),
    copy: z.boolean().default(false),
    bootTimeout: bootTimeoutSchema,
  }),
  action: async ([name = ""], { disk, copy, bootTimeout }) => {
    const say = (line: string): void => void process.stderr.write(`${printable(name)}: ${printable(line)}\n`);
    const { files, boots, leftOut } = await endedBySignals(
      async ({ signal }) => await exportGuest(name, { file: resolve(disk), copy, bootTimeout }, say, signal),
      (signal) =>
        new UserError("INTERRUPTED", `The export of ${printable(name)} was interrupted (${signal}).`),
    );
    printLines([
      copy
        ? `${printable(name)} is exported, and stays a guest.`
        : `${printable(name)} is an ordinary domain now: 'virsh start ${printable(name)}' starts it.`,
      `It boots ${boots}.`,
      ...files.map((file) => `  ${printable(file)}`),
      ...(leftOut.length === 0 ? [] : [`Left out of its /boot: ${leftOut.join(", ")}`]),
    ]);
    return undefined;
  },
});
