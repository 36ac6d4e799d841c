/** Which guests can be cloned. Pure. */
import { EXIT, UserError } from "../errors.ts";
import { few, printable } from "../text.ts";

export interface SourceFacts {
  readonly name: string;
  /** libvirt's word for the state of its domain. */
  readonly state: string;
  /** Its memory is in a file (managed save), and what it had not written yet with it. */
  readonly saved: boolean;
  /** It is there for one command (abandoned.ts). */
  readonly ephemeral: boolean;
  /** A boot of it was good. */
  readonly everGood: boolean;
  /** It works for somebody else under its name (worker.ts). */
  readonly worker: boolean;
  /** It was imported, adopted, or made by Debian's installer: bootshare did not install it, and gave it nothing but the reports of its boots. */
  readonly foreign: boolean;
  /** Names of its snapshots, as libvirt has them: not trusted. */
  readonly snapshots: readonly string[];
}

/** Why a guest cannot be cloned as it is now; undefined for one that can. */
export function sourceRefusal({
  name,
  state,
  saved,
  ephemeral,
  everGood,
  worker,
  foreign,
  snapshots,
}: SourceFacts): UserError | undefined {
  const refuse = (code: string, sentence: string, hint: string): UserError =>
    new UserError(code, sentence, { exitCode: EXIT.conflict, hint });
  if (ephemeral) {
    return refuse(
      "SOURCE_EPHEMERAL",
      `The guest ${name} is there for one command, and goes away with it.`,
      "Clone the guest that it was made from.",
    );
  }
  if (worker) {
    return refuse(
      "SOURCE_WORKER",
      `The guest ${name} is a build worker, and a clone would register under its name.`,
      "Make another one with 'bootshare create --role'.",
    );
  }
  if (foreign) {
    return refuse(
      "SOURCE_FOREIGN",
      `The guest ${name} was imported, adopted or made by Debian's installer, and has no part that would give a clone a host name, keys and an id of its own.`,
      "Clone one that 'bootshare create' made without --installer, or make another one in the same way.",
    );
  }
  if (state !== "shut off") {
    return refuse(
      "SOURCE_RUNNING",
      `The guest ${name} is ${state}, and only one that is off can be cloned.`,
      `Stop it with 'bootshare stop ${name}'.`,
    );
  }
  if (saved) {
    return refuse(
      "SOURCE_SAVED",
      `The guest ${name} is saved: a part of what it has on its disk is in that file.`,
      `Let it finish: 'bootshare start ${name}', then 'bootshare stop ${name}'.`,
    );
  }
  // They are in the disk that becomes a base: the guest, on an overlay then, could not go back to them, nor delete them.
  if (snapshots.length > 0) {
    const named = few(snapshots.map((one) => printable(one, 60)));
    return refuse(
      "SOURCE_SNAPSHOTS",
      `The guest ${name} has snapshots (${named}), which would be lost when its disk becomes what clones stand on.`,
      `Delete each with 'virsh snapshot-delete ${name} --snapshotname SNAPSHOT', or clone another guest.`,
    );
  }
  if (!everGood) {
    return refuse(
      "SOURCE_NEVER_GOOD",
      `No boot of the guest ${name} was ever good, so nothing is known to boot a clone of it.`,
      `Start it with 'bootshare start ${name} --wait', and stop it when it is good.`,
    );
  }
  return undefined;
}
