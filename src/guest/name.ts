/** Names of guests: what can be one, and that nobody else takes it at the same moment. */
import { closeSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { EXIT, UserError } from "../errors.ts";
import { makeStateFolder } from "../folders.ts";
import { type DomainEntry, domainStatuses } from "../libvirt/virsh.ts";
import { statePaths } from "../paths.ts";
import { tryLock } from "../process.ts";
import { printable } from "../text.ts";

/** The longest name: the domain's socket and log files carry it. */
const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** @throws {UserError} `NAME_INVALID` */
export function checkName(name: string): void {
  if (NAME_PATTERN.test(name)) return;
  throw new UserError("NAME_INVALID", `${printable(name)} cannot be the name of a guest.`, {
    exitCode: EXIT.usage,
    hint: "Letters, digits, dots, hyphens and underscores, at most 63, beginning with a letter or a digit.",
  });
}

/**
 * @param domains libvirt's, all of them; asked for where they are not given
 * @throws {UserError} `NAME_TAKEN` where libvirt has a domain of this name, whoever's it is
 */
export async function requireFreeName(
  name: string,
  domains?: readonly Pick<DomainEntry, "name">[],
): Promise<void> {
  if (!(domains ?? (await domainStatuses())).some((domain) => domain.name === name)) return;
  throw new UserError("NAME_TAKEN", `libvirt has a domain named ${name} already; nothing was changed.`, {
    exitCode: EXIT.conflict,
    hint: `Choose another name, or remove it with 'bootshare delete ${name}'.`,
  });
}

/**
 * Keeps other commands from making a guest of this name at the same time. The lock goes with the process, however it ends.
 *
 * @returns gives it back
 * @throws {UserError} `NAME_TAKEN`
 */
export function lockName(name: string): () => void {
  const { root, work } = statePaths();
  for (const folder of [root, work]) makeStateFolder(folder);
  const file = join(work, `${name}.lock`);
  const fd = openSync(file, "a", 0o600);
  if (!tryLock(fd)) {
    closeSync(fd);
    throw new UserError("NAME_TAKEN", `Another command is making a guest named ${name} at this moment.`, {
      exitCode: EXIT.conflict,
    });
  }
  return () => {
    // Should another command have opened it by now, that one finds the domain, or makes it with nobody in its way.
    rmSync(file, { force: true });
    closeSync(fd);
  };
}
