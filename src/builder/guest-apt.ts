/** apt in a guest, over ssh: what it prints goes to the guest's upgrade.log; only exit codes of a script of ours are read. */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { EXIT, UserError } from "../errors.ts";
import { findGuest, type Guest } from "../guest/inventory.ts";
import { captureInGuest, SSH_FAILED } from "../guest/ssh.ts";
import { shippedFile } from "../paths.ts";
import { printable } from "../text.ts";

export interface AptOptions {
  /** Milliseconds from the call on. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** Exit codes of upgrade-in-guest.sh. */
const CODE = { ok: 0, todo: 3, update: 11, upgrade: 12, ended: 13, ssh: SSH_FAILED } as const;

/** A connection that breaks is made again, so many times; what runs in the guest goes on meanwhile. */
const RECONNECTS = 5;
const RECONNECT_AFTER_MS = 15_000;

/** A guest that writes more than this into its log keeps the rest to itself, in bytes of text. */
const LOG_CAP = 4 * 1024 * 1024;
/** Lines of output in an error. */
const SHOWN_LINES = 12;

/**
 * Brings the lists of a guest's apt up to date.
 *
 * @returns whether there is anything to upgrade: the guest's own word, of effect on that guest alone
 * @throws {UserError} `UPGRADE_APT_FAILED`, `UPGRADE_SSH_LOST`, `UPGRADE_TIMEOUT`
 * @throws the signal's reason when aborted
 */
export async function hasUpgrades(guest: Guest, options: AptOptions): Promise<boolean> {
  return (await runScript(guest, "check", options)) === CODE.todo;
}

/**
 * Upgrades everything in a guest, configuration files that somebody changed kept. It goes on in the guest when this is given
 * up or killed; doing it again looks on.
 *
 * @throws as {@link hasUpgrades}
 */
export async function upgradeEverything(guest: Guest, options: AptOptions): Promise<void> {
  await runScript(guest, "upgrade", options);
}

async function runScript(guest: Guest, what: "check" | "upgrade", options: AptOptions): Promise<number> {
  const { timeoutMs, signal } = options;
  const until = Date.now() + timeoutMs;
  const log = new Log(guest.paths.upgradeLog, what);
  for (let lost = 0; ; lost++) {
    signal.throwIfAborted();
    const present = await findGuest(guest.uuid);
    const ran = await captureInGuest(present, ["sh", "-s", what], {
      input: readFileSync(scriptFile(), "utf8"),
      timeoutMs: Math.max(1, until - Date.now()),
      signal,
      onLine: (line) => log.add(line),
    });
    signal.throwIfAborted();
    if (ran.timedOut) {
      throw new UserError(
        "UPGRADE_TIMEOUT",
        `apt in the guest ${guest.name} did not finish within ${Math.round(timeoutMs / 1000)} s; it goes on there.`,
        {
          exitCode: EXIT.timeout,
          detail: log.end(),
          hint: `${seeLog(guest)}; --apt-timeout gives it longer.`,
        },
      );
    }
    switch (ran.exitCode) {
      case CODE.ok:
      case CODE.todo:
        return ran.exitCode;
      case CODE.ssh:
        if (lost < RECONNECTS) {
          await sleep(RECONNECT_AFTER_MS, undefined, { signal });
          continue;
        }
        throw new UserError(
          "UPGRADE_SSH_LOST",
          `The connection to the guest ${guest.name} was lost while apt ran there.`,
          { detail: log.end(), hint: `${seeLog(guest)} and 'bootshare status ${guest.name}'.` },
        );
      default:
        throw new UserError("UPGRADE_APT_FAILED", `In the guest ${guest.name} ${whatFailed(ran.exitCode)}.`, {
          detail: log.end(),
          hint: `${seeLog(guest)}; mend it with 'bootshare ssh ${guest.name}'.`,
        });
    }
  }
}

/** Follows "In the guest NAME". */
function whatFailed(code: number): string {
  switch (code) {
    case CODE.update:
      return "apt-get update failed";
    case CODE.upgrade:
      return "apt-get or dpkg failed";
    case CODE.ended:
      return "the upgrade was ended before it was through";
    default:
      return `the upgrade failed with exit code ${code}`;
  }
}

function seeLog({ name }: Guest): string {
  return `See 'bootshare logs ${name} --source upgrade'`;
}

function scriptFile(): string {
  const built = shippedFile("upgrade-in-guest.sh");
  return existsSync(built) ? built : shippedFile("src/builder/upgrade-in-guest.sh");
}

/** The guest's upgrade.log: begun anew by the check of each upgrade, and bounded. */
class Log {
  readonly #file: string;
  readonly #last: string[] = [];
  #room = LOG_CAP;

  constructor(file: string, what: "check" | "upgrade") {
    this.#file = file;
    const head = `# ${new Date().toISOString()} ${what}\n`;
    if (what === "check") writeFileSync(file, head, { mode: 0o600 });
    else appendFileSync(file, head, { mode: 0o600 });
  }

  add(line: string): void {
    this.#last.push(printable(line, 300));
    if (this.#last.length > SHOWN_LINES) this.#last.shift();
    const text = `${line}\n`;
    if (this.#room < text.length) this.#room = 0;
    else {
      this.#room -= text.length;
      appendFileSync(this.#file, text);
    }
  }

  /** The last lines, printable. */
  end(): string {
    return this.#last.join("\n");
  }
}
