/** Watching an installer that nobody else watches: shows how it goes, and ends one that will not come to its end. */
import { EXIT, UserError } from "../errors.ts";
import { InstallerConsole, type InstallerEvent, stepName } from "../provision/installer/console.ts";
import type { ProvisionProgress } from "../provision/provision.ts";
import { printable } from "../text.ts";
import { LogFollower } from "./log-follower.ts";

/** How much of the time that it may be silent it is given where it seems to ask for a password. */
const ASKING = 1 / 8;

export interface WatchOptions {
  /** The file that its console is logged to. */
  readonly serialLog: string;
  /** How long its console may be silent, in milliseconds. */
  readonly silentMs: number;
  /** A person watches, and answers: nothing is judged. */
  readonly interactive: boolean;
}

export class InstallerWatch {
  readonly #console = new InstallerConsole();
  readonly #log: LogFollower;
  readonly #options: WatchOptions;
  readonly #progress: Pick<ProvisionProgress, "line">;
  readonly #now: () => number;
  #step: string | undefined;
  #heard: number;

  /** @param now milliseconds of a clock */
  constructor(
    options: WatchOptions,
    progress: Pick<ProvisionProgress, "line">,
    now: () => number = Date.now,
  ) {
    this.#options = options;
    this.#progress = progress;
    this.#log = new LogFollower(options.serialLog);
    this.#now = now;
    this.#heard = now();
  }

  /**
   * Looks at what is new.
   *
   * @throws {UserError} `INSTALLER_FAILED`, `INSTALLER_ASKS`, `NETBOOT_OUTDATED`, `INSTALLER_TIMEOUT`
   */
  look(): void {
    const text = this.#log.next();
    if (text !== "") this.#heard = this.#now();
    const events = this.#console.feed(text);
    if (this.#options.interactive) return;
    for (const event of events) this.#take(event);
    const silent = this.#now() - this.#heard;
    if (silent > this.#options.silentMs * ASKING && this.#console.mayWait) throw this.#asks();
    if (silent > this.#options.silentMs) throw this.tooLong();
  }

  #take(event: InstallerEvent): void {
    switch (event.kind) {
      case "step":
        this.#step = stepName(event.item);
        this.#progress.line(this.#step);
        return;
      case "line":
        this.#progress.line(this.#step === undefined ? event.line : `${this.#step}: ${event.line}`);
        return;
      case "failed":
        this.#step = stepName(event.item);
        throw this.failed("A step failed.");
      case "panic":
        throw this.failed("Its kernel panicked.");
      case "question":
        throw this.#asks();
      case "no-modules":
        throw new UserError(
          "NETBOOT_OUTDATED",
          `The mirror has no modules for the installer's kernel ${printable(event.release)}.`,
          {
            hint: "The netboot images and the mirror are of different ages: take newer images (--netboot), or another mirror (--mirror).",
          },
        );
    }
  }

  #asks(): UserError {
    return new UserError(
      "INSTALLER_ASKS",
      `Debian's installer asks something that it was given no answer to${this.#at}.`,
      {
        detail: this.#console.lastLines,
        hint: "Answer it in a preseed file (--preseed FILE), or on the console (--interactive). A file that its mirror lacks is such a question, too.",
      },
    );
  }

  /** Where it was, as the end of a sentence. */
  get #at(): string {
    return this.#step === undefined ? "" : ` (at: ${printable(this.#step)})`;
  }

  /** @param why a sentence */
  failed(why: string): UserError {
    return new UserError("INSTALLER_FAILED", `Debian's installer failed${this.#at}. ${why}`, {
      detail: this.#console.lastLines,
      hint: "With --keep its whole log stays, in serial.log; --interactive lets you see to it on the console.",
    });
  }

  tooLong(): UserError {
    return new UserError("INSTALLER_TIMEOUT", `Debian's installer did not come to its end${this.#at}.`, {
      exitCode: EXIT.timeout,
      detail: this.#console.lastLines,
      hint: "It may wait for something: --interactive shows its console.",
    });
  }
}
