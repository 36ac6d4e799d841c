/** Whether a domain can be adopted: pure, each reason with what to do about it. */
import { EXIT, UserError } from "../../errors.ts";
import type { AdoptionFacts } from "../../libvirt/domain-adopt.ts";
import type { DomainFacts } from "../../libvirt/domain-parse.ts";
import { SHARE_TAG } from "../../paths.ts";
import { printable } from "../../text.ts";
import type { Standing } from "./record.ts";

export interface Adoptee {
  /** Throws where it is asked for the architecture of a machine that Debian has not. */
  readonly domain: DomainFacts;
  readonly more: AdoptionFacts;
  /** libvirt's word. */
  readonly state: string;
  /** It has a managed save. */
  readonly saved: boolean;
  readonly standing: Standing["kind"];
}

/**
 * The first reason why a domain cannot be adopted; undefined for none.
 *
 * @throws {UserError} `ARCH_UNKNOWN`
 */
export function whyNotAdopt({ domain, more, state, saved, standing }: Adoptee): UserError | undefined {
  const name = printable(domain.name);
  const no = (code: string, why: string, hint: string): UserError =>
    new UserError(code, `The domain ${name} cannot be adopted: ${why}.`, { exitCode: EXIT.conflict, hint });

  if (standing === "guest") {
    return no(
      "ADOPT_OWN_GUEST",
      "bootshare made it, and it is a guest already",
      `See 'bootshare status ${name}'.`,
    );
  }
  if (standing === "redefined") {
    return no(
      "ADOPT_REDEFINED",
      "it was adopted before, and somebody has defined it anew since",
      `Its /boot of that time is still there. 'bootshare adopt ${name} --undo' says what is where.`,
    );
  }
  if (standing === "folder") {
    return no(
      "ADOPT_FOLDER_TAKEN",
      `a guest's folder has its UUID ${domain.uuid}, and its metadata does not say that it is that guest`,
      "Put the bootshare element back into its metadata ('virsh edit'), or move that folder away.",
    );
  }
  if (state !== "shut off") {
    return no(
      "GUEST_RUNNING",
      `it is ${state}, and its /boot must not change meanwhile`,
      `Shut it down first: virsh shutdown ${name}`,
    );
  }
  if (saved) {
    return no(
      "GUEST_SAVED",
      "it has a managed save, whose memory needs the machine as it is",
      `Start it and shut it down, or drop what was saved: virsh managedsave-remove ${name}`,
    );
  }
  if (more.type !== "qemu" && more.type !== "kvm") {
    return no(
      "ADOPT_NOT_QEMU",
      `it is of type ${printable(more.type ?? "?")}`,
      "bootshare's guests run on QEMU, with KVM or without.",
    );
  }
  // Asked for so that it throws.
  void domain.arch;
  if (domain.kernel === undefined) {
    return no(
      "ADOPT_NO_DIRECT_BOOT",
      "it boots by firmware or a loader from its disk, and not a <kernel> that the host names",
      "Only a domain whose /boot is a folder of the host can be adopted.",
    );
  }
  return shareTrouble(domain, more, no);
}

type No = (code: string, why: string, hint: string) => UserError;

function shareTrouble(domain: DomainFacts, more: AdoptionFacts, no: No): UserError | undefined {
  const count = more.tags.filter((tag) => tag === SHARE_TAG).length;
  const add = `Give it one, and mount it as /boot in the guest: <filesystem type='mount' accessmode='mapped'> with <target dir='${SHARE_TAG}'/>.`;
  if (count === 0) {
    const others = more.tags.map((tag) => printable(tag, 60)).join(", ");
    const has = others === "" ? "" : `; it shares ${others}`;
    return no("ADOPT_NO_SHARE", `it shares no folder with the tag ${SHARE_TAG}${has}`, add);
  }
  if (count > 1) {
    return no(
      "ADOPT_TWO_SHARES",
      `it has ${count} shared folders with the tag ${SHARE_TAG}`,
      "Leave the one that is its /boot: virsh edit.",
    );
  }
  if (domain.transport === undefined || domain.shareDir === undefined) {
    return no(
      "ADOPT_SHARE_KIND",
      "its folder is shared in a way that bootshare does not know",
      "It knows 9p (mapped) and virtiofs.",
    );
  }
  if (domain.transport === "9p" && more.accessMode !== "mapped") {
    return no(
      "ADOPT_NOT_MAPPED",
      `its folder is shared by 9p in the mode ${printable(more.accessMode ?? "?")}, in which dpkg fails (Debian bug 864718) and links would be the host's`,
      "Share it with accessmode='mapped', let the guest write its /boot anew there, and try again.",
    );
  }
  if (more.readOnly) {
    return no(
      "ADOPT_SHARE_READ_ONLY",
      "its folder is shared read-only, so apt in it can install no kernel",
      "Remove <readonly/> of that file system: virsh edit.",
    );
  }
  return undefined;
}

/** A copy must not write to the disks of the guest that it is a copy of. */
export function sharedDisk(
  name: string,
  other: string,
  mine: readonly string[],
  theirs: readonly string[],
): UserError | undefined {
  const both = mine.find((disk) => theirs.includes(disk));
  if (both === undefined) return undefined;
  return new UserError(
    "ADOPT_SAME_DISK",
    `The domain ${printable(name)} cannot be adopted: it is a copy of ${printable(other)}, and has that guest's own disk ${printable(both)}.`,
    {
      exitCode: EXIT.conflict,
      hint: "Give it a disk of its own: virt-clone makes one.",
    },
  );
}
