import { existsSync } from "node:fs";
import { z } from "zod";
import { lookAtNext } from "../boot/look-next.ts";
import { select } from "../boot/select.ts";
import { EXIT, UserError } from "../errors.ts";
import { DEBIAN_ARCHES, type DebianArch, isDebianArch } from "../kernel/arch.ts";
import { catalogue } from "../kernel/catalogue.ts";
import { hostArch } from "../machine/host.ts";
import { readBootFolder } from "../share/folder.ts";
import { printable } from "../text.ts";
import { defineCommand, JSON_OPTION } from "./command.ts";
import { ENTRIES_HELP, entryLines, entryRows } from "./entries.ts";
import { catalogueLines, kernelRows, linkRows, nextOf } from "./kernels.ts";
import { printJson, printLines } from "./output.ts";
import { skippedOf } from "./skipped.ts";

export const inspect = defineCommand({
  name: "inspect",
  summary: "what any folder that holds a /boot would boot (no libvirt needed)",
  about: `What any folder that holds a /boot would boot. It needs no libvirt. ${ENTRIES_HELP}`,
  arguments: [["<dir>", "the folder"]],
  options: [
    {
      flags: "--arch <arch>",
      text: `architecture of the machine: ${DEBIAN_ARCHES.join(", ")} (default: this host's)`,
    },
    JSON_OPTION,
  ],
  examples: [["bootshare inspect /boot", "what is in this machine's own /boot"]],
  schema: z.object({ arch: z.string().optional(), json: z.boolean().default(false) }),
  action: async ([dir = ""], options) => {
    const arch = archOf(options.arch ?? hostArch());
    if (!existsSync(dir)) {
      throw new UserError("FOLDER_NOT_FOUND", `There is no folder ${printable(dir)}.`, {
        exitCode: EXIT.notFound,
      });
    }
    const found = catalogue(readBootFolder(dir), arch);
    const ordered = select({ catalogue: found, pin: undefined, good: undefined, machine: undefined });
    const { selection, initrd } = lookAtNext(dir, ordered, undefined);
    const document = {
      folder: dir,
      arch,
      next: nextOf(selection),
      initrd: initrd ?? null,
      kernels: kernelRows(found),
      links: linkRows(found),
      entries: entryRows(found),
      skipped: skippedOf(selection.skipped),
    };
    if (options.json) printJson(document);
    else {
      printLines([...catalogueLines(document.kernels, document.links), ...entryLines(document.entries)]);
      const { next } = document;
      printLines([
        "",
        next === null ? `Nothing here boots on ${arch}.` : `Would boot: ${next.release}: ${next.why}`,
        ...(initrd === undefined ? [] : [`  ${initrd}`]),
        ...(next?.notes ?? []).map((text) => `  ${text}`),
      ]);
      printLines(document.skipped.map(({ release, reason }) => `  ${release}: ${reason}`));
    }
    return document.next === null ? EXIT.failed : EXIT.ok;
  },
});

function archOf(text: string): DebianArch {
  if (isDebianArch(text)) return text;
  throw new UserError("ARCH_UNKNOWN", `${printable(text)} is no architecture that bootshare knows.`, {
    exitCode: EXIT.usage,
    hint: `It knows ${DEBIAN_ARCHES.join(", ")}.`,
  });
}
