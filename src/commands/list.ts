import { z } from "zod";
import { assessAttempt } from "../boot/assess.ts";
import { isEphemeral } from "../guest/abandoned.ts";
import { type GuestView, listGuests, look, orphanFolders } from "../guest/inventory.ts";
import { guestPathsOf } from "../paths.ts";
import { printable } from "../text.ts";
import { defineCommand, JSON_OPTION } from "./command.ts";
import { printJson, printLines, table } from "./output.ts";

export const list = defineCommand({
  name: "list",
  summary: "all guests, with the kernel that each runs",
  options: [JSON_OPTION],
  examples: [["bootshare list --json | jq -r '.[].name'", "the names of all guests"]],
  rows: (result) => listRows(z.array(summarySchema).parse(result)),
  schema: z.object({ json: z.boolean().default(false) }),
  action: async (_args, { json }) => {
    const views = (await listGuests()).map((guest) => look(guest));
    if (json) {
      printJson(views.map(summaryOf));
      return undefined;
    }
    if (views.length === 0) printLines(["There are no guests. Make one with 'bootshare create NAME'."]);
    else printLines(table(listRows(views.map(summaryOf))));
    for (const uuid of await orphanFolders()) {
      // Being made or deleted at this moment, or left by a command that was killed: the service removes it.
      if (isEphemeral(guestPathsOf(uuid))) continue;
      printLines([
        `Note: libvirt has no domain for the guest ${uuid}; 'bootshare delete ${uuid}' removes its folder.`,
      ]);
    }
    return undefined;
  },
});

/** What of {@link GuestSummary} is in the table. */
const summarySchema = z.object({
  name: z.string(),
  state: z.string(),
  boot: z.string(),
  kernel: z.string().nullable(),
  // Another host's bootshare may be older.
  ephemeral: z.boolean().default(false),
});

function listRows(summaries: readonly z.infer<typeof summarySchema>[]): string[][] {
  const rows = summaries.map(({ name, state, boot, kernel, ephemeral }) => [
    name,
    ephemeral ? `${state}, ephemeral` : state,
    boot,
    kernel ?? "-",
  ]);
  return [["NAME", "STATE", "BOOT", "KERNEL"], ...rows];
}

/** How the present or last boot of a guest stands, in the words of systemd's Automatic Boot Assessment. */
export type BootWord = "good" | "indeterminate" | "bad" | "failed" | "-";

export interface GuestSummary {
  /** Printable. */
  readonly name: string;
  readonly uuid: string;
  /** libvirt's word for the domain's state. */
  readonly state: string;
  readonly desired: "on" | "off";
  readonly boot: BootWord;
  /** Kernel release of the running attempt; null while it is off. Printable. */
  readonly kernel: string | null;
  /** It is there for one command, and goes away with it. */
  readonly ephemeral: boolean;
}

export function summaryOf(view: GuestView): GuestSummary {
  const { current, desired } = view.state;
  const off = view.status.state === "shut off";
  return {
    name: printable(view.name),
    uuid: view.uuid,
    state: view.status.state,
    desired,
    boot: bootWord(view),
    ephemeral: isEphemeral(view.paths),
    kernel: off || current === undefined ? null : printable(current.reported ?? current.pair.release),
  };
}

export function bootWord(view: GuestView): BootWord {
  const { current, failed } = view.state;
  if (failed !== undefined) return "failed";
  if (current === undefined) return "-";
  return assessAttempt(current);
}
