import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { modeOf } from "../../../src/mode.ts";
import { run } from "../../../src/process.ts";
import { serviceUnit, upgradeTimer, upgradeUnit } from "../../../src/serve/unit.ts";

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
] as const)("is, as %s, of units that systemd understands", async ([, uid], { skip }) => {
  const folder = mkdtempSync(join(tmpdir(), "bootshare-unit-"));
  const mode = modeOf(uid, {}, "/home/u");
  const units = {
    "bootshare.service": serviceUnit(process.execPath, "/usr/bin/true", mode),
    "bootshare-upgrade.service": upgradeUnit(process.execPath, "/usr/bin/true", mode),
    "bootshare-upgrade.timer": upgradeTimer(),
  };
  const files = Object.entries(units).map(([name, text]) => {
    const file = join(folder, name);
    writeFileSync(file, text.replace(/^Documentation=.*$/m, ""));
    return file;
  });
  const result = await run("systemd-analyze", ["verify", "--man=no", ...files]);
  rmSync(folder, { recursive: true });
  if (result.missing) skip("systemd-analyze is not installed");
  // It complains of units of this machine too; of ours it must not.
  expect(result.stderr.split("\n").filter((line) => line.includes("bootshare"))).toEqual([]);
});

it("upgrades all guests by a timer that nothing enables", () => {
  const text = upgradeUnit("/usr/bin/node", "/opt/bootshare.mjs", modeOf(1000, {}, "/home/u"));
  expect(text).toContain(
    '\nExecStart="/usr/bin/node" "/opt/bootshare.mjs" upgrade --all --drain --rolling 1\n',
  );
  expect(text).toContain('\nEnvironment="XDG_STATE_HOME=/home/u/.local/state"\n');
  expect(text).not.toContain("[Install]");
  expect(upgradeTimer()).toContain("\nWantedBy=timers.target\n");
});
