/** Several packages, each in a guest of its own, so many at the same time. */
import { EXIT, UserError } from "../errors.ts";

/** What came of one package. */
export type Verdict = "built" | "failed" | "timeout" | "guest lost" | "error";

/**
 * Runs jobs in their order, at most so many at a time, and returns what came of each. Once one of them threw, or all were
 * aborted, no further one begins.
 *
 * @throws what the first of them threw, when all that had begun are through: until then they need what the caller takes away
 */
export async function runJobs<Job, Result>(
  jobs: readonly Job[],
  limit: number,
  signal: AbortSignal,
  run: (job: Job) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const thrown: unknown[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    try {
      for (let index = next++; index < jobs.length && thrown.length === 0; index = next++) {
        signal.throwIfAborted();
        const job = jobs[index];
        if (job !== undefined) results[index] = await run(job);
      }
    } catch (error) {
      thrown.push(error);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, jobs.length) }, worker));
  if (thrown.length > 0) throw thrown[0];
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
