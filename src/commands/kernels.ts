import { z } from "zod";
import { type Assessment, assessPair, DEFAULT_TRIES, type PairAssessment } from "../boot/assess.ts";
import { lookAtNext } from "../boot/look-next.ts";
import { readPolicy } from "../boot/policy.ts";
import { survey } from "../boot/prepare.ts";
import type { Candidate, Selection } from "../boot/select.ts";
import { bootTimeout } from "../boot/timeout.ts";
import { EXIT, UserError } from "../errors.ts";
import { definitionOf, findGuest, type Guest, look } from "../guest/inventory.ts";
import { changeRules, pinKernel, unpinKernel } from "../guest/pin.ts";
import type { Catalogue, KernelPair } from "../kernel/catalogue.ts";
import { describeLayout } from "../kernel/features.ts";
import { printable } from "../text.ts";
import { defineCommand, JSON_OPTION } from "./command.ts";
import { ENTRIES_HELP, entryLines, entryRows } from "./entries.ts";
import { bytes, printJson, printLines, table } from "./output.ts";
import { BOOT_TIMEOUT_OPTION, bootTimeoutSchema, TRIES_OPTION, triesSchema } from "./shared.ts";
import { skippedOf } from "./skipped.ts";

export const kernels = defineCommand({
  name: "kernels",
  summary: "what is in a guest's /boot, what runs, what boots next and why; pins a kernel",
  about: `Shows the kernels of a guest and how each stands: good, bad (its tries are spent), or how many tries it has left. With an option it changes what boots from the next start on; nothing is rebooted. A kernel that is pinned has all its tries again. ${ENTRIES_HELP}`,
  arguments: [["<name>", "name or UUID of the guest"]],
  options: [
    { flags: "--pin <release>", text: "boot this kernel while it can be booted" },
    { flags: "--unpin", text: "boot what the guest's /boot says" },
    TRIES_OPTION,
    BOOT_TIMEOUT_OPTION,
    JSON_OPTION,
  ],
  examples: [["bootshare kernels worker1 --pin 6.12.48+deb13-amd64", "stay on that kernel"]],
  schema: z.object({
    pin: z.string().optional(),
    unpin: z.boolean().default(false),
    tries: triesSchema,
    bootTimeout: bootTimeoutSchema,
    json: z.boolean().default(false),
  }),
  action: async ([name = ""], { pin, unpin, tries, bootTimeout: seconds, json }) => {
    const guest = await findGuest(name);
    if (pin !== undefined && unpin) {
      throw new UserError("USAGE", "--pin and --unpin exclude each other.", { exitCode: EXIT.usage });
    }
    await changeRules(guest, { tries, bootTimeout: seconds });
    if (pin !== undefined) await pinKernel(guest, pin);
    if (unpin) await unpinKernel(guest);
    const document = await kernelsDocument(guest);
    if (json) printJson(document);
    else printLines(kernelsLines(document));
    return undefined;
  },
});

async function kernelsDocument(guest: Guest) {
  const view = look(guest);
  const definition = await definitionOf(view);
  const { catalogue, selection: surveyed } = survey(view.paths, definition);
  const { current, good, goodIds, pairsOfFiles } = view.state;
  const { selection, initrd } = lookAtNext(view.paths.share, surveyed, definition, {
    wasGood: ({ files }) => goodIds.has(pairsOfFiles.get(files) ?? ""),
  });
  const { pin, tries = DEFAULT_TRIES, bootTimeout: limit } = readPolicy(view.paths);
  const running = view.status.state === "shut off" || current === undefined ? null : current.pair.release;
  return {
    name: printable(view.name),
    uuid: view.uuid,
    arch: definition.arch,
    running: running === null ? null : printable(running),
    lastGood: good === undefined ? null : printable(good.release),
    pin: pin === undefined ? null : printable(pin),
    tries,
    bootTimeout: bootTimeout(limit, definition.accel, false) ?? null,
    next: nextOf(selection),
    reshape: reshapeOf(selection),
    initrd: initrd ?? null,
    kernels: kernelRows(catalogue, ({ files }) => assessPair(view.state, pairsOfFiles.get(files), tries)),
    links: linkRows(catalogue),
    entries: entryRows(catalogue),
    skipped: skippedOf(selection.skipped),
  };
}

function kernelsLines(document: Awaited<ReturnType<typeof kernelsDocument>>): string[] {
  const { next, reshape, initrd, skipped } = document;
  return [
    ...catalogueLines(document.kernels, document.links, (row) => marks(row, document)),
    ...entryLines(document.entries),
    "",
    ...(reshape === null
      ? [next === null ? "Nothing here can be booted:" : `Boots next: ${next.release}: ${next.why}`]
      : [
          `Boots next: ${reshape.release}: ${reshape.why}`,
          `  ${reshapeSentence(reshape)}`,
          `  ${untilThen(next)}`,
        ]),
    ...(initrd === null ? [] : [`  ${initrd}`]),
    ...((reshape ?? next)?.notes ?? []).map((text) => `  ${text}`),
    ...skipped.map(({ release, reason }) => `  ${release}: ${reason}`),
  ];
}

