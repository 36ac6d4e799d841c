/** Which kernel a guest boots next: a pure decision over what is in its share and what is known of its boots. */
import type { DebianArch } from "../kernel/arch.ts";
import type { Catalogue, KernelPair } from "../kernel/catalogue.ts";
import type { KernelConfig } from "../kernel/config.ts";
import type { DomainMachine, Layout, PairFacts } from "../kernel/features.ts";
import { judge, type Verdict } from "../kernel/verdict.ts";
import { printable } from "../text.ts";
import type { Pair, Source } from "./events.ts";

interface CandidateFacts {
  readonly release: string;
  readonly why: string;
  /** It has no tries left, and is better than no start at all. */
  readonly lastResort?: boolean;
  /** Sentences on what is not known of it, or will not work although it boots. Safe to show. */
  readonly notes: readonly string[];
}

/** A pair in the share that may be staged. */
export interface ShareCandidate extends CandidateFacts {
  readonly source: Exclude<Source, "good" | "provided">;
  /** Knows the pair again without reading it; a KernelPair's. */
  readonly files: string;
  /** File names in the share. */
  readonly kernel: string;
  readonly initrd: string;
  /** What the kernel's header says it is for. */
  readonly arches: readonly DebianArch[] | undefined;
  readonly config: KernelConfig | undefined;
}

/** A pair from the host's own store: the last good one, a pinned one, or what the guest was made with. */
export interface StoredCandidate extends CandidateFacts {
  readonly source: "good" | "provided" | "pin";
  readonly pair: Pair;
}

export type Candidate = ShareCandidate | StoredCandidate;

/** What was not considered, and why. */
interface Skipped {
  readonly release: string;
  readonly reason: string;
}

/** The best candidate where it is one that the domain must be changed for. */
export interface WantedReshape {
  readonly candidate: Candidate;
  readonly layout: Layout;
  /** A phrase that follows the release: "needs devices on …". Safe to show. */
  readonly reason: string;
}

export interface Selection {
  /**
   * What fits the domain as it is defined, best first; a later one is for when an earlier one turns out to be unfit while
   * it is copied.
   */
  readonly candidates: readonly Candidate[];
  /** What was not considered, and why; `(links)`, `(entries)` and `(share)` stand for what has no release. Printable. */
  readonly skipped: readonly Skipped[];
  /** Something better than all candidates, for which the domain must be put into another layout first. */
  readonly reshape: WantedReshape | undefined;
}

export interface SelectionInput {
  /** What is in the share; undefined when the share could not be read, with the reason in `shareProblem`. */
  readonly catalogue: Catalogue | undefined;
  readonly shareProblem?: string;
  /** A release that a person pinned. */
  readonly pin: string | undefined;
  /** The very pair of that release that is pinned, where it is in the host's store. */
  readonly pinPair?: Pair | undefined;
  readonly good: Pair | undefined;
  /** Says of `files` why that pair is bad: a phrase that follows the release; undefined while it has tries left. */
  readonly bad?: (files: string) => string | undefined;
  /** What the host put together for the first boot. */
  readonly provided?: Pair | undefined;
  /** The domain that they must fit; undefined where there is none, as for `inspect`. */
  readonly machine: DomainMachine | undefined;
}

/**
 * Orders the candidates: the pin, then what Debian's links name, then what the guest's boot loader entries do, then the
 * highest version, then the last good pair, or what the guest was made with while there is none. In the place of one that has
 * no tries left comes the last good pair; where nothing else is left, the best of those is better than a guest that nobody can
 * look into.
 * Only complete pairs are candidates: a kernel whose initrd is still being written is passed over with that reason. So is
 * one that does not fit the domain as it is defined; where the best would fit another layout, that is said apart.
 */
