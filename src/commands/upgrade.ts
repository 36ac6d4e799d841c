import { z } from "zod";
import { survey } from "../boot/prepare.ts";
import { chooseGuests, type Omitted, upgrade as upgradeGuests, type Wish } from "../builder/upgrade.ts";
import type { GuestRecord, Rollout } from "../builder/upgrade-plan.ts";
import { isRolloutRunning, readRollout } from "../builder/upgrade-record.ts";
import { EXIT, UserError } from "../errors.ts";
import { definitionOf, type Guest, look } from "../guest/inventory.ts";
import { defineCommand, JSON_OPTION } from "./command.ts";
import { nextOf } from "./kernels.ts";
import { summaryOf } from "./list.ts";
import { localTime, printJson, printLines, table } from "./output.ts";
import { noteService } from "./shared.ts";
import { endedBySignals } from "./signals.ts";

const DEFAULTS = { rolling: 1, canaryTime: 600, drainTimeout: 6 * 3600, aptTimeout: 2 * 3600 };

const seconds = (limit: number, least = 1) =>
  z.coerce.number({ error: "a number of seconds" }).min(least).default(limit);

export const upgrade = defineCommand({
  name: "upgrade",
  summary: "upgrade guests by apt, one after the other, each into its new kernel",
  hosts: "in-turn",
  about: `Upgrades the packages of guests, and reboots those that a new kernel waits for. A guest that works for others is drained before (it gets no new work, and finishes what it has) and put back after. The first guest that had anything to upgrade is the canary: it must come up good, and finish a build or stay well for a while, before the others go. A guest that does not come up with its new kernel, or is lost, stops it all: no further one is touched, and what works goes back to work.

It may be interrupted (Ctrl-C) or killed at any time: the same command, or --resume, goes on where it was. One at a time runs on a machine. What apt printed is in 'bootshare logs NAME --source upgrade'.`,
  arguments: [["[name...]", "names or UUIDs of guests, in the order in which they are upgraded"]],
  options: [
    { flags: "--all", text: "all guests that run, by name" },
    { flags: "--rolling <count>", text: `at most so many are away at once (default ${DEFAULTS.rolling})` },
    { flags: "--drain", text: "wait for what a guest is at before it is upgraded (default)" },
    { flags: "--no-drain", text: "do not: what it is building is lost when it reboots" },
    {
      flags: "--canary-time <seconds>",
      text: `how long the first one stays well before the others go, unless it finishes a build (default ${DEFAULTS.canaryTime})`,
    },
    {
      flags: "--drain-timeout <seconds>",
      text: `how long to wait for what a guest is at (default ${DEFAULTS.drainTimeout})`,
    },
    {
      flags: "--apt-timeout <seconds>",
      text: `how long apt may take in a guest (default ${DEFAULTS.aptTimeout})`,
    },
    { flags: "--dry-run", text: "say which guests in which order, and change nothing" },
    { flags: "--status", text: "how far the upgrade is that is under way, or how the last one came out" },
    { flags: "--resume", text: "go on with one that was interrupted" },
    { flags: "--abandon", text: "end one that was interrupted: upgrade nobody more, put back what works" },
    JSON_OPTION,
  ],
  examples: [
    ["bootshare upgrade worker1", "one guest"],
    ["bootshare upgrade --all --rolling 2", "all of them, two at a time once the first has passed"],
    ["bootshare upgrade --status", "how that goes, from another terminal"],
  ],
  schema: z.object({
    all: z.boolean().default(false),
    rolling: z.coerce.number({ error: "a number of guests" }).int().min(1).default(DEFAULTS.rolling),
    drain: z.boolean().default(true),
    canaryTime: seconds(DEFAULTS.canaryTime, 0),
    drainTimeout: seconds(DEFAULTS.drainTimeout),
    aptTimeout: seconds(DEFAULTS.aptTimeout),
    dryRun: z.boolean().default(false),
    status: z.boolean().default(false),
    resume: z.boolean().default(false),
    abandon: z.boolean().default(false),
    json: z.boolean().default(false),
  }),
  action: async (names, options) => {
    const { all, status, resume, abandon, dryRun, json } = options;
    const given = [names.length > 0, all, status, resume, abandon].filter(Boolean).length;
    if (given !== 1) {
      throw new UserError("USAGE", "Give names of guests, or one of --all, --status, --resume, --abandon.", {
        exitCode: EXIT.usage,
        hint: "'bootshare upgrade --help' says what each does.",
      });
    }
    if (dryRun && !all && names.length === 0) {
      throw new UserError("USAGE", "--dry-run goes with names of guests or --all.", { exitCode: EXIT.usage });
    }
    if (status) return showStatus(json);
    if (resume || abandon) return await carry({ do: resume ? "resume" : "abandon" }, [], json);
    const { guests, omitted } = await chooseGuests(names, all);
    if (dryRun) return await showPlan(guests, omitted, options);
    const { rolling, drain, canaryTime, drainTimeout, aptTimeout } = options;
    const times = { canarySeconds: canaryTime, drainSeconds: drainTimeout, aptSeconds: aptTimeout };
    return await carry({ do: "begin", guests, all, options: { rolling, drain, ...times } }, omitted, json);
  },
});

