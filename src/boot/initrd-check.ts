/**
 * Checks the content of an initrd before it is booted: whether it is whole, and brings this domain to its root file system.
 * What was found in a stored one is kept by the pair's id, which names its bytes, so that each is unpacked once.
 */
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { UserError } from "../errors.ts";
import type { DomainMachine } from "../kernel/features.ts";
import type { InitrdFacts } from "../kernel/initrd-facts.ts";
import { type InitrdVerdict, judgeInitrd } from "../kernel/initrd-verdict.ts";
import type { GuestPaths } from "../paths.ts";
import { factsSchema, type LookOptions, lookIntoInitrd } from "../preflight/run.ts";
import { asOwner, openBootFile } from "../share/folder.ts";
import { printable } from "../text.ts";
import type { Pair } from "./events.ts";
import { replaceFile } from "./replace-file.ts";
import type { ShareCandidate } from "./select.ts";

/** The version of the file. What another version wrote is found out anew. */
const SCHEMA = 1;
/** Initrds that are remembered: more than a guest has kernels, and a few kilobytes each. */
const MOST = 16;

const knownSchema = z.object({
  schema: z.literal(SCHEMA),
  /** Newest first. */
  initrds: z.array(z.object({ pair: z.string(), facts: factsSchema })).max(MOST),
});
type Known = z.infer<typeof knownSchema>["initrds"];

/**
 * Checks the initrd of a pair in the store.
 *
 * @param machine the domain as it will be started
 * @returns sentences on what is not known, or will be missed; printable
 * @throws {UserError} `PAIR_UNFIT` when it would not bring the guest up
 */
export function checkStoredInitrd(
  paths: GuestPaths,
  pair: Pair,
  machine: DomainMachine,
  options: LookOptions = {},
): readonly string[] {
  const known = readKnown(paths);
  let facts = known.find((one) => one.pair === pair.id)?.facts;
  if (facts === undefined) {
    const fd = openSync(join(paths.pairs, pair.id, "initrd.img"), "r");
    try {
      const looked = lookIntoInitrd(fd, options);
      if (!looked.ok) return [notLookedInto(pair.initrd, looked.reason)];
      facts = looked.facts;
      if (looked.lasting) remember(paths, known, pair.id, facts);
    } finally {
      closeSync(fd);
    }
  }
  const verdict = judgeInitrd(facts, pair, machine);
  if (verdict.ok) return verdict.notes;
  throw new UserError("PAIR_UNFIT", `${pair.initrd} cannot be booted: it ${verdict.reason}.`);
}

/** What a look at an initrd in a share came to. */
export interface ShareInitrd {
  /** Undefined where it could not be looked into. */
  readonly facts: InitrdFacts | undefined;
  readonly verdict: InitrdVerdict;
}

/**
 * Looks into the initrd of a candidate where it lies, for a person who asks; a start looks into its own copy.
 *
 * @param machine undefined where there is none to fit
 * @throws {UserError} as `openBootFile`
 */
export function checkShareInitrd(
  share: string,
  candidate: ShareCandidate,
  machine: DomainMachine | undefined,
  options: LookOptions = {},
): ShareInitrd {
  const { fd } = asOwner(share, () => openBootFile(share, candidate.initrd));
  try {
    const looked = lookIntoInitrd(fd, options);
    if (looked.ok) return { facts: looked.facts, verdict: judgeInitrd(looked.facts, candidate, machine) };
    return {
      facts: undefined,
      verdict: { ok: true, notes: [notLookedInto(candidate.initrd, looked.reason)] },
    };
  } finally {
    closeSync(fd);
  }
}

function notLookedInto(initrd: string, reason: string): string {
  return `${printable(initrd)} could not be looked into: ${reason}.`;
}

function readKnown(paths: GuestPaths): Known {
  try {
    return knownSchema.parse(JSON.parse(readFileSync(paths.initrds, "utf8"))).initrds;
  } catch {
    return [];
  }
}

function remember(paths: GuestPaths, known: Known, pair: string, facts: InitrdFacts): void {
  const document = { schema: SCHEMA, initrds: [{ pair, facts }, ...known].slice(0, MOST) };
  try {
    replaceFile(paths.initrds, `${JSON.stringify(document)}\n`);
  } catch {
    // A full disk must not keep a guest from starting; it is looked into again the next time.
  }
}
