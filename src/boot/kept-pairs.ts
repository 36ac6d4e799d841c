/** Which pairs of the host's store a guest may still fall back to. */
import type { GuestPaths } from "../paths.ts";
import type { Pair } from "./events.ts";
import { policyForStart } from "./policy.ts";
import type { BootState } from "./state.ts";

/** The very pair that a person pinned, where one is. */
export function pinnedPair(paths: GuestPaths, { good, goodBefore, attempts }: BootState): Pair | undefined {
  const { pinPair } = policyForStart(paths).policy;
  return [good, goodBefore, ...attempts.map(({ pair }) => pair)].find((pair) => pair?.id === pinPair);
}

/** Ids of the pairs that no start may be without. */
export function neededPairs(paths: GuestPaths, state: BootState): string[] {
  return [state.good, state.provided, pinnedPair(paths, state)].flatMap((pair) => pair?.id ?? []);
}
