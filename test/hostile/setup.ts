/** Builds the hook's program, the one that is shipped, before anything here runs it. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

export default function setup(project: TestProject): () => void {
  if (process.geteuid?.() !== 0)
    throw new Error(
      "The tests in test/hostile need root: they make namespaces, devices and files of others.",
    );
  execFileSync(process.execPath, ["build.mjs"], {
    cwd: join(import.meta.dirname, "../.."),
    stdio: "inherit",
  });
  const bombs = mkdtempSync(join(tmpdir(), "bootshare-bombs-"));
  project.provide("bombs", bombs);
  return () => rmSync(bombs, { recursive: true });
}
