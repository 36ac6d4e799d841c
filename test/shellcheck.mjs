// Runs shellcheck over every shell script of the repository, found by its first line.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const files = spawnSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
  encoding: "utf8",
})
  .stdout.split("\0")
  .filter((file) => file !== "" && /^#!\/bin\/(ba|da)?sh\b/.test(readFileSync(file, "utf8").slice(0, 20)));
if (files.length === 0) throw new Error("no shell scripts were found");
const { status, error } = spawnSync("shellcheck", ["--", ...files], { stdio: "inherit" });
if (error) throw new Error("shellcheck is not installed: apt-get install shellcheck", { cause: error });
console.log(`shellcheck: ${files.length} files`);
process.exit(status ?? 1);
