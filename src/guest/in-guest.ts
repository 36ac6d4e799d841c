/** Running a program in a guest that can be reached by ssh. */
import { EXIT, UserError } from "../errors.ts";
import { runStreaming, type Streams } from "../process.ts";
import { exitCodeInGuest } from "./exit-code.ts";
import type { Guest } from "./inventory.ts";
import type { Endpoint } from "./ssh.ts";

/** A guest whose ssh server is known to answer. */
export interface ReachableGuest extends Guest {
  readonly endpoint: Endpoint;
}

export interface InGuestOptions extends Streams {
  readonly signal?: AbortSignal | undefined;
  /** The program gets a terminal; of use where our own streams are one, and are inherited. */
  readonly terminal?: boolean | undefined;
}

/**
 * Runs a program in a guest, as root. Arguments arrive as they are given here: no shell takes them apart. What it prints is the
 * guest's, and not trusted; by default it goes to our own standard output and error, and its input is empty.
 *
 * @returns its exit code; 128 + N where signal N ended it
 * @throws {UserError} `GUEST_LOST` when the connection broke, or could not be made; the signal's reason when aborted
 */
export async function runInGuest(
  guest: ReachableGuest,
  command: readonly string[],
  { signal, terminal, ...streams }: InGuestOptions = {},
): Promise<number> {
  const code = await exitCodeInGuest(
    guest,
    guest.endpoint,
    command,
    { terminal: terminal === true, signal },
    async (args) => await runStreaming("ssh", args, streams, signal),
  );
  if (code !== undefined) return code;
  throw new UserError("GUEST_LOST", `The connection to the guest ${guest.name} is lost.`, {
    exitCode: EXIT.failed,
    hint: "It may have crashed, or been stopped; its serial log may say more.",
  });
}
