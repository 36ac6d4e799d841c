/** `hello` for 32-bit ARM, emulated. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { tryBootshare } from "../vm/machine.ts";

const SUITE = "bookworm";
const output = mkdtempSync(join(tmpdir(), "bootshare-build-armhf-"));
afterAll(async () => {
  await tryBootshare("delete", "--force", `builder-${SUITE}-armhf`);
  rmSync(output, { recursive: true });
});

it("builds hello for armhf", async () => {
  const ran = await tryBootshare(
    "build",
    "--suite",
    SUITE,
    "--arch",
    "armhf",
    "--output",
    output,
    "--json",
    "hello",
  );
  expect(JSON.parse(ran.stdout), ran.stderr.slice(-3000)).toMatchObject([{ result: "built", arch: "armhf" }]);
  expect(ran.exitCode).toBe(0);
  expect(ran.stdout).toMatch(/hello_.*_armhf\.deb/);
});
