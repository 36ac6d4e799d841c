/** What would boot next once the initrds are looked into, too: what `kernels` and `inspect` show. */
import { messageOf } from "../errors.ts";
import { type DomainMachine, inLayout } from "../kernel/features.ts";
import { describeInitrd } from "../kernel/initrd-verdict.ts";
import type { LookOptions } from "../preflight/run.ts";
import { printable } from "../text.ts";
import { checkShareInitrd } from "./initrd-check.ts";
import { type Candidate, isOfShare, type Selection, type ShareCandidate } from "./select.ts";

export interface Next {
  readonly selection: Selection;
  /** The initrd of what boots next in a sentence; undefined where it is not known or not of the share. Printable. */
  readonly initrd: string | undefined;
}

export interface NextOptions extends LookOptions {
  /** These files were good: that says more than a look. */
  readonly wasGood?: (candidate: ShareCandidate) => boolean;
}

/**
 * Passes over the candidates with an initrd that would be refused, as a start does, down to the first that boots.
 *
 * @param share the folder
 * @param machine undefined where there is none to fit
 */
export function lookAtNext(
  share: string,
  selection: Selection,
  machine: DomainMachine | undefined,
  options: NextOptions = {},
): Next {
  const skipped = [...selection.skipped];
  let initrd: string | undefined;
  let { reshape } = selection;
  if (reshape !== undefined && machine !== undefined) {
    const candidate = passed(reshape.candidate, inLayout(machine, reshape.layout));
    reshape = candidate === undefined ? undefined : { ...reshape, candidate };
  }
  const candidates = [...selection.candidates];
  for (let first = candidates[0]; first !== undefined; [first] = candidates) {
    const looked = passed(first, machine);
    if (looked !== undefined) {
      candidates[0] = looked;
      break;
    }
    candidates.shift();
  }
  return { selection: { candidates, skipped, reshape }, initrd };

  /** The candidate with what is noted of its initrd; undefined where it is passed over. */
  function passed(candidate: Candidate, domain: DomainMachine | undefined): Candidate | undefined {
    if (!isOfShare(candidate) || options.wasGood?.(candidate) === true) return candidate;
    try {
      const { facts, verdict } = checkShareInitrd(share, candidate, domain, options);
      if (verdict.ok) {
        initrd ??= facts === undefined ? undefined : describeInitrd(facts, candidate.release);
        return { ...candidate, notes: [...candidate.notes, ...verdict.notes] };
      }
      const name = printable(candidate.initrd);
      skipped.push({
        release: candidate.release,
        reason: `${name} cannot be booted: it ${verdict.reason}.`,
      });
    } catch (error) {
      skipped.push({ release: candidate.release, reason: messageOf(error) });
    }
    return undefined;
  }
}
