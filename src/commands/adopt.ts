import { resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { z } from "zod";
import { EXIT, UserError } from "../errors.ts";
import { adopt as adoptDomain, finishAdoption } from "../guest/adopt/adopt.ts";
import {
  byAgent,
  bySsh,
  installParts,
  parseSshTarget,
  type WayIn,
  waitForWayIn,
} from "../guest/adopt/parts.ts";
import {
  type AdoptionPlan,
  findSubject,
  type HookPlan,
  planAdoption,
  planHook,
  type Subject,
} from "../guest/adopt/plan.ts";
import { planUndo, type UndoPlan, undo as undoAdoption } from "../guest/adopt/undo.ts";
import { requireHook } from "../guest/create.ts";
import { definitionOf, findGuest, type Guest } from "../guest/inventory.ts";
import { startGuest, waitForGood } from "../guest/life.ts";
import { withAdoptLock } from "../guest/lock.ts";
import { WHY_DANGEROUS } from "../libvirt/others-hook.ts";
import { OTHERS_HOOK, OTHERS_HOOK_KEPT } from "../paths.ts";
import { buildGuestPackage } from "../provision/guest-package.ts";
import { TRANSPORTS } from "../share/transports.ts";
import { printable } from "../text.ts";
import { defineCommand, JSON_OPTION } from "./command.ts";
import { nextOf, reshapeOf, reshapeSentence } from "./kernels.ts";
import { bytes, printJson, printLines, table } from "./output.ts";
import { note, noteService, timeoutOption, timeoutSchema } from "./shared.ts";

/** Seconds that a guest gets to come up, and then to be good. */
const TIMEOUT_S = 900;

export const adopt = defineCommand({
  name: "adopt",
  summary: "make a guest of a domain that somebody else made, and back",
  about: [
    "Takes over a domain of libvirt's that boots a kernel from a folder of the host, shared into it as /boot with the tag",
    "virtio-boot (9p, mapped, or virtiofs): made by hand, or a virt-clone copy of a guest. Its /boot is copied into a guest's",
    "folder, the domain gets the hook's kernel and initrd, a boot report and our metadata; disks, network, machine, name and UUID",
    "stay. What it was is kept, and --undo puts it back whole, with the /boot that it has by then. Without --yes it shows all that and asks.",
    "\n\nUntil the parts that report boots are in it (--ssh, --agent, or the package of --deb) its boots are not judged, and it",
    "stays off after a reboot, as before. They may be put in later by the same command.",
  ].join(" "),
  arguments: [["[domain]", "name or UUID of the domain"]],
  options: [
    { flags: "--dry-run", text: "show what would be done, and do nothing" },
    { flags: "--yes", text: "do not ask" },
    { flags: "--undo", text: "give an adopted domain back as it was" },
    {
      flags: "--ssh <target>",
      text: "start it, and put in the parts that report its boots, over ssh with your own key: root@HOST[:PORT]",
    },
    { flags: "--agent", text: "the same through the guest's agent (qemu-guest-agent)" },
    { flags: "--deb <file>", text: "write these parts as a Debian package, and do nothing else" },
    { flags: "--keep-hook", text: `leave ${OTHERS_HOOK} in its place` },
    timeoutOption(TIMEOUT_S, "with --ssh and --agent: give up waiting"),
    JSON_OPTION,
  ],
  examples: [
    ["bootshare adopt armhf-vm --dry-run", "what would be changed, as a diff"],
    ["bootshare adopt armhf-vm --ssh root@192.0.2.7", "adopt it, start it, and have it report its boots"],
    ["bootshare adopt armhf-vm --undo", "as it was"],
    [
      "bootshare adopt --deb bootshare-guest.deb",
      "the package, for 'apt install ./bootshare-guest.deb' in the guest",
    ],
  ],
  schema: z.object({
    dryRun: z.boolean().default(false),
    yes: z.boolean().default(false),
    undo: z.boolean().default(false),
    ssh: z.string().optional(),
    agent: z.boolean().default(false),
    deb: z.string().optional(),
    keepHook: z.boolean().default(false),
    timeout: timeoutSchema(TIMEOUT_S),
    json: z.boolean().default(false),
  }),
  action: async ([name], options) => {
    if (options.deb !== undefined) {
      await buildGuestPackage(resolve(options.deb));
      printLines([`${printable(options.deb)} is written. In the guest: apt install ./bootshare-guest.deb`]);
      return undefined;
    }
    if (name === undefined) throw usage("There is no domain to adopt.");
    if (options.ssh !== undefined && options.agent) throw usage("--ssh and --agent: one of them is enough.");
    const target = options.ssh === undefined ? undefined : parseSshTarget(options.ssh);
    const subject = await findSubject(name);
    if (options.undo) {
      if (target !== undefined || options.agent) throw usage("--undo puts nothing into the guest.");
      await undoIt(subject, options);
      return undefined;
    }
    const adopted = await adoptIt(subject, options);
    if (!adopted || options.dryRun) return undefined;
    const way = (guest: Guest): WayIn | undefined =>
      target !== undefined ? bySsh(target) : options.agent ? byAgent(guest) : undefined;
    await putPartsIn(subject.uuid, way, options);
    return undefined;
  },
});

interface Options {
  readonly dryRun: boolean;
  readonly yes: boolean;
  readonly keepHook: boolean;
  readonly json: boolean;
  readonly timeout: number;
}

/** @returns false when the person said no */
async function adoptIt(subject: Subject, options: Options): Promise<boolean> {
  if (subject.standing.kind === "adopted") {
    const hook = options.keepHook ? undefined : await planHook(subject.domain);
    const name = printable(subject.name);
    const goOn = subject.standing.record.phase !== "adopted" || hook?.others.length === 0;
    if (!options.json) printLines([`${name} is adopted already.`, ...hookLines(hook, false)]);
    const document = { name, uuid: subject.uuid, adopted: true, hook: hookDocument(hook) };
    if (!options.dryRun && goOn) {
      await withAdoptLock(
        async () => await finishAdoption(await findSubject(subject.uuid), options.keepHook, say(options)),
      );
    }
    if (options.json) printJson(document);
    return true;
  }
  const plan = await planAdoption(subject);
  if (!options.json) printLines(adoptLines(plan, options.keepHook));
  if (options.dryRun) {
    if (options.json) printJson(adoptDocument(plan, false));
    else printLines(["", "Nothing was changed."]);
    return true;
  }
  await requireHook();
  if (!(await confirm(options, `Adopt ${printable(subject.name)}?`))) return false;
  await noteService();
  await withAdoptLock(async () => {
    // What was shown may be old by now: a person has thought about it.
    const present = await planAdoption(await findSubject(subject.uuid));
    await adoptDomain(present, options.keepHook, say(options));
  });
  if (options.json) printJson(adoptDocument(plan, true));
  else {
    const name = printable(subject.name);
    printLines([
      `${name} is adopted. Start it with 'bootshare start ${name}'; 'bootshare adopt ${name} --undo' puts it back.`,
    ]);
  }
  return true;
}

async function undoIt(subject: Subject, options: Options): Promise<void> {
  const plan = await planUndo(subject);
  const name = printable(subject.name);
  if (!options.json) printLines(undoLines(plan));
  if (options.dryRun) {
    if (options.json) printJson(undoDocument(plan));
    else printLines(["", "Nothing was changed."]);
    return;
  }
  if (!(await confirm(options, `Give ${name} back?`))) return;
  const notes = await withAdoptLock(
    async () => await undoAdoption(await planUndo(await findSubject(subject.uuid)), say(options)),
  );
  for (const text of notes) note(text);
  if (options.json) printJson(undoDocument(plan));
  else printLines([`${name} is as it was; its folder ${subject.paths.dir} is removed.`]);
}

/** Starts the guest where it is off, puts the parts in, and waits for the first boot that is good. */
async function putPartsIn(
  uuid: string,
  wayOf: (guest: Guest) => WayIn | undefined,
  { timeout, json }: Options,
): Promise<void> {
  const timeoutMs = timeout * 1000;
  const tell = (line: string): void => {
    if (!json) printLines([line]);
  };
  const guest = await findGuest(uuid);
  const way = wayOf(guest);
  if (way === undefined) return;
  if (guest.status.state === "shut off") await startGuest(guest, note);
  tell(`Waiting for ${way.name}`);
  await waitForWayIn(way, timeoutMs);
  const { transport } = await definitionOf(guest);
  if (transport === undefined) throw new Error("an adopted guest has no share");
  for (const advice of await installParts(guest, way, TRANSPORTS[transport])) note(advice);
  tell("The parts that report its boots are in it; waiting until this boot is good.");
  const view = await waitForGood(await findGuest(uuid), timeoutMs);
  tell(
    `${printable(guest.name)} is up with ${printable(view.state.current?.reported ?? "?")}, and its boots are judged from now on.`,
  );
}

/** Tells progress as it is made, where a person reads. */
function say({ json }: Options): (title: string) => void {
  return (title) => {
    if (!json) printLines([`› ${title}`]);
  };
}

async function confirm({ yes, json }: Options, question: string): Promise<boolean> {
  if (yes) return true;
  if (json || process.stdin.isTTY !== true)
    throw usage("There is nobody to ask whether to go on; nothing was changed.", "Say it beforehand: --yes");
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    if (/^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim())) return true;
  } finally {
    terminal.close();
  }
  printLines(["Nothing was changed."]);
  return false;
}

