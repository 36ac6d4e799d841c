/**
 * The two kinds of failure. A {@link UserError} is something a person can cause or mend: it has a stable code, one
 * sentence that says what happened to which object, and a hint that says what to do. Anything else that is thrown is a
 * bug, is shown with its stack, and asks for a report.
 */

/** Exit codes of the command line program. Documented in docs/exit-codes.md; scripts rely on them. */
export const EXIT = {
  ok: 0,
  /** The command was understood and could not be done. */
  failed: 1,
  /** The command line was wrong. */
  usage: 2,
  /** The guest, kernel or folder that was named does not exist. */
  notFound: 3,
  /** The thing asked for is not possible in the state that the guest is in. */
  conflict: 4,
  /** The machine lacks something that bootshare needs. */
  unusable: 5,
  /** Waiting came to its limit. */
  timeout: 6,
  /** Of a command whose exit code is that of a program in a guest: the machine for it could not be had, or was lost. */
  machine: 125,
  /** Likewise: the program was given a time, and that was up. */
  programTimeout: 124,
  /** The package that was to be built does not build. */
  buildFailed: 7,
  /** The guest that built it was lost, or its disk or mirror failed it: that says nothing about the package. */
  builderFailed: 8,
  /** An error in bootshare itself. */
  bug: 70,
  /** A person ended it (Ctrl-C); what a shell makes of SIGINT. */
  interrupted: 130,
} as const;

export interface UserErrorOptions {
  /** What to do about it: a command where there is one. */
  hint?: string;
  /** One of {@link EXIT}; 1 by default. */
  exitCode?: number;
  /** Last lines of a log that explain it, shown as they are after escaping. Not trusted. */
  detail?: string;
  cause?: unknown;
}

export class UserError extends Error {
  override readonly name = "UserError";
  readonly code: string;
  readonly hint: string | undefined;
  readonly exitCode: number;
  readonly detail: string | undefined;

  /**
   * @param code stable, upper case, words joined by underscores, for example `GUEST_NOT_FOUND`
   * @param sentence one sentence that names the object; it may hold text from a guest only after `printable()`
   */
  constructor(code: string, sentence: string, options: UserErrorOptions = {}) {
    super(sentence, options.cause === undefined ? {} : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.exitCode = options.exitCode ?? EXIT.failed;
    this.detail = options.detail;
  }
}

/** The `code` of a Node.js system error (`ENOENT`, …), or undefined for anything else. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return undefined;
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
