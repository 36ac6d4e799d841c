/** What ends a command from outside, as an AbortSignal: so that it can take back what it made. */

/** Ctrl-C, `kill`, and a terminal that is closed. */
const ENDING = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** What ends a command. SIGPIPE never comes, as Node.js ignores it: {@link endRunning} stands for it. */
export type EndingSignal = (typeof ENDING)[number] | "SIGPIPE";

/** The exit code of a command that a signal ended, as a shell has it: 128 and the signal's number (signal(7)). */
export const SIGNAL_EXIT: Readonly<Record<EndingSignal, number>> = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGPIPE: 141,
  SIGTERM: 143,
};

/** What ends each {@link endedBySignals} that is under way. */
const running = new Set<(signal: EndingSignal) => void>();

/**
 * Ends what {@link endedBySignals} does at the moment, as that signal would.
 *
 * @returns false where there is nothing of that kind
 */
export function endRunning(signal: EndingSignal): boolean {
  for (const end of running) end(signal);
  return running.size > 0;
}

/**
 * Does something that one of these signals aborts. Further ones change nothing: what was begun is taken back first.
 *
 * @param act given what is aborted, and what aborts it for a reason of its own
 * @param reasonOf what a signal aborts it with
 * @returns what `act` returns
 * @throws the reason when it was aborted, else what `act` throws
 */
export async function endedBySignals<T>(
  act: (stop: AbortController) => Promise<T>,
  reasonOf: (signal: EndingSignal) => unknown,
): Promise<T> {
  const stop = new AbortController();
  const end = (signal: EndingSignal): void => {
    if (!stop.signal.aborted) stop.abort(reasonOf(signal));
  };
  const onSignal = (signal: NodeJS.Signals): void => {
    const ending = ENDING.find((one) => one === signal);
    if (ending !== undefined) end(ending);
  };
  running.add(end);
  for (const signal of ENDING) process.on(signal, onSignal);
  try {
    return await act(stop);
  } catch (error) {
    throw stop.signal.aborted ? stop.signal.reason : error;
  } finally {
    for (const signal of ENDING) process.off(signal, onSignal);
    running.delete(end);
  }
}
