import { z } from "zod";
import { survey } from "../boot/prepare.ts";
import type { Candidate, Selection } from "../boot/select.ts";
import { definitionOf, findGuest, look } from "../guest/inventory.ts";
import type { Catalogue } from "../kernel/catalogue.ts";
import { describeLayout } from "../kernel/features.ts";
import { printable } from "../text.ts";
import { defineCommand, JSON_OPTION } from "./command.ts";
import { ENTRIES_HELP, entryLines, entryRows } from "./entries.ts";
import { bytes, printJson, printLines, table } from "./output.ts";

export const kernels = defineCommand({
  name: "kernels",
  summary: "what is in a guest's /boot, what runs, what boots next and why",
  about: `What is in a guest's /boot, what runs, what boots next and why. ${ENTRIES_HELP}`,
  arguments: [["<name>", "name or UUID of the guest"]],
  options: [JSON_OPTION],
  schema: z.object({ json: z.boolean().default(false) }),
  action: async ([name = ""], { json }) => {
    const view = look(await findGuest(name));
    const definition = await definitionOf(view);
    const { catalogue, selection } = survey(view.paths, definition);
    const { current, good } = view.state;
    const running = view.status.state === "shut off" || current === undefined ? null : current.pair.release;
    const document = {
      name: view.name,
      uuid: view.uuid,
      arch: definition.arch,
      running: running === null ? null : printable(running),
      lastGood: good === undefined ? null : printable(good.release),
      next: nextOf(selection),
      reshape: reshapeOf(selection),
      kernels: kernelRows(catalogue),
      links: linkRows(catalogue),
      entries: entryRows(catalogue),
      skipped: selection.skipped.map(({ release, reason }) => ({
        release: printable(release),
        reason: printable(reason, 500),
      })),
    };
    if (json) printJson(document);
    else {
      printLines([
        ...catalogueLines(document.kernels, document.links, (release) => marks(release, document)),
        ...entryLines(document.entries),
      ]);
      const { next, reshape } = document;
      printLines([
        "",
        ...(reshape === null
          ? [next === null ? "Nothing here can be booted:" : `Boots next: ${next.release}: ${next.why}`]
          : [
              `Boots next: ${reshape.release}: ${reshape.why}`,
              `  ${reshapeSentence(reshape)}`,
              `  ${untilThen(next)}`,
            ]),
        ...(next?.notes ?? []).map((text) => `  ${text}`),
      ]);
      printLines(document.skipped.map(({ release, reason }) => `  ${release}: ${reason}`));
    }
    return undefined;
  },
});

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
  release: string,
  document: {
    running: string | null;
    lastGood: string | null;
    next: Next | null;
    reshape: ReshapeDocument | null;
  },
): string {
  const words = [];
  if (document.running === release) words.push("running");
  if (document.lastGood === release) words.push("last good");
  if ((document.reshape ?? document.next)?.release === release) words.push("next");
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
  readonly reasons: readonly string[];
}

/** The kernels of a catalogue as `--json` shows them, newest first; every text printable. */
export function kernelRows(catalogue: Catalogue | undefined): KernelRow[] {
  return (catalogue?.kernels ?? []).map((pair) => ({
    release: printable(pair.release),
    kernel: printable(pair.kernel),
    initrd: pair.initrd === undefined ? null : printable(pair.initrd),
    kernelSize: pair.kernelSize,
    initrdSize: pair.initrd === undefined ? null : pair.initrdSize,
    complete: pair.complete,
    writing: pair.writing,
    reasons: pair.reasons.map((reason) => printable(reason, 500)),
  }));
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
  marksOf: (release: string) => string = () => "",
): string[] {
  if (rows.length === 0) return ["There is no kernel in it."];
  const cells = rows.map((row) => [
    row.release,
    bytes(row.kernelSize),
    row.initrdSize === null ? "-" : bytes(row.initrdSize),
    row.complete ? (row.writing ? "complete, new initrd coming" : "complete") : "incomplete",
    marksOf(row.release),
  ]);
  return [
    ...table([["RELEASE", "KERNEL", "INITRD", "PAIR", ""], ...cells]).map((line) => line.trimEnd()),
    ...links.map(
      ({ name, target, problem }) => `${name} -> ${target ?? "?"}${problem === null ? "" : `  (${problem})`}`,
    ),
  ];
}
