/** Several packages at a time. */
import { setImmediate as pass } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { runJobs } from "../../../src/builder/jobs.ts";

/** Jobs that end when they are told to. */
function held() {
  const begun: string[] = [];
  const ends = new Map<string, { done: () => void; fail: (error: unknown) => void }>();
  const run = async (job: string): Promise<string> => {
    begun.push(job);
    return await new Promise<string>((resolve, reject) => {
      ends.set(job, { done: () => resolve(job.toUpperCase()), fail: reject });
    });
  };
  return {
    begun,
    run,
    done: (job: string) => ends.get(job)?.done(),
    fail: (job: string, error: unknown) => ends.get(job)?.fail(error),
  };
}

describe("runJobs", () => {
  it("runs so many at a time, and keeps the order of the results", async () => {
    const { begun, run, done } = held();
    const all = runJobs(["a", "b", "c"], 2, new AbortController().signal, run);
    expect(begun).toEqual(["a", "b"]);
    done("b");
    await pass();
    expect(begun).toEqual(["a", "b", "c"]);
    done("c");
    done("a");
    expect(await all).toEqual(["A", "B", "C"]);
  });

  it("throws what the first one threw when all are through, and begins no further one", async () => {
    const { begun, run, done, fail } = held();
    let settled = false;
    const all = runJobs(["a", "b", "c", "d"], 3, new AbortController().signal, run).finally(() => {
      settled = true;
    });
    const outcome = all.catch((error: unknown) => error);
    fail("b", new Error("first"));
    await pass();
    done("c");
    await pass();
    expect(settled).toBe(false);
    fail("a", new Error("second"));
    expect(await outcome).toMatchObject({ message: "first" });
    expect(begun).toEqual(["a", "b", "c"]);
  });

  it("begins none that is aborted, and throws why", async () => {
    const stop = new AbortController();
    const { begun, run, done } = held();
    const outcome = runJobs(["a", "b"], 1, stop.signal, run).catch((error: unknown) => error);
    stop.abort(new Error("interrupted"));
    done("a");
    expect(await outcome).toMatchObject({ message: "interrupted" });
    expect(begun).toEqual(["a"]);
  });
});
