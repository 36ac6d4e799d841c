/** A guest with two workers of a real OBS, without a build: they register, are idle, are drained, are down, and come back. See test/obs. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { removeBackend, startBackend } from "../obs/backend.ts";
import { bootshare, keepLogsOnFailure } from "../vm/machine.ts";
import { createWorker, deleteGuest, expectRegistered, untilWorker } from "../vm/workers.ts";

const NAME = "bs-test-smoke-worker";

describe("two OBS workers in one guest, bookworm", () => {
  beforeAll(async () => {
    await deleteGuest(NAME);
    await startBackend();
    await createWorker(NAME, "--suite", "bookworm", "--instances", "2");
  });
  afterAll(async () => {
    await deleteGuest(NAME);
    await removeBackend();
  });

  it("register when its boot is good", async () => {
    keepLogsOnFailure(NAME, "worker registers");
    await expectRegistered(NAME, 2);
  });

  it("are down when it is drained, and idle again when it is put back", async () => {
    keepLogsOnFailure(NAME, "worker is drained");
    expect(await bootshare("drain", NAME)).toContain(`${NAME} is drained`);
    const away = await untilWorker(NAME, "down", 60);
    expect(away).toMatchObject({ state: "running", job: null, drained: expect.stringMatching(/^20/) });
    await bootshare("undrain", NAME);
    expect(await untilWorker(NAME, "idle")).toMatchObject({ id: `${NAME}:1`, drained: null });
  });
});
