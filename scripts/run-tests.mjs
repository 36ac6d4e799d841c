// Runs projects of the test suite and ends with one plain line of counts, whatever vitest's own report looks like.
//
//     node scripts/run-tests.mjs unit [vm]
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const folder = mkdtempSync(join(tmpdir(), "bootshare-tests-"));
const report = join(folder, "report.json");
const projects = process.argv.slice(2).flatMap((name) => ["--project", name]);
const reporters = ["--reporter=verbose", "--reporter=json", `--outputFile.json=${report}`];
const { status } = spawnSync("node_modules/.bin/vitest", ["run", ...projects, ...reporters], { stdio: "inherit" });
const { numPassedTests, numFailedTests, numPendingTests, numTodoTests } = JSON.parse(readFileSync(report, "utf8"));
rmSync(folder, { recursive: true });
console.log(`\n${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests + numTodoTests} skipped`);
process.exit(status === 0 && numPassedTests > 0 ? 0 : 1);
