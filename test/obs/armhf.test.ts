/** An armhf guest as a worker of a real OBS, with bookworm's package obs-worker: what bootshare began with. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createForeign } from "../vm/guests.ts";
import { bootshare, keepLogsOnFailure, statusOf } from "../vm/machine.ts";
import { deleteGuest, expectRegistered, WORKER_OPTIONS, workerOf } from "../vm/workers.ts";
import {
  buildersOf,
  buildLog,
  makeProject,
  publishedDebs,
  putPackage,
  removeBackend,
  startBackend,
  untilResults,
} from "./backend.ts";

const NAME = "bs-test-armhf-worker";
const PROJECT = "arm";
/** A build installs a whole build root, emulated, at a quarter of the speed of an emulated amd64 guest. */
const BUILD_SECONDS = 3000;

describe("an OBS worker, bookworm on armhf", () => {
  beforeAll(async () => {
    await deleteGuest(NAME);
    await startBackend("armhf");
    await makeProject(PROJECT, "armhf");
    await createForeign(NAME, "armhf", "--suite", "bookworm", ...WORKER_OPTIONS);
  });
  afterAll(async () => {
    if (process.env["BOOTSHARE_KEEP_GUESTS"] === "1") return;
    await deleteGuest(NAME);
    await removeBackend();
  });

  it("registers, builds a package for armv7l, which is published, and is drained", async () => {
    keepLogsOnFailure(NAME, "worker armhf");
    await expectRegistered(NAME);
    await putPackage(PROJECT, "tiny");
    await untilResults(PROJECT, { "tiny armv7l": "succeeded" }, BUILD_SECONDS);
    const log = await buildLog(PROJECT, "tiny", "armhf");
    const { kernel } = await statusOf(NAME);
    expect(kernel).toMatch(/-armmp-lpae$/);
    expect(log).toContain(kernel);
    expect(log).toContain("armv7l");
    expect(await buildersOf(PROJECT, "armhf", "tiny")).toEqual([`${NAME}:1`]);
    await expect
      .poll(() => publishedDebs(PROJECT), { timeout: 60_000 })
      .toEqual([expect.stringMatching(/^tiny_1\.0.*_all\.deb$/)]);

    expect(await bootshare("drain", NAME, "--timeout", "300")).toContain(`${NAME} is drained`);
    expect(await workerOf(NAME)).toMatchObject({ state: "running", drained: expect.any(String) });
  });
});