function usage(sentence: string, hint = "'bootshare adopt --help' has examples."): UserError {
  return new UserError("USAGE", sentence, { exitCode: EXIT.usage, hint });
}

function adoptLines(plan: AdoptionPlan, keepHook: boolean): string[] {
  const { subject, share, transport, copyOf, next, hook, diff } = plan;
  const { dir, adoptedXml } = subject.paths;
  const best = nextOf(next.selection);
  const reshape = reshapeOf(next.selection);
  const boots = reshape ?? best;
  const rows = [
    ["Domain", `${printable(subject.name)} (${subject.uuid})`],
    [
      "/boot",
      `${printable(share.from)} (${transport}, ${share.files} files, ${bytes(share.bytes)}) is copied to ${share.to}; the folder itself stays as it is`,
    ],
    ["Boots next", boots === null ? "nothing" : `${boots.release}: ${boots.why}`],
    ...(reshape === null ? [] : [["Machine", reshapeSentence(reshape)]]),
    ["Folder", `${dir}: /boot, kernels, boot report, ssh key${plan.serialLog ? ", console log" : ""}`],
    ["Kept", `its XML of now, in ${adoptedXml}`],
  ];
  if (!plan.serialLog)
    rows.push(["Note", "its first serial port is no PTY, so there is no log of its console"]);
  if (copyOf !== undefined) {
    rows.push(["Note", `it is a copy of the guest ${copyOf}, and gets a /boot, report and log of its own`]);
    rows.push([
      "Note",
      "its disk still has that guest's host name, machine-id and ssh host keys: change them in it",
    ]);
  }
  return [...table(rows), ...hookLines(hook, keepHook), "", ...diff.split("\n")];
}