export function select(input: SelectionInput): Selection {
  const candidates: Candidate[] = [];
  const skipped: Skipped[] = [];
  const { catalogue, pin, pinPair, good, provided, machine } = input;
  const bad: ShareCandidate[] = [];
  /** Where the first of those would stand. */
  let badAt: number | undefined;
  const add = (candidate: ShareCandidate): void => {
    const reason = input.bad?.(candidate.files);
    const list = reason === undefined ? candidates : bad;
    if (list.some((one) => isOfShare(one) && one.files === candidate.files)) return;
    list.push(candidate);
    if (reason === undefined) return;
    badAt ??= candidates.length;
    skipped.push({ release: candidate.release, reason });
  };

  if (pinPair !== undefined) {
    candidates.push(stored("pin", pinPair, `${pinPair.release} is pinned, as it is in the host's store`));
  }

  if (catalogue === undefined) {
    skipped.push({ release: "(share)", reason: input.shareProblem ?? "the share could not be read" });
  } else {
    for (const pair of catalogue.kernels) {
      const verdict = verdictOf(pair);
      if (!pair.complete) skipped.push({ release: pair.release, reason: pair.reasons.join("; ") });
      else if (verdict.kind !== "fits") skipped.push({ release: pair.release, reason: verdict.reason });
    }
    if (pin !== undefined && pinPair === undefined) {
      const pinned = catalogue.kernels.find((pair) => pair.release === pin);
      if (pinned?.complete === true) addPair(pinned, "pin", `${pin} is pinned`);
      else if (pinned === undefined)
        skipped.push({ release: pin, reason: "it is pinned, and it is not in the guest's /boot" });
    }
    if (catalogue.linked !== undefined) {
      if (catalogue.linked.problem !== undefined)
        skipped.push({ release: "(links)", reason: catalogue.linked.problem });
      else addNamed(catalogue.linked, "links", "the links in the guest's /boot name it");
    }
    const { preferred, pair: named } = catalogue.loader ?? {};
    if (preferred !== undefined && named !== undefined) {
      if (named.problem !== undefined) skipped.push({ release: "(entries)", reason: named.problem });
      else addNamed(named, "entries", `the default entry in ${printable(preferred.file)} names it`);
    }
    const complete = catalogue.kernels.filter((pair) => pair.complete);
    // The highest may want another layout than the domain has; until it gets that, the highest that fits boots.
    for (const kinds of [["fits", "reshape"], ["fits"]]) {
      const highest = complete.find((pair) => kinds.includes(verdictOf(pair).kind));
      const which = highest === complete[0] ? "" : " that fit the machine";
      if (highest !== undefined)
        addPair(highest, "highest", `it has the highest version of the complete pairs${which}`);
    }
  }
  if (good !== undefined) {
    // A pinned release that has left the share still boots from the store, before anything that is not pinned.
    if (pin === good.release && candidates[0]?.source !== "pin") {
      const why = `${pin} is pinned, and only the copy of the last good pair is left`;
      candidates.unshift(stored("good", good, why));
    } else insteadOfBad(stored("good", good, "it is the last pair that was good"));
  } else if (provided !== undefined) {
    insteadOfBad(stored("provided", provided, "the guest has not made an initrd of its own yet"));
  }
  candidates.push(...bad.map(asLastResort));
  return fitting(candidates, skipped, machine);

  /** Before what is only next in line, where something better had no tries left; else at the end. */
  function insteadOfBad(candidate: StoredCandidate): void {
    candidates.splice(badAt ?? candidates.length, 0, candidate);
  }

  function verdictOf(pair: KernelPair): Verdict {
    return judge({ release: pair.release, arches: pair.image?.arches, config: pair.config }, machine);
  }

  function addPair(pair: KernelPair, source: ShareCandidate["source"], why: string): void {
    if (pair.initrd === undefined) return;
    const { release, kernel, initrd, files, config, configProblem } = pair;
    const notes = configProblem === undefined ? [] : [`${configProblem}.`];
    add({ source, release, kernel, initrd, files, arches: pair.image?.arches, config, why, notes });
  }

  function addNamed(linked: KernelPair, source: ShareCandidate["source"], why: string): void {
    if (linked.complete) addPair(linked, source, why);
    // dpkg makes the links before the initrd exists. A pair of the usual names is in `skipped` already.
    else if (!skipped.some(({ release }) => release === linked.release)) {
      skipped.push({ release: linked.release, reason: linked.reasons.join("; ") });
    }
  }
}

/** Sorts the ordered candidates by whether they fit. */
function fitting(
  ordered: readonly Candidate[],
  skipped: readonly Skipped[],
  machine: DomainMachine | undefined,
): Selection {
  const candidates: Candidate[] = [];
  const unfit: Skipped[] = [];
  let reshape: WantedReshape | undefined;
  for (const candidate of ordered) {
    const verdict = judge(factsOf(candidate), machine);
    if (verdict.kind === "fits") {
      candidates.push({ ...candidate, notes: [...candidate.notes, ...verdict.notes] });
      continue;
    }
    const { release } = candidate;
    const { reason } = verdict;
    const said = [...skipped, ...unfit].some((one) => one.release === release && one.reason === reason);
    if (!said) unfit.push({ release, reason });
    if (verdict.kind === "reshape" && candidates.length === 0 && reshape === undefined) {
      reshape = { candidate, layout: verdict.layout, reason };
    }
  }
  return { candidates, skipped: [...skipped, ...unfit], reshape };
}

function factsOf(candidate: Candidate): PairFacts {
  const { release } = candidate;
  if (!isOfShare(candidate)) return { release, config: candidate.pair.config };
  return { release, arches: candidate.arches, config: candidate.config };
}

function stored(source: StoredCandidate["source"], pair: Pair, why: string): StoredCandidate {
  return { source, release: pair.release, pair, why, notes: [] };
}

/** A candidate that has no tries left, for when nothing else can be booted. */
export function asLastResort(candidate: Candidate): Candidate {
  return { ...candidate, lastResort: true, why: "nothing else is left, although it was never good" };
}

/** Whether a candidate is still to be copied from the share. */
export function isOfShare(candidate: Candidate): candidate is ShareCandidate {
  return !("pair" in candidate);
}
