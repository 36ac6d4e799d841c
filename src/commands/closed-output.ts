/** Standard output and error that nobody reads any more: that is no error of ours, and leaves nothing half done. */
import type { EventEmitter } from "node:events";
import { EXIT, errnoOf } from "../errors.ts";
import { endRunning } from "./signals.ts";

/** A pipe whose reader is gone, and a terminal that is closed. */
const CLOSED: readonly (string | undefined)[] = ["EPIPE", "EIO"];

/**
 * What becomes of the command when a write fails.
 *
 * - Standard output goes into a pipe that nobody reads (`| head`): it ends, as a signal ends it where it takes back what it made,
 *   else at once and without a word.
 * - A terminal that is closed sends SIGHUP to whom it concerns: who still runs goes on, unseen.
 * - Standard error is for people: the command goes on without them. After Ctrl-C in `2>&1 | tee` it has yet to clean up.
 *
 * @param exit ends the process
 */
export function outliveReaders(
  stdout: EventEmitter,
  stderr: EventEmitter,
  exit: (code: typeof process.exitCode) => void,
): void {
  const unlessClosed = (error: unknown): void => {
    if (!CLOSED.includes(errnoOf(error))) throw error;
  };
  stderr.on("error", unlessClosed);
  stdout.on("error", (error: unknown) => {
    unlessClosed(error);
    if (errnoOf(error) === "EPIPE" && !endRunning("SIGPIPE")) exit(process.exitCode ?? EXIT.ok);
  });
}
