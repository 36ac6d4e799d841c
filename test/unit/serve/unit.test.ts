import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { modeOf } from "../../../src/mode.ts";
import { run } from "../../../src/process.ts";
import { serviceUnit } from "../../../src/serve/unit.ts";

const ROOTS = modeOf(0, {}, "/root");

it("quotes what systemd would expand", () => {
  const text = serviceUnit("/opt/node 20/bin/node", '/srv/50%/$HOME/"b"/bootshare.mjs', ROOTS);
  expect(text).toContain(
    'ExecStart="/opt/node 20/bin/node" "/srv/50%%/$$HOME/\\"b\\"/bootshare.mjs" service',
  );
});

it("tells a user's service where the state is, and belongs to the user's service manager", () => {
  const env = { XDG_STATE_HOME: "/home/u/50% $tate" };
  const text = serviceUnit("/usr/bin/node", "/opt/bootshare.mjs", modeOf(1000, env, "/home/u"));
  expect(text).toContain('\nEnvironment="XDG_STATE_HOME=/home/u/50%% $tate"\n');
  expect(text).toContain("\nWantedBy=default.target\n");
  expect(text).not.toMatch(/libvirtd\.service/);
});

it.for([
  ["root's", 0],
  ["a user's", 1000],
] as const)("is, as %s, a unit that systemd understands", async ([, uid], { skip }) => {
  const folder = mkdtempSync(join(tmpdir(), "bootshare-unit-"));
  const file = join(folder, "bootshare.service");
  const text = serviceUnit(process.execPath, "/usr/bin/true", modeOf(uid, {}, "/home/u"));
  writeFileSync(file, text.replace(/^Documentation=.*$/m, ""));
  const result = await run("systemd-analyze", ["verify", "--man=no", file]);
  rmSync(folder, { recursive: true });
  if (result.missing) skip("systemd-analyze is not installed");
  // It complains of units of this machine too; of ours it must not.
  expect(result.stderr.split("\n").filter((line) => line.includes("bootshare"))).toEqual([]);
});
