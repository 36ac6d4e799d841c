/**
 * What an adopted guest was before: the record in its folder, beside the XML that libvirt had for it. With the domain's
 * definition it says how far an adoption, or the undoing of one, has come, so that either may be killed at any time.
 */
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { z } from "zod";
import { replaceFile } from "../../boot/replace-file.ts";
import { errnoOf, UserError } from "../../errors.ts";
import type { DomainFacts } from "../../libvirt/domain-parse.ts";
import type { GuestPaths } from "../../paths.ts";

const recordSchema = z.object({
  schema: z.literal(1),
  /** The domain's name then. */
  name: z.string(),
  /** When, ISO 8601. */
  since: z.iso.datetime(),
  /**
   * `copied`: the folder is whole, and the domain is about to be changed. `adopted`: it was. `undoing`: what changed in /boot is
   * back in its old folder, and the domain is about to be put back.
   */
  phase: z.enum(["copied", "adopted", "undoing"]),
  /** The folder that was its /boot. */
  share: z.string(),
  /** The names that were copied from there. */
  names: z.array(z.string()),
  /** The guest whose copy (virt-clone) it is: then `share` is that guest's. */
  copyOf: z.string().optional(),
  /** A hook of an administrator's own was there for it: it stands aside while any such guest is adopted. */
  hook: z.boolean(),
});
export type AdoptionRecord = z.infer<typeof recordSchema>;

/** @returns undefined for a guest that was not adopted @throws {UserError} `ADOPTION_UNREADABLE` */
export function readAdoption({ adoption }: GuestPaths): AdoptionRecord | undefined {
  try {
    return recordSchema.parse(JSON.parse(readFileSync(adoption, "utf8")));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw new UserError(
      "ADOPTION_UNREADABLE",
      `The file ${adoption} is not a record that this version understands.`,
      {
        hint: "The domain's old XML is in domain.xml beside it; 'virsh define' takes it.",
        cause: error,
      },
    );
  }
}

/** Writes the record, and with it the domain's XML where it is given. The record comes last: with it, both are whole. */
export function writeAdoption(paths: GuestPaths, record: AdoptionRecord, xml?: string): void {
  if (xml !== undefined) {
    mkdirSync(paths.adopted, { mode: 0o700 });
    replaceFile(paths.adoptedXml, xml);
  }
  replaceFile(paths.adoption, `${JSON.stringify(recordSchema.parse(record), null, 2)}\n`);
}

/** How a domain stands to bootshare. */
export type Standing =
  /** Nothing of ours: it may be adopted. */
  | { readonly kind: "stranger" }
  /** As a stranger, with the folder of an adoption, or the undoing of one, that was cut short. */
  | { readonly kind: "leftover"; readonly record: AdoptionRecord }
  | { readonly kind: "adopted"; readonly record: AdoptionRecord }
  /** It was adopted, and somebody has defined it anew since, without bootshare. */
  | { readonly kind: "redefined"; readonly record: AdoptionRecord }
  /** A guest that bootshare made. */
  | { readonly kind: "guest" }
  /** It has a folder of a guest's, and is none. */
  | { readonly kind: "folder" };

/** Pure. @param folder whether there is a guest's folder of the domain's UUID */
export function standing(
  domain: Pick<DomainFacts, "foreign" | "copyOf">,
  folder: boolean,
  record: AdoptionRecord | undefined,
): Standing {
  const ours = !domain.foreign && domain.copyOf === undefined;
  if (!folder) return ours ? { kind: "guest" } : { kind: "stranger" };
  if (record === undefined) return { kind: ours ? "guest" : "folder" };
  if (ours) return { kind: "adopted", record };
  return { kind: record.phase === "adopted" ? "redefined" : "leftover", record };
}

/** The standing of a domain, from its folder. */
export function standingOf(domain: Pick<DomainFacts, "foreign" | "copyOf">, paths: GuestPaths): Standing {
  return standing(domain, existsSync(paths.dir), readAdoption(paths));
}