function hookLines(hook: HookPlan | undefined, keepHook: boolean): string[] {
  if (hook === undefined) return [];
  const what = `The hook ${OTHERS_HOOK} makes the links through which such domains boot. It is dangerous: ${WHY_DANGEROUS}.`;
  if (keepHook) return ["", what, "It stays, as --keep-hook says; bootshare's guests do not need it."];
  if (hook.others.length > 0) {
    return ["", what, `It stays until these domains are adopted, too: ${hook.others.join(", ")}.`];
  }
  return [
    "",
    what,
    `It is put aside as ${OTHERS_HOOK_KEPT}, where libvirt does not run it. If it does anything else that you need, make that a file in ${OTHERS_HOOK}.d/.`,
  ];
}

function undoLines({ subject, back, hook }: UndoPlan): string[] {
  const name = printable(subject.name);
  const { dir } = subject.paths;
  if (back === undefined)
    return [`${name} is as it was; ${dir} of an adoption that was cut short is removed.`];
  const { record, diff } = back;
  const copied =
    record.copyOf === undefined
      ? `what it holds now is copied to ${printable(record.share)}`
      : `what it holds is given up: its old folder is that of the guest ${record.copyOf}`;
  return [
    ...table([
      ["Guest", `${name} (${subject.uuid})`],
      ["/boot", copied],
      ["Domain", `its XML of ${record.since} is put back; what was changed since is lost`],
      ["Folder", `${dir} is removed, with its history and the last good kernels`],
      ...(hook ? [["Hook", `${OTHERS_HOOK_KEPT} is ${OTHERS_HOOK} again`]] : []),
      [
        "Note",
        "in the guest stay the package bootshare-guest and bootshare's key in /root/.ssh/authorized_keys",
      ],
    ]),
    "",
    ...diff.split("\n"),
  ];
}

/** @param done whether it was carried out */
function adoptDocument(plan: AdoptionPlan, done: boolean): unknown {
  const { subject, share, transport, copyOf, next, hook, diff } = plan;
  return {
    name: printable(subject.name),
    uuid: subject.uuid,
    adopted: done,
    folder: subject.paths.dir,
    share: { ...share, from: printable(share.from), transport },
    copyOf: copyOf ?? null,
    next: nextOf(next.selection),
    reshape: reshapeOf(next.selection),
    hook: hookDocument(hook),
    diff,
  };
}

function hookDocument(hook: HookPlan | undefined): unknown {
  return hook === undefined ? null : { file: OTHERS_HOOK, kept: OTHERS_HOOK_KEPT, others: hook.others };
}

function undoDocument({ subject, back, hook }: UndoPlan): unknown {
  return {
    name: printable(subject.name),
    uuid: subject.uuid,
    adopted: false,
    share: back === undefined || back.record.copyOf !== undefined ? null : printable(back.record.share),
    hookBack: hook,
    diff: back?.diff ?? null,
  };
}