/** @returns undefined when all went well @throws {UserError} with the reason that stopped it */
async function carry(wish: Wish, omitted: readonly Omitted[], json: boolean): Promise<undefined> {
  await noteService();
  const tell = (guest: string | undefined, sentence: string): void => {
    const line = guest === undefined ? sentence : `${guest}: ${sentence}`;
    process.stderr.write(`${localTime(new Date().toISOString())}  ${line}\n`);
  };
  for (const { name, why } of omitted) tell(name, `passed over: ${why}`);
  const rollout = await endedBySignals(
    async ({ signal }) => await upgradeGuests(wish, signal, tell).catch(interruption),
    (signal) => new UserError("INTERRUPTED", `The upgrade was interrupted (${signal}).`),
  );
  if (rollout instanceof UserError) throw rollout;
  if (json) printJson({ ...documentOf(rollout), omitted });
  else if (rollout.guests.length === 0) printLines(["There is no guest to upgrade."]);
  else printLines(rolloutRows(rollout));
  const { stopped } = rollout;
  if (wish.do === "abandon") {
    const left = notPutBack(rollout);
    if (left !== undefined) throw left;
    return undefined;
  }
  if (stopped === undefined) return undefined;
  throw new UserError(stopped.code, stopped.sentence, {
    exitCode: stopped.exitCode ?? EXIT.failed,
    ...(stopped.hint === undefined ? {} : { hint: stopped.hint }),
    ...(stopped.detail === undefined ? {} : { detail: stopped.detail }),
  });
}

/** What says which guests are out of service meanwhile, and not only which signal it was. @throws anything else */
function interruption(error: unknown): UserError {
  if (error instanceof UserError && error.code === "UPGRADE_INTERRUPTED") return error;
  throw error;
}

/** The error of a roll-out that is over, where a guest that it had drained could not be put back. */
export function notPutBack({ guests }: Rollout): UserError | undefined {
  const left = guests.filter(({ phase, drained }) => phase === "failed" && drained);
  const [first] = left;
  if (first === undefined) return undefined;
  const [names, get] = [left.map(({ name }) => name).join(", "), left.length === 1 ? "gets" : "get"];
  const why = first.problem === undefined ? "." : `: ${first.problem.sentence}`;
  return new UserError("STILL_DRAINED", `${names} could not be put back, and ${get} no work${why}`, {
    hint: left.map(({ name }) => `bootshare undrain ${name}`).join("; "),
  });
}

