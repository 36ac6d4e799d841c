/** Which guests there are on this machine: libvirt's domains that have a folder of ours, found by UUID. */
import { readdirSync } from "node:fs";
import { recordLook } from "../boot/look.ts";
import { type Moment, presentMoment } from "../boot/moment.ts";
import type { DomainStatus } from "../boot/observe.ts";
import type { BootReport } from "../boot/report.ts";
import type { BootState } from "../boot/state.ts";
import { EXIT, errnoOf, UserError } from "../errors.ts";
import { type DomainFacts, parseDomain } from "../libvirt/domain-parse.ts";
import { type DomainEntry, domainStatuses, dumpXml } from "../libvirt/virsh.ts";
import { type GuestPaths, guestPathsOf, statePaths, UUID_PATTERN } from "../paths.ts";
import { printable } from "../text.ts";

/** A guest and what libvirt says of its domain at this moment. */
export interface Guest {
  readonly uuid: string;
  /** The domain's present name. */
  readonly name: string;
  readonly status: DomainStatus;
  readonly paths: GuestPaths;
}

/** A guest with what its report and its events come to. */
export interface GuestView extends Guest {
  readonly report: BootReport;
  readonly state: BootState;
}

/** All guests, by name. One call of virsh, however many there are. */
export async function listGuests(): Promise<Guest[]> {
  const folders = new Set(guestFolders());
  const asOf = new Date();
  const domains = (await domainStatuses()).filter((domain) => folders.has(domain.uuid));
  return domains.map((domain) => guestOf(domain, asOf)).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** UUIDs of guests' folders that libvirt has no domain for: `virsh undefine`, or a deletion that was cut short. */
export async function orphanFolders(): Promise<string[]> {
  const defined = new Set((await domainStatuses()).map(({ uuid }) => uuid));
  return guestFolders().filter((uuid) => !defined.has(uuid));
}

/** A domain that virt-clone, or a person, made from a guest's definition: it does not start before it is adopted. */
export interface Copy {
  /** Its name, as libvirt has it: not trusted. */
  readonly name: string;
  /** UUID of the guest that it was made from. */
  readonly of: string;
}

/** All such domains. A call of virsh for each domain that is no guest. */
export async function listCopies(): Promise<Copy[]> {
  const folders = new Set(guestFolders());
  const others = (await domainStatuses()).filter(({ uuid }) => !folders.has(uuid));
  const copies = await Promise.all(others.map(copyOf));
  return copies.filter((copy) => copy !== undefined);
}

async function copyOf({ uuid, name }: Pick<DomainEntry, "uuid" | "name">): Promise<Copy | undefined> {
  try {
    const { foreign, copyOf: of } = parseDomain(await dumpXml(uuid, { inactive: true }));
    return foreign || of === undefined ? undefined : { name, of };
  } catch (error) {
    // Gone meanwhile, or XML that is not ours to understand.
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** UUIDs of the folders of guests, whether or not libvirt knows a domain for them. */
export function guestFolders(): string[] {
  try {
    return readdirSync(statePaths().guests).filter((name) => UUID_PATTERN.test(name));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

/**
 * Finds a guest by the name or the UUID of its domain.
 *
 * @param given libvirt's domains, where the caller has just asked for them
 * @throws {UserError} `GUEST_NOT_FOUND`, also for a domain of libvirt's that is no guest of ours; `GUEST_COPY` for the copy of one
 */
export async function findGuest(nameOrUuid: string, given?: readonly DomainEntry[]): Promise<Guest> {
  const folders = new Set(guestFolders());
  const asOf = new Date();
  const domains = given ?? (await domainStatuses());
  const domain = domains.find((d) => d.name === nameOrUuid) ?? domains.find((d) => d.uuid === nameOrUuid);
  if (domain !== undefined && folders.has(domain.uuid)) return guestOf(domain, asOf);
  const copy = domain === undefined ? undefined : await copyOf(domain);
  if (copy !== undefined) {
    const name = printable(copy.name);
    const original = domains.find(({ uuid }) => uuid === copy.of);
    throw new UserError(
      "GUEST_COPY",
      `The domain ${name} is a copy (virt-clone) of the guest ${original === undefined ? copy.of : printable(original.name)}, and no guest itself.`,
      { exitCode: EXIT.conflict, hint: `Make it one: bootshare adopt ${name}` },
    );
  }
  const sentence =
    domain === undefined
      ? `There is no guest named ${printable(nameOrUuid)}.`
      : `The domain ${printable(nameOrUuid)} is no guest of bootshare's.`;
  throw new UserError("GUEST_NOT_FOUND", sentence, {
    exitCode: EXIT.notFound,
    hint: "'bootshare list' shows all guests.",
  });
}

function guestOf(domain: DomainEntry, asOf: Date): Guest {
  const { uuid, name, state, reason, saved } = domain;
  return { uuid, name, status: { state, reason, saved, asOf }, paths: guestPathsOf(uuid) };
}

/** What the guest's definition says of it: architecture, suite, transport, network. */
export async function definitionOf(guest: Guest): Promise<DomainFacts> {
  return parseDomain(await dumpXml(guest.uuid, { inactive: true }));
}

/**
 * Looks at a guest: reads its report and its events, and appends the events that the look tells of and that were not
 * there yet. Anybody may look at any time.
 */
export function look(guest: Guest, moment: Moment = presentMoment()): GuestView {
  return { ...guest, ...recordLook(guest.paths, guest.status, moment) };
}
