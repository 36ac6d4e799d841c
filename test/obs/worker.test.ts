/** A guest as a worker of a real OBS: it registers, builds, is drained in the middle of a build, and comes back. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bootshare, keepLogsOnFailure, statusOf, tryBootshare } from "../vm/machine.ts";
import { createWorker, deleteGuest, expectRegistered, untilWorker, workerOf } from "../vm/workers.ts";
import {
  buildersOf,
  buildLog,
  makeProject,
  publishedDebs,
  putPackage,
  removeBackend,
  resultsOf,
  startBackend,
  untilResults,
} from "./backend.ts";

const NAME = "bs-test-worker";
const PROJECT = "test";
/** A build installs some seventy packages into its build root, all emulated. */
const BUILD_SECONDS = 1500;

describe("an OBS worker, trixie", () => {
  beforeAll(async () => {
    await deleteGuest(NAME);
    await startBackend("amd64");
    await makeProject(PROJECT, "amd64");
    await createWorker(NAME, "--suite", "trixie");
  });
  afterAll(async () => {
    if (process.env["BOOTSHARE_KEEP_GUESTS"] === "1") return;
    await deleteGuest(NAME);
    await removeBackend();
  });

  const test = (title: string, body: () => Promise<void>): void => {
    it(title, async () => {
      keepLogsOnFailure(NAME, `worker ${title}`);
      await body();
    });
  };

  test("registers when its boot is good", async () => {
    await expectRegistered(NAME);
  });

  test("builds a package, which is published", async () => {
    await putPackage(PROJECT, "tiny");
    await untilResults(PROJECT, { "tiny x86_64": "succeeded" }, BUILD_SECONDS);
    const log = await buildLog(PROJECT, "tiny", "amd64");
    expect(log).toContain((await statusOf(NAME)).kernel ?? "?");
    expect(await buildersOf(PROJECT, "amd64", "tiny")).toEqual([`${NAME}:1`]);
    await expect
      .poll(() => publishedDebs(PROJECT), { timeout: 60_000 })
      .toEqual([
        // OBS adds its own release to the version.
        expect.stringMatching(/^tiny_1\.0.*_all\.deb$/),
      ]);
  });

  test("finishes what it builds when it is drained, and gets nothing more", async () => {
    await putPackage(PROJECT, "slow", { seconds: 60 });
    await untilWorker(NAME, "building");
    await putPackage(PROJECT, "queued");
    expect((await workerOf(NAME)).job).toMatchObject({ project: PROJECT, package: "slow", arch: "x86_64" });

    const early = await tryBootshare("drain", NAME, "--timeout", "1");
    expect(early.exitCode).toBe(6);
    expect(early.stderr).toContain(`The guest ${NAME} is still building ${PROJECT}/slow (x86_64) after 1 s`);
    expect(await workerOf(NAME)).toMatchObject({ obs: "building", drained: expect.any(String) });

    const drained = await bootshare("drain", NAME, "--timeout", String(BUILD_SECONDS));
    expect(drained).toContain(`${NAME} is drained`);
    expect(await resultsOf(PROJECT)).toMatchObject({
      "slow x86_64": "succeeded",
      "queued x86_64": "scheduled",
    });
    expect(await buildersOf(PROJECT, "amd64", "slow")).toEqual([`${NAME}:1`]);
    // The server forgets a worker that went after its job; it has one as down that went while it was idle.
    expect(await workerOf(NAME)).toMatchObject({
      obs: null,
      state: "running",
      drained: expect.any(String),
    });
  });

  test("stays away over a reboot, until it is put back", async () => {
    await bootshare("reboot", NAME, "--wait", "--timeout", "900");
    expect(await workerOf(NAME)).toMatchObject({ obs: null, boot: "good", drained: expect.any(String) });
    expect((await resultsOf(PROJECT))["queued x86_64"]).toBe("scheduled");
    await bootshare("undrain", NAME);
    await untilResults(PROJECT, { "queued x86_64": "succeeded" }, BUILD_SECONDS);
    expect(await buildersOf(PROJECT, "amd64", "queued")).toEqual([`${NAME}:1`]);
    expect(await workerOf(NAME)).toMatchObject({ id: `${NAME}:1`, drained: null });
  });

  test("goes on with its build when a drain is taken back", async () => {
    await putPackage(PROJECT, "kept", { seconds: 5 });
    await untilWorker(NAME, "building");
    const drains = tryBootshare("drain", NAME);
    await expect.poll(async () => (await workerOf(NAME)).drained, { timeout: 60_000 }).not.toBe(null);
    await sleep(15_000);
    await bootshare("undrain", NAME);
    const { exitCode, stderr } = await drains;
    expect([exitCode, stderr]).toEqual([4, expect.stringContaining("[DRAIN_TAKEN_BACK]")]);
    await untilResults(PROJECT, { "kept x86_64": "succeeded" }, BUILD_SECONDS);
    await untilWorker(NAME, "idle");
    expect(await buildersOf(PROJECT, "amd64", "kept")).toEqual([`${NAME}:1`]);
  });
});