interface Next {
  readonly release: string;
  readonly source: string;
  readonly why: string;
  /** Sentences on what is not known of it, or will not work although it boots. */
  readonly notes: readonly string[];
}

/** The first candidate, made printable. */
export function nextOf(selection: Selection): Next | null {
  const [first] = selection.candidates;
  return first === undefined ? null : candidateDocument(first);
}

function candidateDocument({ release, source, why, notes }: Candidate): Next {
  return {
    release: printable(release),
    source,
    why: printable(why, 300),
    notes: notes.map((text) => printable(text, 500)),
  };
}

/** The kernel that the domain must be changed for, before it boots. */
export interface ReshapeDocument extends Next {
  /** Where the devices will be, in words. */
  readonly layout: string;
  readonly reason: string;
}

export function reshapeOf({ reshape }: Selection): ReshapeDocument | null {
  if (reshape === undefined) return null;
  return {
    ...candidateDocument(reshape.candidate),
    layout: describeLayout(reshape.layout),
    reason: printable(reshape.reason, 500),
  };
}

/** Why the domain is changed, and who does it. */
export function reshapeSentence({ release, reason }: ReshapeDocument): string {
  return `${release} ${reason}. The domain is changed when bootshare or its service next starts it.`;
}

/** What a start by others (virsh, autostart) comes to before that. */
export function untilThen(next: Next | null): string {
  return next === null
    ? "Until then nothing boots: 'virsh start' is refused."
    : `Until then ${next.release} boots: ${next.why}.`;
}

function marks(
  { release, complete, assessment, triesLeft }: KernelRow,
  document: {
    running: string | null;
    lastGood: string | null;
    pin: string | null;
    next: Next | null;
    reshape: ReshapeDocument | null;
  },
): string {
  const words = [];
  if (document.running === release) words.push("running");
  if (document.lastGood === release) words.push("last good");
  if (document.pin === release) words.push("pinned");
  if ((document.reshape ?? document.next)?.release === release) words.push("next");
  if (assessment === "bad") words.push("bad");
  if (assessment === "indeterminate" && complete && triesLeft !== null) {
    words.push(triesLeft === 1 ? "1 try left" : `${triesLeft} tries left`);
  }
  return words.join(", ");
}

export interface KernelRow {
  readonly release: string;
  readonly kernel: string;
  readonly initrd: string | null;
  /** Bytes. */
  readonly kernelSize: number;
  readonly initrdSize: number | null;
  readonly complete: boolean;
  /** A new initrd for it is being written. */
  readonly writing: boolean;
  /** How the boots of these very files came out; null where no guest boots them. */
  readonly assessment: Assessment | null;
  /** null where no guest boots them, and for what was good. */
  readonly triesLeft: number | null;
  readonly reasons: readonly string[];
}

/**
 * The kernels of a catalogue as `--json` shows them, newest first; every text printable.
 *
 * @param assess how a pair's boots came out, where it belongs to a guest
 */
export function kernelRows(
  catalogue: Catalogue | undefined,
  assess?: (pair: KernelPair) => PairAssessment,
): KernelRow[] {
  return (catalogue?.kernels ?? []).map((pair) => kernelRow(pair, assess?.(pair)));
}

function kernelRow(pair: KernelPair, assessed: PairAssessment | undefined): KernelRow {
  return {
    release: printable(pair.release),
    kernel: printable(pair.kernel),
    initrd: pair.initrd === undefined ? null : printable(pair.initrd),
    kernelSize: pair.kernelSize,
    initrdSize: pair.initrd === undefined ? null : pair.initrdSize,
    complete: pair.complete,
    writing: pair.writing,
    assessment: assessed?.assessment ?? null,
    triesLeft: assessed === undefined || assessed.assessment === "good" ? null : assessed.triesLeft,
    reasons: pair.reasons.map((reason) => printable(reason, 500)),
  };
}

export interface LinkRow {
  readonly name: string;
  readonly target: string | null;
  readonly problem: string | null;
}

export function linkRows(catalogue: Catalogue | undefined): LinkRow[] {
  return [catalogue?.links.kernel, catalogue?.links.initrd].flatMap((link) =>
    link === undefined
      ? []
      : [
          {
            name: link.name,
            target: link.target === undefined ? null : printable(link.target),
            problem: link.problem === undefined ? null : printable(link.problem, 500),
          },
        ],
  );
}

/** A table of kernels and a line for each link. */
export function catalogueLines(
  rows: readonly KernelRow[],
  links: readonly LinkRow[],
  marksOf: (row: KernelRow) => string = () => "",
): string[] {
  if (rows.length === 0) return ["There is no kernel in it."];
  const cells = rows.map((row) => [
    row.release,
    bytes(row.kernelSize),
    row.initrdSize === null ? "-" : bytes(row.initrdSize),
    row.complete ? (row.writing ? "complete, new initrd coming" : "complete") : "incomplete",
    marksOf(row),
  ]);
  return [
    ...table([["RELEASE", "KERNEL", "INITRD", "PAIR", ""], ...cells]).map((line) => line.trimEnd()),
    ...links.map(
      ({ name, target, problem }) => `${name} -> ${target ?? "?"}${problem === null ? "" : `  (${problem})`}`,
    ),
  ];
}
