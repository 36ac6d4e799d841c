/** What a disk refuses, in words that a person can act on. */
import { constants } from "node:os";
import { errnoOf, UserError } from "../errors.ts";
import { printable } from "../text.ts";

interface Trouble {
  readonly code: string;
  /** A phrase that follows the name of the file system. */
  readonly what: string;
  readonly hint: string;
}

/** By the system's error, for those that a program cannot do anything about. */
const TROUBLES: Readonly<Record<string, Trouble>> = {
  ENOSPC: {
    code: "DISK_FULL",
    what: "is full",
    hint: "Free space there ('df' and 'df -i' show it); the guest then starts as before.",
  },
  EDQUOT: {
    code: "DISK_QUOTA",
    what: "gives its owner no more space: the quota is used up",
    hint: "Free space there, or raise the quota; the guest then starts as before.",
  },
  EROFS: {
    code: "DISK_READ_ONLY",
    what: "can only be read",
    hint: "Linux makes a file system with errors read-only: look into its log (dmesg), and mount it for writing again.",
  },
  EIO: {
    code: "DISK_FAILING",
    what: "reported an input/output error",
    hint: "The disk may be failing: look into Linux's log (dmesg).",
  },
};
const CODES: ReadonlySet<string> = new Set(Object.values(TROUBLES).map(({ code }) => code));

/**
 * Does something to files below `folder`.
 *
 * @param folder absolute path that the error names
 * @throws {UserError} `DISK_FULL`, `DISK_QUOTA`, `DISK_READ_ONLY`, `DISK_FAILING`; everything else as it is
 */
export function onDisk<T>(folder: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    const trouble = TROUBLES[isQuota(error) ? "EDQUOT" : (errnoOf(error) ?? "")];
    if (trouble === undefined) throw error;
    const sentence = `The file system of ${folder} ${trouble.what}.`;
    throw new UserError(trouble.code, sentence, { hint: trouble.hint, cause: error });
  }
}

/** Node.js has no name for this error ("Unknown system error -122"), only the number. */
function isQuota(error: unknown): boolean {
  return error instanceof Error && "errno" in error && error.errno === -constants.errno.EDQUOT;
}

/** Whether an error is one of {@link onDisk}'s. */
export function isDiskTrouble(error: unknown): error is UserError {
  return error instanceof UserError && CODES.has(error.code);
}

/** The same trouble, where it keeps a guest from starting. @param name the guest's, not trusted */
export function ofGuest(name: string, trouble: UserError): UserError {
  const sentence = `No kernel can be staged for the guest ${printable(name)}: t${trouble.message.slice(1)}`;
  return new UserError(trouble.code, sentence, {
    ...(trouble.hint === undefined ? {} : { hint: trouble.hint }),
    cause: trouble,
  });
}

/** Whether space is what was missing. */
export function isOutOfSpace(error: unknown): boolean {
  return error instanceof UserError && (error.code === "DISK_FULL" || error.code === "DISK_QUOTA");
}
