import { z } from "zod";
import { assessPair, DEFAULT_TRIES } from "../boot/assess.ts";
import { readPolicy } from "../boot/policy.ts";
import { survey } from "../boot/prepare.ts";
import { definitionOf, findGuest, look } from "../guest/inventory.ts";
import { archPhrase } from "../guest/plan.ts";
import { serviceState } from "../serve/ensure.ts";
import { printable } from "../text.ts";
import { defineCommand, JSON_OPTION } from "./command.ts";
import { nextOf, reshapeOf, reshapeSentence, untilThen } from "./kernels.ts";
import { summaryOf } from "./list.ts";
import { duration, localTime, printJson, printLines, table } from "./output.ts";
import { fallbackLines, skippedOf } from "./skipped.ts";

export const status = defineCommand({
  name: "status",
  summary: "one guest: how its boot stands and what it boots next",
  arguments: [["<name>", "name or UUID of the guest"]],
  options: [JSON_OPTION],
  schema: z.object({ json: z.boolean().default(false) }),
  action: async ([name = ""], { json }) => {
    const view = look(await findGuest(name));
    const definition = await definitionOf(view);
    const { selection } = survey(view.paths, definition);
    const arch = definition.userland ?? definition.arch;
    const next = nextOf(selection);
    const reshape = reshapeOf(selection);
    const { state: service } = serviceState();
    const { current, failed, good } = view.state;
    const { pin, tries = DEFAULT_TRIES } = readPolicy(view.paths);
    const stands = assessPair(view.state, current?.pair.id, tries);
    const document = {
      ...summaryOf(view),
      reason: view.status.reason,
      saved: view.status.saved,
      arch,
      kernelArch: definition.arch,
      suite: definition.metadata?.suite ?? null,
      share: definition.transport ?? null,
      service,
      attempt:
        current === undefined
          ? null
          : {
              id: current.id,
              kernel: printable(current.pair.release),
              source: current.source,
              why: printable(current.why, 300),
              skipped: skippedOf(current.skipped),
              triesLeft: stands.assessment === "good" ? null : stands.triesLeft,
              asked: current.asked,
              prepared: current.prepared,
              up: current.up ?? null,
              good: current.good ?? null,
              ended: current.ended ?? null,
              how: current.how ?? null,
            },
      pin: pin === undefined ? null : printable(pin),
      lastGood: good === undefined ? null : printable(good.release),
      next,
      reshape,
      reports: !view.state.silent,
      failed: failed === undefined ? null : { since: failed.since, why: printable(failed.why, 2000) },
    };
    if (json) {
      printJson(document);
      return undefined;
    }
    const now = new Date().toISOString();
    const rows = [
      ["Guest", `${document.name} (${view.uuid})`],
      [
        "System",
        `Debian ${document.suite ?? "?"}, ${archPhrase(arch, definition.arch)}, /boot shared by ${document.share ?? "?"}`,
      ],
      ["State", `${document.state}${document.saved ? ", saved" : ""}; meant to be ${document.desired}`],
    ];
    if (current !== undefined) {
      rows.push(["Kernel", `${printable(current.pair.release)}: ${printable(current.why, 300)}`]);
      rows.push(["Boot", bootLine(document.boot, current, now)]);
      for (const line of fallbackLines(current)) rows.push(["", line]);
      if (stands.assessment === "indeterminate" && current.source !== "provided") {
        const left = stands.triesLeft === 1 ? "1 try" : `${stands.triesLeft} tries`;
        rows.push(["", `never good yet; ${left} left, this one among them`]);
      }
    }
    rows.push(["Last good", document.lastGood ?? "none yet"]);
    if (document.pin !== null)
      rows.push(["Pinned", `${document.pin}, until 'bootshare kernels ${view.name} --unpin'`]);
    const best = reshape ?? next;
    rows.push([
      "Boots next",
      best === null ? "nothing can be booted: see 'bootshare kernels'" : `${best.release}: ${best.why}`,
    ]);
    if (reshape !== null) rows.push(["Machine", reshapeSentence(reshape)], ["", untilThen(next)]);
    for (const text of best?.notes ?? []) rows.push(["Note", text]);
    if (failed !== undefined)
      rows.push(["FAILED", `since ${localTime(failed.since)}: ${printable(failed.why, 2000)}`]);
    if (view.state.silent) {
      rows.push([
        "Note",
        "it was adopted, and has reported no good boot yet: its boots are not judged, and a reboot leaves it off",
      ]);
      rows.push([
        "",
        `the parts that report: 'bootshare adopt ${document.name} --ssh root@HOST', or --agent, or --deb`,
      ]);
    }
    if (service === "stopped") {
      rows.push(["Note", "no bootshare service runs: a guest that reboots stays off until it does"]);
    }
    printLines(table(rows));
    return undefined;
  },
});

interface Times {
  readonly asked: string;
  readonly good?: string;
  readonly ended?: string;
  readonly how?: string;
}

function bootLine(word: string, { asked, good, ended, how }: Times, now: string): string {
  if (ended !== undefined) return `${word}, ended by ${how ?? "?"} ${duration(ended, now)} ago`;
  if (good !== undefined)
    return `good, ${duration(asked, good)} after it was asked for, ${duration(good, now)} ago`;
  return `${word}, asked for ${duration(asked, now)} ago`;
}
