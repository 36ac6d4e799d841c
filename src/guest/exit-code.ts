/** The exit code of a program that ssh runs in a guest, told from ssh's own. */
import { randomBytes } from "node:crypto";
import { run } from "../process.ts";
import type { Guest } from "./inventory.ts";
import { type Endpoint, SSH_FAILED, sshArguments } from "./ssh.ts";

/**
 * Runs the program as a child of a shell: ssh returns 255 for a program that a signal ended, a shell 128 + its number. A program
 * that returned 255 itself leaves a mark. What the terminal interrupts is the program's to answer, not the shell's.
 */
const MARKING = `trap : INT QUIT; "$@"; code=$?; [ "$code" -ne 255 ] || : >"$0"; exit "$code"`;

/** How long the guest may take to say whether there is a mark, in milliseconds. It has just run a program. */
const MARK_MS = 60_000;

/**
 * Runs a program in a guest over ssh, as root; arguments as {@link sshArguments} takes them.
 *
 * @param act runs ssh(1) with these arguments and returns its exit code
 * @returns the program's exit code, by the guest's word; 128 + N where signal N ended it; undefined where ssh could not connect, or
 *   lost its connection
 * @throws the signal's reason when aborted
 */
export async function exitCodeInGuest(
  guest: Guest,
  endpoint: Endpoint,
  command: readonly string[],
  { terminal = false, signal }: { readonly terminal?: boolean; readonly signal?: AbortSignal | undefined },
  act: (sshArgs: readonly string[]) => Promise<number>,
): Promise<number | undefined> {
  const mark = `/run/bootshare-exit-${randomBytes(8).toString("hex")}`;
  const marking = ["sh", "-c", MARKING, mark, ...command];
  const code = await act(sshArguments(guest, endpoint, marking, { terminal }));
  if (code !== SSH_FAILED) return code;
  const asked = await run("ssh", sshArguments(guest, endpoint, ["rm", mark]), {
    timeoutMs: MARK_MS,
    ...(signal === undefined ? {} : { signal }),
  });
  signal?.throwIfAborted();
  return asked.exitCode === 0 ? SSH_FAILED : undefined;
}
