/** What comes of a kernel in a domain: it boots as the domain is defined, or in another layout, or not at all. Pure. */
import {
  type DomainMachine,
  describeLayout,
  fits,
  inLayout,
  type Layout,
  LOW_MEMORY_MIB,
  type PairFacts,
} from "./features.ts";

export type Verdict =
  /** `notes`: sentences on what will not work although it boots. */
  | { readonly kind: "fits"; readonly notes: readonly string[] }
  /** It boots once the domain is in this layout. `reason` is a phrase that follows the release; safe to show. */
  | { readonly kind: "reshape"; readonly layout: Layout; readonly reason: string }
  /** Nothing that bootshare changes about a domain helps. `reason` likewise. */
  | { readonly kind: "unfit"; readonly reason: string };

/**
 * Judges a kernel for a domain. A domain is changed for a kernel only where that is all it takes: one that would then lack
 * a driver, or have more memory than the layout has room for, is unfit.
 *
 * @param machine undefined where there is no domain to fit (`inspect`): then everything fits
 */
export function judge(pair: PairFacts, machine: DomainMachine | undefined): Verdict {
  if (machine === undefined) return { kind: "fits", notes: [] };
  const now = fits(pair, machine);
  if (now.fits) return { kind: "fits", notes: now.notes };
  const { reason, needs } = now;
  if (needs.kind !== "layout") return { kind: "unfit", reason };
  const { layout } = needs;
  const memory = machine.memoryMiB ?? 0;
  if (!layout.highmem && memory > LOW_MEMORY_MIB) {
    const room = `has room for ${LOW_MEMORY_MIB} MiB of memory, and the machine has ${memory} MiB`;
    return { kind: "unfit", reason: `needs ${describeLayout(layout)}, which ${room}` };
  }
  const then = fits(pair, inLayout(machine, layout));
  return then.fits ? { kind: "reshape", layout, reason } : { kind: "unfit", reason: then.reason };
}
