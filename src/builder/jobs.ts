/** Several packages, each in a guest of its own, so many at the same time. */
import { EXIT, UserError } from "../errors.ts";

/** What came of one package. */
export type Verdict = "built" | "failed" | "timeout" | "guest lost" | "error";

/**
 * Runs jobs in their order, at most so many at a time, and returns what came of each. What one of them throws is caught by
 * `settle`; once aborted no further one begins.
 */
export async function runJobs<Job, Result>(
  jobs: readonly Job[],
  limit: number,
  signal: AbortSignal,
  run: (job: Job) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < jobs.length; index = next++) {
      signal.throwIfAborted();
      const job = jobs[index];
      if (job !== undefined) results[index] = await run(job);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, jobs.length) }, worker));
  return results;
}

/** What an error of a build says of it. An error of bootshare's own is none of these, and goes on. */
export function verdictOf(error: unknown): Verdict {
  if (!(error instanceof UserError)) throw error;
  if (error.code === "BUILD_TIMEOUT") return "timeout";
  return error.code === "GUEST_LOST" ? "guest lost" : "error";
}

/** Which one a person has to look at first, where several things happened. */
const ORDER: readonly Verdict[] = ["error", "guest lost", "timeout", "failed", "built"];

/** The exit code for all packages together: that of the worst. */
export function exitCodeOf(
  results: readonly { readonly verdict: Verdict; readonly exitCode: number }[],
): number {
  const worst = ORDER.find((verdict) => results.some((result) => result.verdict === verdict));
  return results.find((result) => result.verdict === worst)?.exitCode ?? EXIT.ok;
}
