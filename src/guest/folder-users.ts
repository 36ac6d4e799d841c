/**
 * Whether a guest's folder can go. `virt-clone --auto-clone` puts the disk of a copy beside the original's, which is in there,
 * and a person may put anything there.
 */
import { resolve } from "node:path";
import { EXIT, UserError } from "../errors.ts";
import { pathsIn } from "../libvirt/domain-files.ts";
import { type DomainEntry, dumpXml } from "../libvirt/virsh.ts";
import { type GuestPaths, guestPaths } from "../paths.ts";
import { few, printable } from "../text.ts";

/** A domain that is another than the guest's. */
export interface OtherDomain {
  /** Not trusted. */
  readonly name: string;
  /** Its definitions: what the next start uses, and what runs. Not trusted. */
  readonly xmls: readonly string[];
}

/**
 * Why the folder of a guest must not be removed: other domains name files in it. Undefined where none does. Pure.
 *
 * @param folder absolute path
 */
export function folderInUse(
  name: string,
  folder: string,
  others: readonly OtherDomain[],
): UserError | undefined {
  const users = others
    .map((other) => ({
      name: printable(other.name),
      files: other.xmls.flatMap((xml) => filesBelow(folder, xml)),
    }))
    .filter(({ files }) => files.length > 0);
  const [first] = users;
  if (first === undefined) return undefined;
  const files = [...new Set(users.flatMap((user) => user.files))];
  const { share, run } = guestPaths(folder);
  // A copy that is not adopted has the original's /boot and kernel in its definition, wherever its disk is.
  const copy = users.find((user) => user.files.some((file) => isIn(share, file) || isIn(run, file)));
  const domains = users.length === 1 ? "the domain" : "the domains";
  return new UserError(
    "FOLDER_IN_USE",
    `The folder of the guest ${printable(name)} cannot be removed: ${domains} ${few(users.map((user) => user.name))} ${users.length === 1 ? "names" : "name"} files in it (${few(files.map((file) => printable(file)))}).`,
    {
      exitCode: EXIT.conflict,
      hint: `Move a disk elsewhere while its domain is off, and name its new place ('virsh domblklist ${first.name}', 'virsh edit ${first.name}'), or delete that domain first.${copy === undefined ? "" : ` 'bootshare adopt ${copy.name}' gives a copy a /boot of its own.`}`,
    },
  );
}

/** The files in a folder that a domain names; the folder itself where its XML cannot be read and has it somewhere. */
function filesBelow(folder: string, xml: string): string[] {
  try {
    return pathsIn(xml)
      .map((path) => resolve(path))
      .filter((path) => isIn(folder, path));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return xml.includes(folder) ? [folder] : [];
  }
}

function isIn(folder: string, path: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/** So many virsh run at a time. */
const AT_ONCE = 8;

/**
 * Asks libvirt whether another domain names files in a guest's folder: a call of virsh for each domain.
 *
 * @param domains all of libvirt's, as they are now
 * @throws {UserError} `FOLDER_IN_USE`
 */
export async function requireFolderUnused(
  { uuid, name, paths }: { readonly uuid: string; readonly name: string; readonly paths: GuestPaths },
  domains: readonly DomainEntry[],
): Promise<void> {
  const entries = domains.filter((one) => one.uuid !== uuid);
  const others: OtherDomain[] = [];
  for (let at = 0; at < entries.length; at += AT_ONCE)
    others.push(...(await Promise.all(entries.slice(at, at + AT_ONCE).map(readOther))));
  const refusal = folderInUse(name, paths.dir, others);
  if (refusal !== undefined) throw refusal;
}

async function readOther({ uuid, name, state }: DomainEntry): Promise<OtherDomain> {
  try {
    const next = await dumpXml(uuid, { inactive: true });
    // Of one that runs, with what its disks stand on.
    return { name, xmls: state === "shut off" ? [next] : [next, await dumpXml(uuid)] };
  } catch (error) {
    // Gone since it was listed.
    if (error instanceof UserError && error.code === "GUEST_NOT_FOUND") return { name, xmls: [] };
    throw error;
  }
}
