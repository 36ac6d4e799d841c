/**
 * A builder in use: each command that builds holds it for as long as it runs, also while it fetches a source or is between two
 * packages, and has no guest that stands on the builder's disk. The lock goes with the process, however it ends.
 */
import { closeSync, openSync } from "node:fs";
import { EXIT, UserError } from "../errors.ts";
import { heldFrom } from "../guest/abandoned.ts";
import type { Guest } from "../guest/inventory.ts";
import { builderUseLock } from "../paths.ts";
import { tryLock, tryShare } from "../process.ts";

/**
 * Holds a builder, as others may at the same time. The caller makes it ready alone (guest/base-guest.ts), so that nobody is about to
 * remove it.
 *
 * @returns gives it back; more than one call does no harm
 */
export function holdBuilder(name: string): () => void {
  const fd = openUse(name);
  if (!tryShare(fd)) throw new Error(`the lock of ${name} is taken, and nobody can be removing it`);
  let held = true;
  return () => {
    if (held) closeSync(fd);
    held = false;
  };
}

/**
 * Does something to a builder that no command uses. The caller makes it ready alone: so nobody begins to use it meanwhile.
 *
 * @throws {UserError} `BUILDER_BUSY`
 */
export async function whileUnused(
  { name, uuid }: Pick<Guest, "name" | "uuid">,
  act: () => Promise<void>,
): Promise<void> {
  const fd = openUse(name);
  try {
    // The guests of whoever clones it for something else than a build count, too.
    if (!tryLock(fd) || heldFrom(uuid).length > 0) {
      throw new UserError("BUILDER_BUSY", `Builds of the builder ${name} run: it stays as it is.`, {
        exitCode: EXIT.conflict,
        hint: "Make it anew when they have come to their end, or build without --renew-builder.",
      });
    }
    await act();
  } finally {
    closeSync(fd);
  }
}

/** The file stays, whatever becomes of the builder: who removed it would take it from somebody who has it open. */
function openUse(name: string): number {
  return openSync(builderUseLock(name), "a", 0o600);
}
