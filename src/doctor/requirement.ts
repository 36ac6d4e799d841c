/** What a requirement is: something that a machine must have, or should have, to make and run guests. */

/** What a look at the machine showed. */
export interface Finding {
  /** null: it could not be looked at, and `found` says why. */
  readonly ok: boolean | null;
  /** What was found, one phrase without a full stop. Printable: nothing of a guest's or a program's comes here raw. */
  readonly found: string;
  /** The command that mends it. */
  readonly fix?: string;
}

export interface Requirement {
  /** Stable; scripts may rely on it. Lower case, words joined by hyphens. */
  readonly id: string;
  /** For people, a few words. */
  readonly title: string;
  /** `required`: without it guests cannot be made or run. `recommended`: without it they are slower, or harder to keep. */
  readonly need: "required" | "recommended";
  /** How long the check may take, in milliseconds, where that is more than usual (examine.ts). */
  readonly limitMs?: number;
  /** Looks; changes nothing lasting. */
  check(): Promise<Finding>;
}

/** The requirement is met. */
export function met(found: string): Finding {
  return { ok: true, found };
}

/** The requirement is not met. */
export function unmet(found: string, fix?: string): Finding {
  return { ok: false, found, ...(fix === undefined ? {} : { fix }) };
}

/** It could not be looked at. */
export function unknown(found: string): Finding {
  return { ok: null, found };
}
