import { z } from "zod";
import { type Examined, examine, usable } from "../doctor/examine.ts";
import { machineProbe } from "../doctor/machine-probe.ts";
import { linesOf, subject, verdict } from "../doctor/report.ts";
import { requirements } from "../doctor/requirements.ts";
import { EXIT, UserError } from "../errors.ts";
import { DEBIAN_ARCHES, isDebianArch } from "../kernel/arch.ts";
import { hostArch } from "../machine/host.ts";
import { defineCommand, JSON_OPTION } from "./command.ts";
import { printJson, printLines } from "./output.ts";

export const doctor = defineCommand({
  name: "doctor",
  summary: "whether this machine has what bootshare needs, and what mends it",
  about:
    "Looks at this machine and says for each thing that making and running guests needs whether it is there, with the command that mends it. It changes nothing. Whether libvirt calls the hook is tried with a domain that the hook refuses; whether KVM or emulation runs a guest, with a tiny guest. Root is told of the machine's guests, an ordinary user of their own (session mode). Exit code 5 where the machine is not usable, or not known to be.",
  options: [
    {
      flags: "--arch <arch>",
      text: `architecture of the guests: ${DEBIAN_ARCHES.join(", ")} (default: this host's)`,
    },
    JSON_OPTION,
  ],
  examples: [
    ["bootshare doctor", "what guests of this host's architecture need"],
    ["bootshare doctor --json | jq -r '.requirements[].fix // empty'", "the commands that mend it"],
  ],
  schema: z.object({
    arch: z.enum(DEBIAN_ARCHES, { error: `it is one of ${DEBIAN_ARCHES.join(", ")}` }).optional(),
    json: z.boolean().default(false),
  }),
  action: async (_args, options) => {
    const host = hostArch();
    const native = isDebianArch(host) ? host : undefined;
    const arch = options.arch ?? native;
    if (arch === undefined) {
      throw new UserError("HOST_NOT_DEBIAN", `Debian has no architecture for this host (${host}).`, {
        exitCode: EXIT.unusable,
        hint: "Name the guests' architecture with --arch.",
      });
    }
    if (!options.json) printLines([subject(machineProbe.mode), ""]);
    const all: Examined[] = [];
    // One after the other: some are trials, and what is measured should not be disturbed. Each is shown as it is done.
    for (const requirement of requirements(arch, native, machineProbe)) {
      const one = await examine(requirement);
      all.push(one);
      if (!options.json) printLines(linesOf(one));
    }
    if (options.json)
      printJson({ usable: usable(all), mode: machineProbe.mode.name, arch, requirements: all });
    else printLines(["", verdict(all, arch)]);
    return usable(all) === true ? EXIT.ok : EXIT.unusable;
  },
});
