/**
 * Puts the domain of a guest that is off into the layout that its next kernel needs, which the hook cannot do.
 * Level-triggered: what is to be done follows from the definition and the share alone, so it may be killed anywhere and run
 * again.
 */
import { checkStoredInitrd } from "../boot/initrd-check.ts";
import { appendEvents } from "../boot/log.ts";
import { survey } from "../boot/prepare.ts";
import { isOfShare, type WantedReshape } from "../boot/select.ts";
import { storeCandidate } from "../boot/stage.ts";
import { messageOf } from "../errors.ts";
import { inLayout } from "../kernel/features.ts";
import { type DomainFacts, parseDomain } from "../libvirt/domain-parse.ts";
import { setLayout } from "../libvirt/domain-update.ts";
import { defineDomain, dumpXml } from "../libvirt/virsh.ts";
import { printable } from "../text.ts";
import type { Guest } from "./inventory.ts";

/** The part of libvirt that is used here. */
export interface Definitions {
  readonly dumpXml: typeof dumpXml;
  readonly defineDomain: typeof defineDomain;
}

export interface ReshapeOutcome {
  /** Whether the domain is in another layout now; otherwise it is as it was. */
  readonly done: boolean;
  /** What was done, or what kept it from being done: for a person. Printable. */
  readonly sentence: string;
}

/**
 * Redefines the domain where the best kernel needs another layout. The kernel is copied out of the share and checked first:
 * a domain is not changed for a kernel that then cannot be staged.
 *
 * A managed save belongs to the machine that was saved, so a guest that has one is left as it is. A failure is told and not
 * thrown: the hook still boots what fits the domain as it is. Only an event that cannot be written is thrown, as everywhere.
 *
 * @param guest fresh; the caller holds its lock
 * @returns undefined when there is nothing to change
 */
export async function reshape(
  guest: Guest,
  libvirt: Definitions = { dumpXml, defineDomain },
): Promise<ReshapeOutcome | undefined> {
  const { status, paths } = guest;
  if (status.state !== "shut off" || status.saved || status.reason === "saved") return undefined;
  let release = "its next kernel";
  let wanted: WantedReshape | undefined;
  try {
    const xml = await libvirt.dumpXml(guest.uuid, { inactive: true, secrets: true });
    const domain = parseDomain(xml);
    // The hook leaves the one alone, and refuses to start the other.
    if (domain.foreign || domain.copyOf !== undefined) return undefined;
    wanted = survey(paths, domain).selection.reshape;
    if (wanted === undefined) return undefined;
    release = printable(wanted.candidate.release);
    checkCandidate(guest, domain, wanted);
    await libvirt.defineDomain(setLayout(xml, wanted.layout));
  } catch (error) {
    const reason = printable(messageOf(error), 1000);
    return { done: false, sentence: `The machine could not be changed for ${release}: ${reason}` };
  }
  const why = printable(wanted.reason, 500);
  appendEvents(paths, [{ e: "reshaped", to: wanted.layout, release, why }]);
  return { done: true, sentence: `Changed the machine: ${release} ${why}.` };
}

/** What the host has of its own (the last good pair) has been checked, and stands in the store. */
function checkCandidate({ paths }: Guest, domain: DomainFacts, { candidate, layout }: WantedReshape): void {
  if (!isOfShare(candidate)) return;
  checkStoredInitrd(paths, storeCandidate(paths, candidate, domain.arch), inLayout(domain, layout));
}
