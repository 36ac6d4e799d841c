/** One program in a guest that is there for it: files in, the program, files out. */
import { UserError } from "../errors.ts";
import { copyIn, copyOut } from "./copy.ts";
import { type InGuestOptions, type ReachableGuest, runInGuest } from "./in-guest.ts";

/** From where, to where. */
export type Copy = readonly [from: string, to: string];

export interface ProgramOptions extends Omit<InGuestOptions, "signal"> {
  readonly copyIn: readonly Copy[];
  readonly copyOut: readonly Copy[];
  /** When the program's time is up: it does not count what the copies take. None by default. */
  readonly limit?: { readonly ms: number; readonly reason: UserError } | undefined;
  /** A line on what was left out, or failed beside the point. Printable. */
  readonly onLine: (line: string, failed: boolean) => void;
}

/**
 * Copies into a guest, runs a program there, and copies out of it, however the program ended. One copy that fails does not keep
 * the others from being made.
 *
 * @returns the program's exit code. Where that is not 0, copies that failed are told by `onLine` alone: what a program that fails does
 *   not leave is not there to be copied
 * @throws {UserError} those of `copyIn` and `runInGuest`; that of the first copy out of the guest that failed; the limit's reason, when
 *   copies were made out of the guest; the signal's reason
 */
export async function runProgram(
  guest: ReachableGuest,
  command: readonly string[],
  { copyIn: into, copyOut: out, limit, onLine, ...streams }: ProgramOptions,
  signal: AbortSignal,
): Promise<number> {
  for (const [from, to] of into) await copyIn(guest, from, to, signal);
  const code = await inTime(
    limit,
    signal,
    async (ended) => await runInGuest(guest, command, { ...streams, signal: ended }),
  );
  const failures: unknown[] = [];
  for (const [from, to] of out) {
    try {
      const { leftOut } = await copyOut(guest, from, to, { signal });
      for (const one of leftOut) onLine(`Left out, as it is neither a file nor a folder: ${one}`, false);
    } catch (error) {
      signal.throwIfAborted();
      failures.push(error);
    }
  }
  const bug = failures.find((error) => !(error instanceof UserError));
  if (bug !== undefined) throw bug;
  const [thrown] = code === 0 ? failures : [];
  for (const error of failures) {
    if (error instanceof UserError && error !== thrown) onLine(`${error.message} [${error.code}]`, true);
  }
  if (thrown !== undefined) throw thrown;
  if (code === undefined) throw limit?.reason;
  return code;
}

/**
 * Does something within a time.
 *
 * @param act given what its time, or the signal, aborts
 * @returns undefined when its time was up
 */
async function inTime<T>(
  limit: ProgramOptions["limit"],
  signal: AbortSignal,
  act: (ended: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  if (limit === undefined) return await act(signal);
  const up = new AbortController();
  const timer = setTimeout(() => up.abort(limit.reason), limit.ms);
  try {
    return await act(AbortSignal.any([signal, up.signal]));
  } catch (error) {
    if (error !== limit.reason) throw error;
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}
