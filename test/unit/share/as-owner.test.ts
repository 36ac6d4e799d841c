import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

// The effective user is that of a whole process, and vitest's workers are threads or shared: so a process of its own.
const program = `
  import { asOwner, readBootFolder } from ${JSON.stringify(join(process.cwd(), "src/share/folder.ts"))};
  const [dir, what] = process.argv.slice(-2);
  const ids = () => [process.geteuid(), process.getegid(), process.getgroups().length, process.getuid()];
  const out = { before: ids() };
  try {
    out.inside = asOwner(dir, () => {
      if (what === "throw") throw new Error("thrown");
      return { ids: ids(), entries: readBootFolder(dir).map(({ name, kind, problem }) => ({ name, kind, problem })) };
    });
  } catch (error) {
    out.error = error.message;
  }
  out.after = ids();
  console.log(JSON.stringify(out));
`;

const dir = "";
function runAs(what: string): unknown {
  const args = [
    "--experimental-strip-types",
    "--no-warnings",
    "--input-type=module",
    "-e",
    program,
    "--",
    dir,
    what,
  ];
  const result = spawnSync(process.execPath, args, { encoding: "utf8" });
  if (result.status !== 0) throw new Error(result.stderr);
  return JSON.parse(result.stdout);
}
