/**
 * The mirrors that a builder was made with: apt in its chroot goes on asking those, whatever the host's own apt or a person
 * names later. A record in its folder.
 */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { replaceFile } from "../boot/replace-file.ts";
import { errnoOf, UserError } from "../errors.ts";
import type { GuestPaths } from "../paths.ts";
import { isMirrorUrl, type Mirrors, type MirrorWishes } from "../provision/sources.ts";

const mirrorSchema = z.string().refine(isMirrorUrl);
const recordSchema = z.strictObject({
  schema: z.literal(1),
  archive: mirrorSchema,
  /** Absent where it goes without. */
  security: mirrorSchema.optional(),
  updates: z.boolean(),
});

type Place = Pick<GuestPaths, "builderMirrors">;

/** Nobody knows of the builder yet. */
export function writeBuilderMirrors({ builderMirrors }: Place, mirrors: Mirrors): void {
  const record = recordSchema.parse({ schema: 1, ...mirrors });
  replaceFile(builderMirrors, `${JSON.stringify(record, null, 2)}\n`);
}

/**
 * The mirrors of a builder.
 *
 * @returns undefined for one that was made before they were written down
 * @throws {UserError} `BUILDER_UNREADABLE`
 */
export function readBuilderMirrors({ builderMirrors }: Place): Mirrors | undefined {
  try {
    const { archive, security, updates } = recordSchema.parse(
      JSON.parse(readFileSync(builderMirrors, "utf8")),
    );
    return { archive, security, updates };
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw new UserError(
      "BUILDER_UNREADABLE",
      `The file ${builderMirrors} does not say in a way that this version understands which mirrors the builder was made with.`,
      { hint: "Make the builder guest anew: --renew-builder", cause: error },
    );
  }
}

/**
 * What to tell a person who named other mirrors than a builder has. Pure.
 *
 * @param made undefined where nobody knows
 * @param chosen what the wishes, and the host for the rest, came to
 * @returns undefined where it has what they asked for, or they left it to the host
 */
export function mirrorsKept(
  builder: string,
  made: Mirrors | undefined,
  wishes: MirrorWishes,
  chosen: Mirrors,
): string | undefined {
  if (made === undefined) return undefined;
  const { mirror, securityMirror, security, updates } = wishes;
  const otherArchive = mirror !== undefined && chosen.archive !== made.archive;
  const otherSecurity = (securityMirror !== undefined || !security) && chosen.security !== made.security;
  const otherUpdates = !updates && made.updates;
  if (!otherArchive && !otherSecurity && !otherUpdates) return undefined;
  const all = [made.archive, made.security ?? "no security archive", made.updates ? "updates" : "no updates"];
  return `the builder ${builder} keeps the mirrors that it was made with (${all.join(", ")}): --renew-builder makes it with those that you named.`;
}
