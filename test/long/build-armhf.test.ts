/** `hello` for 32-bit ARM, emulated. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { tryForeign } from "../vm/guests.ts";
import { keepLogsOnFailure, tryBootshare } from "../vm/machine.ts";

const SUITE = "bookworm";
const BUILDER = `builder-${SUITE}-armhf`;
const output = mkdtempSync(join(tmpdir(), "bootshare-build-armhf-"));
afterAll(async () => {
  await tryBootshare("delete", "--force", BUILDER);
  rmSync(output, { recursive: true });
});

it("builds hello for armhf", { timeout: 3 * 3_600_000 }, async () => {
  keepLogsOnFailure(BUILDER, "build hello armhf");
  const what = ["--suite", SUITE, "--arch", "armhf", "--cpus", "1", "--memory", "1G", "--output", output];
  const ran = await tryForeign("build", ...what, "--json", "hello");
  expect(JSON.parse(ran.stdout), ran.stderr.slice(-3000)).toMatchObject([{ result: "built", arch: "armhf" }]);
  expect(ran.exitCode).toBe(0);
  expect(ran.stdout).toMatch(/hello_.*_armhf\.deb/);
});
