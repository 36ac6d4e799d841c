// Runs projects of the test suite one after the other and ends with the names of what failed and one plain line of counts.
//
//     node scripts/run-tests.mjs unit [hostile] [vm] [long]
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";

const folder = mkdtempSync(join(tmpdir(), "bootshare-tests-"));
const counts = { passed: 0, failed: 0, skipped: 0 };
const failures = [];
const files = [];
let ok = true;
const projects = process.argv.slice(2);
for (const project of projects) {
  const report = join(folder, `${project}.json`);
  // Tests with real guests take minutes each: a line for each one. Of the others a line for each file will do.
  const reporter = ["unit", "hostile"].includes(project) ? "default" : "verbose";
  const reporters = [`--reporter=${reporter}`, "--reporter=json", `--outputFile.json=${report}`];
  const { status } = spawnSync("node_modules/.bin/vitest", ["run", "--project", project, ...reporters], {
    stdio: "inherit",
    env: { ...process.env, ...sharing(project) },
  });
  if (status !== 0) ok = false;
  if (!existsSync(report)) continue;
  const result = JSON.parse(readFileSync(report, "utf8"));
  counts.passed += result.numPassedTests;
  counts.failed += result.numFailedTests;
  counts.skipped += result.numPendingTests + result.numTodoTests;
  for (const file of result.testResults) {
    files.push({ name: relative(process.cwd(), file.name), seconds: (file.endTime - file.startTime) / 1000 });
    if (file.status === "failed" && file.message !== "") failures.push(`${file.name}: ${file.message}`);
    for (const test of file.assertionResults) {
      if (test.status !== "failed") continue;
      failures.push(`${file.name}: ${test.fullName}\n${beginOf(test.failureMessages[0] ?? "")}`);
    }
  }
}
rmSync(folder, { recursive: true });
// What the checks take is to stay below 45 minutes on 2 cores: these are where it goes.
for (const { name, seconds } of files.toSorted((a, b) => b.seconds - a.seconds).slice(0, 8)) {
  if (seconds >= 60) console.log(`${String(Math.round(seconds)).padStart(6)} s  ${name}`);
}
for (const failure of failures) console.log(`\nFAILED ${failure}`);
if (!ok && failures.length === 0) console.log("\nA run ended with an error outside of its tests; see above.");
console.log(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(ok && counts.passed > 0 ? 0 : 1);

/** A command that fails says why on the lines after the first. */
function beginOf(message) {
  return message
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^\s+at /.test(line))
    .slice(0, 12)
    .map((line) => `    ${line}`)
    .join("\n");
}

/** Projects with guests, one after the other, share them (test/vm/setup.ts). */
function sharing(project) {
  const withGuests = projects.filter((name) => name.startsWith("vm"));
  return {
    ...(withGuests.indexOf(project) > 0 ? { BOOTSHARE_REUSE_GUESTS: "1" } : {}),
    ...(withGuests.includes(project) && project !== withGuests.at(-1) ? { BOOTSHARE_KEEP_GUESTS: "1" } : {}),
  };
}
