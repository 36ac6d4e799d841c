import { existsSync } from "node:fs";
import { z } from "zod";
import { EXIT, UserError } from "../errors.ts";
import { findGuest, type Guest, look } from "../guest/inventory.ts";
import { qemuLog, statePaths } from "../paths.ts";
import { run } from "../process.ts";
import { printable, stripForTerminal } from "../text.ts";
import { defineCommand, JSON_OPTION } from "./command.ts";
import { printJson, printLines } from "./output.ts";

const SOURCES = ["serial", "qemu", "report", "create", "upgrade", "hook", "service"] as const;
type Source = (typeof SOURCES)[number];

export const logs = defineCommand({
  name: "logs",
  summary: "what a guest's console, QEMU, the hook or the service wrote",
  about:
    "Shows the end of a log, made safe for the terminal. Sources: serial (the guest's console; default), qemu, report (the boot report), create, upgrade (what apt printed in the guest's last upgrade), hook and service (of all guests).",
  arguments: [["<name>", "name or UUID of the guest"]],
  options: [
    { flags: "--source <source>", text: `one of ${SOURCES.join(", ")} (default serial)` },
    {
      flags: "--attempt <id>",
      text: "the console of an earlier boot that was not good ('bootshare history --json' has the ids, 'last' is the newest)",
    },
    { flags: "-n, --lines <count>", text: "how many lines (default 50)" },
    { flags: "-f, --follow", text: "go on showing what is added, until Ctrl-C" },
    JSON_OPTION,
  ],
  schema: z.object({
    source: z.enum(SOURCES, { error: `one of ${SOURCES.join(", ")}` }).default("serial"),
    lines: z.coerce.number({ error: "a number of lines" }).int().positive().default(50),
    attempt: z.string().optional(),
    follow: z.boolean().default(false),
    json: z.boolean().default(false),
  }),
  action: async ([name = ""], { source, attempt, lines, follow, json }) => {
    const guest = await findGuest(name);
    const file = attempt === undefined ? fileOf(guest, source) : badLogOf(guest, attempt);
    if (!existsSync(file)) {
      throw new UserError("NO_LOG", `There is no ${source} log of ${guest.name} (${file}).`, {
        exitCode: EXIT.notFound,
      });
    }
    const args = ["-n", String(lines), ...(follow ? ["-F"] : []), "--", file];
    if (!follow) {
      const text = (await run("tail", args)).stdout.split("\n").map((line) => stripForTerminal(line));
      if (json) printJson({ name: guest.name, source, file, lines: text });
      else printLines(text);
      return undefined;
    }
    const stop = new AbortController();
    process.once("SIGINT", () => stop.abort());
    await run("tail", args, { signal: stop.signal, onLine: (line) => printLines([stripForTerminal(line)]) });
    return undefined;
  },
});

/** The kept console of an attempt; an id only ever is one of the guest's own attempts'. */
function badLogOf(guest: Guest, wanted: string): string {
  const { attempts } = look(guest).state;
  const kept = attempts.filter(({ id }) => existsSync(guest.paths.badLog(id)));
  const found = wanted === "last" ? kept.at(-1) : kept.find(({ id }) => id === wanted);
  if (found !== undefined) return guest.paths.badLog(found.id);
  const ids = kept.map(({ id, pair }) => `${id} (${printable(pair.release)})`);
  throw new UserError("NO_LOG", `No console of an attempt ${printable(wanted)} of ${guest.name} was kept.`, {
    exitCode: EXIT.notFound,
    hint:
      ids.length === 0
        ? "Only attempts that were not good have theirs kept."
        : `These were kept: ${ids.join(", ")}.`,
  });
}

function fileOf(guest: Guest, source: Source): string {
  switch (source) {
    case "serial":
      return guest.paths.serialLog;
    case "qemu":
      return qemuLog(guest.name);
    case "report":
      return guest.paths.report;
    case "create":
      return guest.paths.createLog;
    case "upgrade":
      return guest.paths.upgradeLog;
    case "hook":
      return statePaths().hookLog;
    case "service":
      return statePaths().serviceLog;
  }
}
