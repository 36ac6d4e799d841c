import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { run } from "../../../src/process.ts";
import { serviceUnit } from "../../../src/serve/unit.ts";

it("quotes what systemd would expand", () => {
  const text = serviceUnit("/opt/node 20/bin/node", '/srv/50%/$HOME/"b"/bootshare.mjs');
  expect(text).toContain(
    'ExecStart="/opt/node 20/bin/node" "/srv/50%%/$$HOME/\\"b\\"/bootshare.mjs" service',
  );
});

it("is a unit that systemd understands", async ({ skip }) => {
  const folder = mkdtempSync(join(tmpdir(), "bootshare-unit-"));
  const file = join(folder, "bootshare.service");
  writeFileSync(file, serviceUnit(process.execPath, "/usr/bin/true").replace(/^Documentation=.*$/m, ""));
  const result = await run("systemd-analyze", ["verify", "--man=no", file]);
  rmSync(folder, { recursive: true });
  if (result.missing) skip("systemd-analyze is not installed");
  // It complains of units of this machine too; of ours it must not.
  expect(result.stderr.split("\n").filter((line) => line.includes("bootshare"))).toEqual([]);
});