function showStatus(json: boolean): undefined {
  const rollout = readRollout();
  const running = isRolloutRunning();
  if (json) printJson(rollout === undefined ? null : { ...documentOf(rollout), running });
  else if (rollout === undefined) printLines(["Nothing was upgraded by 'bootshare upgrade' yet."]);
  else printLines([...rolloutLines(rollout, running), "", ...rolloutRows(rollout)]);
  return undefined;
}

/** How a roll-out stands, in sentences. */
export function rolloutLines({ started, ended, stopped }: Rollout, running: boolean): string[] {
  const stand =
    ended !== undefined
      ? `ended ${localTime(ended)}`
      : running
        ? "is under way"
        : "was interrupted: 'bootshare upgrade --resume' goes on, '--abandon' ends it";
  return [
    `The upgrade that began ${localTime(started)} ${stand}.`,
    ...(stopped === undefined ? [] : [`It was stopped: ${stopped.sentence}`]),
  ];
}

/** A row for each guest. */
export function rolloutRows({ guests }: Rollout): string[] {
  const rows = guests.map((guest) => [guest.name, guest.phase, guest.canary ? "canary" : "", whatOf(guest)]);
  return table([["GUEST", "PHASE", "", "WHAT"], ...rows]).map((line) => line.trimEnd());
}

function whatOf({ result, before, expected, problem, phase, drained }: GuestRecord): string {
  const out = drained && (phase === "failed" || phase === "done") ? "; out of service" : "";
  if (problem !== undefined) return `${problem.sentence}${out}`;
  if (result === "rebooted") return `${before?.release ?? "?"} -> ${expected?.release ?? "?"}${out}`;
  if (result === "upgraded" && expected !== undefined && phase !== "rebooting")
    return `upgraded; ${expected.release} waits for a reboot`;
  return result === undefined ? "" : result.replaceAll("-", " ");
}

/** A roll-out as `--json` has it. */
export function documentOf({ id, started, ended, stopped, rolling, drain, canarySeconds, guests }: Rollout) {
  return {
    id,
    started,
    ended: ended ?? null,
    stopped:
      stopped === undefined
        ? null
        : { at: stopped.at, guest: stopped.guest, code: stopped.code, sentence: stopped.sentence },
    rolling,
    drain,
    canaryTime: canarySeconds,
    guests: guests.map(
      ({ name, uuid, phase, since, canary, drained, result, before, expected, problem }) => ({
        name,
        uuid,
        phase,
        since,
        canary,
        drained,
        result: result ?? null,
        before: before?.release ?? null,
        kernel: expected?.release ?? null,
        problem: problem === undefined ? null : { code: problem.code, sentence: problem.sentence },
      }),
    ),
  };
}

async function showPlan(
  guests: readonly Guest[],
  omitted: readonly Omitted[],
  { rolling, drain, json }: { rolling: number; drain: boolean; json: boolean },
): Promise<undefined> {
  const plans = [];
  for (const guest of guests) {
    const view = look(guest);
    const { name, uuid, boot, kernel } = summaryOf(view);
    const next = nextOf(survey(view.paths, await definitionOf(view)).selection);
    plans.push({ name, uuid, boot, kernel, next: next?.release ?? null });
  }
  if (json) printJson({ rolling, drain, guests: plans, omitted });
  else {
    const rows = plans.map(({ name, boot, kernel, next }, i) => [
      String(i + 1),
      name,
      boot,
      kernel ?? "-",
      next ?? "-",
    ]);
    printLines(table([["", "GUEST", "BOOT", "RUNS", "BOOTS NEXT"], ...rows]));
    printLines(omitted.map(({ name, why }) => `${name} is passed over: ${why}.`));
    const many = rolling === 1 ? "One" : `Up to ${rolling}`;
    printLines([
      "",
      `${many} at a time would be ${drain ? "drained and " : ""}upgraded by apt, and rebooted`,
      "where a new kernel came. The first that has anything to upgrade goes alone.",
      "Whether there is anything, apt in each guest says then.",
    ]);
  }
  return undefined;
}
