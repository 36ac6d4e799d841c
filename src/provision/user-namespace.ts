/**
 * Being root for a guest's files without being root of the host: a user namespace in which the user is root and the users
 * of the guest are the user's subordinate ids (user_namespaces(7), subuid(5)).
 *
 * The user's own number is 0 there, as virtiofsd and libvirt have it in session mode, too. So what is root's in the guest
 * is the user's outside: folders that only the user may enter are no obstacle, and bootshare handles root's files without
 * a namespace. Only what is of other users, or must be seen as it is in the guest (owners, file capabilities), needs one.
 */
import { existsSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { EXIT, UserError } from "../errors.ts";
import { workMode } from "../mode.ts";
import { run } from "../process.ts";
import { lastLines } from "../text.ts";

/** Options of unshare(1) that make the namespace; none for root, who needs none. */
export function namespaceOptions(mode: "system" | "session" = workMode().name): readonly string[] {
  // --map-auto is everything that the user's first line in /etc/subuid and /etc/subgid gives (util-linux 2.38).
  return mode === "system" ? [] : ["--user", "--map-root-user", "--map-auto"];
}

/** The command that runs a program as root of the guest's files. */
export function asGuestRoot(
  file: string,
  args: readonly string[],
  mode: "system" | "session" = workMode().name,
): { file: string; args: string[] } {
  const options = namespaceOptions(mode);
  if (options.length === 0) return { file, args: [...args] };
  return { file: "unshare", args: [...options, "--", file, ...args] };
}

/** Where subordinate numbers are given: a line `USER:FIRST:COUNT` each. */
export const SUBORDINATE_FILES = ["/etc/subuid", "/etc/subgid"] as const;
/** Debian's users and groups have numbers below this. */
const NEEDED = 65_536;
/** useradd gives out numbers from here (SUB_UID_MIN in login.defs). */
const FIRST = 100_000;

/** Whether a file of subordinate numbers gives a user enough of them, in the user's first line, which is what counts. */
export function hasSubordinates(text: string, user: string, uid: number): boolean {
  const line = lines(text).find(([name]) => name === user || name === String(uid));
  return line !== undefined && line[2] >= NEEDED;
}

/** The command, for root, that gives a user numbers that nobody has in either file. */
export function giveSubordinates(texts: readonly string[], user: string): string {
  const first = Math.max(FIRST, ...texts.flatMap(lines).map(([, start, count]) => start + count));
  const range = `${first}-${first + NEEDED - 1}`;
  return `usermod --add-subuids ${range} --add-subgids ${range} ${user}`;
}

function lines(text: string): [name: string, first: number, count: number][] {
  return text.split("\n").flatMap((line) => {
    const [name, first, count] = line.split(":");
    const numbers: [number, number] = [Number(first), Number(count)];
    const whole = name !== undefined && numbers.every((n) => Number.isSafeInteger(n) && n >= 0);
    return whole ? [[name, ...numbers] as [string, number, number]] : [];
  });
}

/**
 * Makes sure that this process can be root of a guest's files.
 *
 * @throws {UserError} `SUBORDINATE_IDS_MISSING`, `PROGRAM_MISSING`, `USER_NAMESPACE_REFUSED`
 */
export async function requireUserNamespace(): Promise<void> {
  if (workMode().name === "system") return;
  const { username, uid } = userInfo();
  const texts = SUBORDINATE_FILES.map((file) => (existsSync(file) ? readFileSync(file, "utf8") : ""));
  if (!texts.every((text) => hasSubordinates(text, username, uid))) {
    throw new UserError(
      "SUBORDINATE_IDS_MISSING",
      `The user ${username} has no ${NEEDED} subordinate user and group numbers (${SUBORDINATE_FILES.join(", ")}).`,
      { exitCode: EXIT.unusable, hint: `As root: ${giveSubordinates(texts, username)}` },
    );
  }
  if ((await run("newuidmap", [])).missing) {
    throw new UserError("PROGRAM_MISSING", "The program newuidmap is not installed.", {
      exitCode: EXIT.unusable,
      hint: "As root: apt-get install uidmap",
    });
  }
  const { file, args } = asGuestRoot("true", []);
  const tried = await run(file, args, { timeoutMs: 10_000 });
  if (tried.exitCode === 0) return;
  throw new UserError("USER_NAMESPACE_REFUSED", "This machine does not let users make user namespaces.", {
    exitCode: EXIT.unusable,
    detail: lastLines(tried.stderr),
    hint: "As root: sysctl user.max_user_namespaces and kernel.unprivileged_userns_clone say whether it is forbidden; AppArmor or a container may, too.",
  });
}
