/** Which pairs of the host's store a guest may still fall back to. Pure. */
import type { Pair } from "./events.ts";
import type { Policy } from "./policy.ts";
import type { BootState } from "./state.ts";

/** The very pair that a person pinned, where one is. */
export function pinnedPair({ pinPair }: Policy, { good, goodBefore, attempts }: BootState): Pair | undefined {
  return [good, goodBefore, ...attempts.map(({ pair }) => pair)].find((pair) => pair?.id === pinPair);
}

/** Ids of the pairs that no start may be without. */
export function neededPairs(policy: Policy, state: BootState): string[] {
  return [state.good, state.provided, pinnedPair(policy, state)].flatMap((pair) => pair?.id ?? []);
}
