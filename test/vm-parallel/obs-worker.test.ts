/** A guest as a worker of a real OBS, without a build: it registers, is idle, is drained, is down, and comes back. See test/obs. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { removeBackend, startBackend } from "../obs/backend.ts";
import { bootshare, keepLogsOnFailure } from "../vm/machine.ts";
import { createWorker, deleteGuest, expectRegistered, untilWorker } from "../vm/workers.ts";

const NAME = "bs-test-smoke-worker";

describe("an OBS worker, bookworm", () => {
  beforeAll(async () => {
    await deleteGuest(NAME);
    await startBackend();
    await createWorker(NAME, "--suite", "bookworm");
  });
  afterAll(async () => {
    await deleteGuest(NAME);
    await removeBackend();
  });

  it("registers when its boot is good", async () => {
    keepLogsOnFailure(NAME, "worker registers");
    await expectRegistered(NAME);
  });

  it("is down when it is drained, and idle again when it is put back", async () => {
    keepLogsOnFailure(NAME, "worker is drained");
    expect(await bootshare("drain", NAME)).toContain(`${NAME} is drained`);
    const away = await untilWorker(NAME, "down", 60);
    expect(away).toMatchObject({ state: "running", job: null, drained: expect.stringMatching(/^20/) });
    await bootshare("undrain", NAME);
    expect(await untilWorker(NAME, "idle")).toMatchObject({ id: `${NAME}:1`, drained: null });
  });
});
