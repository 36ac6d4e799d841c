/** Builds the hook's program, the one that is shipped, before anything here runs it. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";

export default function setup(): void {
  if (process.geteuid?.() !== 0)
    throw new Error(
      "The tests in test/hostile need root: they make namespaces, devices and files of others.",
    );
  execFileSync(process.execPath, ["build.mjs"], {
    cwd: join(import.meta.dirname, "../.."),
    stdio: "inherit",
  });
}
