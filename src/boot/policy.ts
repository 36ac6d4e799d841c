/** What a person decided about a guest's boots, and what is so by default. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { errnoOf, messageOf, UserError } from "../errors.ts";
import type { GuestPaths } from "../paths.ts";
import { replaceFile } from "./replace-file.ts";

/** Most tries that can be given: more than the start limit lets happen in a row is of no use. */
export const MAX_TRIES = 5;

const policySchema = z.object({
  schema: z.literal(1),
  /** Boot this kernel release while it can be booted. */
  pin: z.string().optional(),
  /** With `pin`: this pair of the host's store and no other of that release. */
  pinPair: z.string().optional(),
  /** Boot attempts that a kernel gets which was never good. */
  tries: z.number().int().min(1).max(MAX_TRIES).optional(),
  /** A boot that is not good within so many seconds is bad; 0 for no limit. */
  bootTimeout: z.number().int().min(0).optional(),
});
export type Policy = z.infer<typeof policySchema>;

/** Reads a guest's policy; one without a file has the defaults. @throws {UserError} `POLICY_UNREADABLE` */
export function readPolicy(paths: GuestPaths): Policy {
  try {
    return policySchema.parse(JSON.parse(readFileSync(paths.policy, "utf8")));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return { schema: 1 };
    throw new UserError(
      "POLICY_UNREADABLE",
      `The file ${paths.policy} is not a policy that this version understands.`,
      {
        hint: "Put it right, or remove it to have the defaults again.",
        cause: error,
      },
    );
  }
}

export interface PolicyForStart {
  readonly policy: Policy;
  /** Why it is not the guest's own: a sentence. */
  readonly problem?: string;
}

/**
 * The policy for a start. One that cannot be read must not keep the guest from booting: it counts as the defaults, and why
 * is said.
 */
export function policyForStart(paths: GuestPaths): PolicyForStart {
  try {
    return { policy: readPolicy(paths) };
  } catch (error) {
    return { policy: { schema: 1 }, problem: messageOf(error) };
  }
}

/**
 * Changes what is given of a guest's policy. `undefined` leaves a value as it is, `null` takes it away. The caller holds the
 * guest's lock, or nobody knows of the guest yet.
 */
export function changePolicy(paths: GuestPaths, changes: PolicyChanges): void {
  const values = Object.entries({ ...readPolicy(paths), ...dropUndefined(changes) });
  const policy = policySchema.parse(Object.fromEntries(values.filter(([, value]) => value !== null)));
  replaceFile(paths.policy, `${JSON.stringify(policy, null, 2)}\n`);
}

export type PolicyChanges = {
  readonly [K in Exclude<keyof Policy, "schema">]?: Policy[K] | null | undefined;
};

function dropUndefined(changes: PolicyChanges): PolicyChanges {
  return Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));
}
