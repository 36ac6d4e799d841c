/**
 * Which stage a build is in, and whose failure it is, from sbuild's log. Pure. A package can print anything, and so pass its own
 * failure off as the machine's: that is never better for it than to fail.
 */

/** The stages in their order; those before `chroot` are bootshare's own. */
export const STAGES = [
  "boot",
  "copy in",
  "chroot",
  "source",
  "dependencies",
  "build",
  "post-build",
  "summary",
  "copy out",
] as const;
export type Stage = (typeof STAGES)[number];

/** What {@link STAGES} are called for people. */
export const STAGE_TITLES: Readonly<Record<Stage, string>> = {
  boot: "boot a guest",
  "copy in": "copy the source into the guest",
  chroot: "unpack the chroot",
  source: "unpack the source",
  dependencies: "install build dependencies",
  build: "build",
  "post-build": "post-build",
  summary: "summary",
  "copy out": "copy the packages out of the guest",
};

/** sbuild's headings (`log_subsection` in Sbuild::Build and Sbuild::ResolverBase). Others stay in the stage before them. */
const HEADINGS: readonly (readonly [RegExp, Stage])[] = [
  [/^(Update chroot|Chroot Setup Commands)$/, "chroot"],
  [/^(Fetch source files|Check architectures)$/, "source"],
  [/^Install .*build dependencies/, "dependencies"],
  [/^Build environment$/, "dependencies"],
  [/^Build$/, "build"],
  [/^(Post Build|Buildinfo|Package contents|Changes)/, "post-build"],
  [/^Summary$/, "summary"],
];

/** What came of a build: what sbuild writes in its summary, and whose fault it was. */
export interface Summary {
  /** `successful`, `failed`, `attempted`, `given-back`, `skipped`. */
  readonly status: string | undefined;
  /** `build`, `install-deps`, `fetch-src`, `unpack`, …; undefined where it did not fail. */
  readonly failStage: string | undefined;
  /** The first line by which apt or dpkg, before the package's own part, says that the mirror or the disk is at fault. */
  readonly trouble: string | undefined;
}

/** `failstage` of Sbuild::Build where the guest or its mirror is what failed: nothing of the package was looked at by then. */
const MACHINE_STAGES: ReadonlySet<string> = new Set([
  "init",
  "create-session",
  "lock-session",
  "create-build-dir",
  "chroot-arch",
  "run-chroot-setup-commands",
  "resolver setup",
  "apt-get-clean",
  "apt-get-update",
  "apt-get-upgrade",
  "apt-get-dist-upgrade",
  "check-space",
  "dump-build-env",
]);

/** What apt and dpkg say where it is not for the dependencies that they could not be installed. */
const MACHINE_TROUBLE = [
  /^E: (Failed to fetch |Unable to fetch some archives|You don't have enough free space in )/,
  /^ .*\(No space left on device\)$/,
] as const;

/** Whether it was the machine that failed (the guest, its disk, its mirror), which says nothing about the package. */
export function isMachineFailure({ failStage, trouble }: Summary): boolean {
  if (failStage === undefined) return false;
  return MACHINE_STAGES.has(failStage) || (failStage === "install-deps" && trouble !== undefined);
}

/** Reads a log line by line, in any number of pieces. */
export class StageReader {
  #before: readonly [string, string] = ["", ""];
  #stage: Stage = "chroot";
  #status: string | undefined;
  #failStage: string | undefined;
  #trouble: string | undefined;

  get stage(): Stage {
    return this.#stage;
  }

  get summary(): Summary {
    return { status: this.#status, failStage: this.#failStage, trouble: this.#trouble };
  }

  /**
   * @param line without its line feed
   * @returns the stage that begins with this line; undefined where the last one goes on
   */
  push(line: string): Stage | undefined {
    const [rule, title] = this.#before;
    this.#before = [title, line];
    const heading = isRule(rule) && isRule(line) ? /^\| (.+?) *\|$/.exec(title)?.[1] : undefined;
    if (heading === undefined) {
      if (this.#stage === "summary") this.#readSummary(line);
      else if (this.#trouble === undefined && isTrouble(this.#stage, line)) this.#trouble = line;
      return undefined;
    }
    const next = HEADINGS.find(([pattern]) => pattern.test(heading))?.[1];
    // sbuild never goes back; what a package prints may look as if it did.
    if (next === undefined || STAGES.indexOf(next) <= STAGES.indexOf(this.#stage)) return undefined;
    this.#stage = next;
    return next;
  }

  #readSummary(line: string): void {
    const [, field, value] = /^(Status|Fail-Stage): ([a-z -]{1,40})$/.exec(line) ?? [];
    if (field === "Status") this.#status = value;
    if (field === "Fail-Stage") this.#failStage = value;
  }
}

function isTrouble(stage: Stage, line: string): boolean {
  if (STAGES.indexOf(stage) > STAGES.indexOf("dependencies")) return false;
  return MACHINE_TROUBLE.some((pattern) => pattern.test(line));
}

function isRule(line: string): boolean {
  return /^\+-{5,}\+$/.test(line);
}
