/** Keeps what is told and written down of a choice short, whatever a guest put into its /boot. Pure. */
import type { Selection } from "./select.ts";

/** How much of what was passed over is kept, from the beginning and from the end of the list each. */
const KEPT = 6;

/**
 * A guest decides how many kernels its /boot holds, each with a reason why it was passed over. All of them would make one
 * line of some hundred kilobytes for libvirt to show and for the guest's events to keep, at every start. The first are the
 * newest kernels, the last what was made of links and of the host's own pairs: both stay, and between them it is said how
 * many were left out.
 */
export function brief(selection: Selection): Selection {
  const { skipped } = selection;
  const left = skipped.length - 2 * KEPT;
  if (left <= 0) return selection;
  const note = { release: "(more)", reason: `passed over, too: ${left} more` };
  return { ...selection, skipped: [...skipped.slice(0, KEPT), note, ...skipped.slice(-KEPT)] };
}
