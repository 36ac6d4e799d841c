/** The log of a build on a disk that takes no more. */
import type * as Fs from "node:fs";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { BuildLog } from "../../../src/builder/log.ts";

vi.mock("node:fs", async (original) => ({
  ...(await original<typeof Fs>()),
  writeSync: () => {
    throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
  },
}));

it("ends its build, says why once, and goes on taking what still comes", async () => {
  const folder = mkdtempSync(join(tmpdir(), "bootshare-log-"));
  const reasons: unknown[] = [];
  const log = new BuildLog(join(folder, "log"), { stage: () => {}, line: () => {} }, (why) =>
    reasons.push(why),
  );
  for (const line of ["one\n", "two\n"])
    await new Promise<void>((resolve, reject) => {
      log.write(line, (error) => (error === null || error === undefined ? resolve() : reject(error)));
    });
  log.close();
  expect(reasons).toMatchObject([{ code: "DISK_FULL", message: `The file system of ${folder} is full.` }]);
  rmSync(folder, { recursive: true });
});
