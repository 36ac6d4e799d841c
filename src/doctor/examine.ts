/** Carries out one check within its time limit, and says what all of them come to. */
import { errnoOf, UserError } from "../errors.ts";
import { printable } from "../text.ts";
import { type Finding, type Requirement, unknown, unmet } from "./requirement.ts";

/** How long a check may take where it does not say, in milliseconds. Above the limits of the programs that it runs. */
const LIMIT_MS = 60_000;

/** A requirement with what was found; docs/json.md describes it. */
export interface Examined {
  readonly id: string;
  readonly title: string;
  readonly required: boolean;
  /** null: it could not be looked at. */
  readonly ok: boolean | null;
  readonly found: string;
  readonly fix: string | null;
}

/** Carries out the check. Only a bug is thrown: whatever the machine lacks or refuses is a finding. */
export async function examine({ id, title, need, limitMs, check }: Requirement): Promise<Examined> {
  const { ok, found, fix } = await within(limitMs ?? LIMIT_MS, async () => {
    try {
      return await check();
    } catch (error) {
      return findingOf(error);
    }
  });
  return { id, title, required: need === "required", ok, found, fix: fix ?? null };
}

function findingOf(error: unknown): Finding {
  if (error instanceof UserError) return unmet(printable(phrase(error.message)), error.hint);
  const errno = errnoOf(error);
  if (errno === undefined) throw error;
  if (errno === "EACCES" || errno === "EPERM") return unknown("this user may not look");
  return unknown(`it could not be looked at (${errno})`);
}

/** A sentence as it stands behind a colon: no full stop, and no capital but in a name (`KVM`, `QEMU`). */
export function phrase(sentence: string): string {
  return sentence.replace(/\.$/, "").replace(/^[A-Z](?=[a-z]* )/, (letter) => letter.toLowerCase());
}

async function within(limitMs: number, check: () => Promise<Finding>): Promise<Finding> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Finding>((resolve) => {
    timer = setTimeout(() => resolve(unknown(`no answer within ${limitMs / 1000} s`)), limitMs);
  });
  try {
    return await Promise.race([check(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Whether guests can be made and run here: false where something required is missing, null where nothing is known to be
 * missing and something required could not be looked at.
 */
export function usable(all: readonly Examined[]): boolean | null {
  const required = all.filter((one) => one.required);
  if (required.some((one) => one.ok === false)) return false;
  return required.every((one) => one.ok === true) ? true : null;
}
