/** Which kernel a guest boots next: a pure decision over what is in its share and what is known of its boots. */
import type { Catalogue, KernelPair } from "../kernel/catalogue.ts";
import type { Pair, Source } from "./events.ts";

/** A pair in the share that may be staged. */
export interface ShareCandidate {
  readonly source: Exclude<Source, "good" | "provided">;
  readonly release: string;
  /** File names in the share. */
  readonly kernel: string;
  readonly initrd: string;
  readonly why: string;
}

/** The last good pair, or the one that the guest was made with, from the host's own store. */
export interface StoredCandidate {
  readonly source: "good" | "provided";
  readonly release: string;
  readonly pair: Pair;
  readonly why: string;
}

export type Candidate = ShareCandidate | StoredCandidate;

export interface Selection {
  /** Best first; a later one is for when an earlier one turns out to be unfit while it is copied. */
  readonly candidates: readonly Candidate[];
  /** What was not considered, and why; `(links)` and `(share)` stand for what has no release. Printable. */
  readonly skipped: readonly { readonly release: string; readonly reason: string }[];
}

export interface SelectionInput {
  /** What is in the share; undefined when the share could not be read, with the reason in `shareProblem`. */
  readonly catalogue: Catalogue | undefined;
  readonly shareProblem?: string;
  /** A release that a person pinned. */
  readonly pin: string | undefined;
  readonly good: Pair | undefined;
  /** What the host put together for the first boot. */
  readonly provided?: Pair | undefined;
}

/**
 * Orders the candidates: the pin, then what Debian's links name, then the highest version, then the last good pair,
 * or what the guest was made with while there is none.
 * Only complete pairs are candidates: a kernel whose initrd is still being written is passed over with that reason.
 */
export function select(input: SelectionInput): Selection {
  const candidates: Candidate[] = [];
  const skipped: { release: string; reason: string }[] = [];
  const { catalogue, pin, good, provided } = input;
  const add = (candidate: Candidate): void => {
    const same = candidates.some(
      (c) =>
        isOfShare(c) &&
        isOfShare(candidate) &&
        c.kernel === candidate.kernel &&
        c.initrd === candidate.initrd,
    );
    if (!same) candidates.push(candidate);
  };

  if (catalogue === undefined) {
    skipped.push({ release: "(share)", reason: input.shareProblem ?? "the share could not be read" });
  } else {
    for (const pair of catalogue.kernels) {
      if (!pair.complete) skipped.push({ release: pair.release, reason: pair.reasons.join("; ") });
    }
    if (pin !== undefined) {
      const pinned = catalogue.kernels.find((pair) => pair.release === pin);
      if (pinned?.complete === true) addPair(pinned, "pin", `${pin} is pinned`);
      else if (pinned === undefined)
        skipped.push({ release: pin, reason: "it is pinned, and it is not in the guest's /boot" });
    }
    if (catalogue.linked !== undefined) {
      if (catalogue.linked.problem !== undefined)
        skipped.push({ release: "(links)", reason: catalogue.linked.problem });
      else addLinked(catalogue.linked);
    }
    const highest = catalogue.kernels.find((pair) => pair.complete);
    if (highest !== undefined)
      addPair(highest, "highest", "it has the highest version of the complete pairs");
  }
  if (good !== undefined) {
    const why = "it is the last pair that was good";
    const candidate: StoredCandidate = { source: "good", release: good.release, pair: good, why };
    // A pinned release that has left the share still boots from the store, before anything that is not pinned.
    const pinnedAway = pin === good.release && candidates[0]?.source !== "pin";
    if (pinnedAway)
      candidates.unshift({
        ...candidate,
        why: `${pin} is pinned, and only the copy of the last good pair is left`,
      });
    else candidates.push(candidate);
  } else if (provided !== undefined) {
    const why = "the guest has not made an initrd of its own yet";
    candidates.push({ source: "provided", release: provided.release, pair: provided, why });
  }
  return { candidates, skipped };

  function addPair(pair: KernelPair, source: ShareCandidate["source"], why: string): void {
    if (pair.initrd === undefined) return;
    add({ source, release: pair.release, kernel: pair.kernel, initrd: pair.initrd, why });
  }

  function addLinked(linked: KernelPair): void {
    if (linked.complete) addPair(linked, "links", "the links in the guest's /boot name it");
    // dpkg makes the links before the initrd exists. A pair of the usual names is in `skipped` already.
    else if (!skipped.some(({ release }) => release === linked.release)) {
      skipped.push({ release: linked.release, reason: linked.reasons.join("; ") });
    }
  }
}

/** Whether a candidate is still to be copied from the share. */
export function isOfShare(candidate: Candidate): candidate is ShareCandidate {
  return candidate.source !== "good" && candidate.source !== "provided";
}
