/** Which guests can be exported. Pure. */
import { EXIT, UserError } from "../errors.ts";

export interface ExportFacts {
  readonly name: string;
  /** libvirt's word for the state of its domain. */
  readonly state: string;
  /** Its memory is in a file (managed save). */
  readonly saved: boolean;
  /** It is there for one command. */
  readonly ephemeral: boolean;
  readonly adopted: boolean;
  /** A boot of it was good. */
  readonly everGood: boolean;
  /** Its kernel is told its root by the UUID of the file system. */
  readonly rootByUuid: boolean;
  /** Disks that it may write to, beside bootshare's; folders of the host's, by their tags; snapshots. Printable. */
  readonly otherDisks: readonly string[];
  readonly otherFolders: readonly string[];
  readonly snapshots: readonly string[];
  /** Bootshare's disk is among its disks: an external snapshot, or a person, may have put another in its place. */
  readonly ownDisk: boolean;
}

/** Why a guest cannot be exported as it is now; undefined for one that can. */
export function exportRefusal(facts: ExportFacts): UserError | undefined {
  const { name, state, saved, ephemeral, adopted, everGood, rootByUuid } = facts;
  const { otherDisks, otherFolders, snapshots, ownDisk } = facts;
  const refuse = (code: string, sentence: string, hint: string): UserError =>
    new UserError(code, sentence, { exitCode: EXIT.conflict, hint });
  if (adopted) {
    return refuse(
      "EXPORT_ADOPTED",
      `The guest ${name} was adopted, and its disk was never bootshare's.`,
      `Give it back as it was: bootshare adopt ${name} --undo`,
    );
  }
  if (ephemeral) {
    return refuse(
      "EXPORT_EPHEMERAL",
      `The guest ${name} is there for one command, and goes away with it.`,
      "Export the guest that it was made from.",
    );
  }
  if (state !== "shut off") {
    return refuse(
      "GUEST_RUNNING",
      `The guest ${name} is ${state}, and only one that is off can be exported.`,
      `Stop it with 'bootshare stop ${name}'.`,
    );
  }
  if (saved) {
    return refuse(
      "GUEST_SAVED",
      `The guest ${name} is saved: a part of what it has on its disk is in that file.`,
      `Let it finish: 'bootshare start ${name}', then 'bootshare stop ${name}'.`,
    );
  }
  if (!everGood) {
    return refuse(
      "EXPORT_NEVER_GOOD",
      `No boot of the guest ${name} was ever good, so nothing is known to boot its copy.`,
      `Start it with 'bootshare start ${name} --wait', and stop it when it is good.`,
    );
  }
  if (!rootByUuid) {
    return refuse(
      "EXPORT_ROOT_UNKNOWN",
      `The domain of the guest ${name} does not name its root by UUID (root=UUID=…).`,
      `Say it so with 'virsh edit ${name}', and start it once.`,
    );
  }
  if (!ownDisk || otherDisks.length > 0) {
    return refuse(
      "EXPORT_OTHER_DISK",
      `The guest ${name} has another disk than bootshare's (${otherDisks.join(", ") || "and not that one"}), which its copy would write to.`,
      "Detach it with 'virsh edit', or mark it as read-only; after an external snapshot, commit that first.",
    );
  }
  if (otherFolders.length > 0) {
    return refuse(
      "EXPORT_OTHER_FOLDER",
      `The guest ${name} shares a folder with the host (${otherFolders.join(", ")}), which its copy would write to.`,
      "Take it out with 'virsh edit', and put it back into the domain afterwards.",
    );
  }
  if (snapshots.length > 0) {
    return refuse(
      "EXPORT_SNAPSHOTS",
      `The guest ${name} has snapshots (${snapshots.join(", ")}), which an export does not keep.`,
      "Delete them with 'virsh snapshot-delete'.",
    );
  }
  return undefined;
}

/** The UUID of the root file system on a kernel's command line; undefined where it is named otherwise, or not at all. */
export function rootUuidIn(cmdline: string | undefined): string | undefined {
  return /(?:^|\s)root=UUID=([0-9A-Fa-f-]+)(?:\s|$)/.exec(cmdline ?? "")?.[1];
}
