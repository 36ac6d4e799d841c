// What writes files outside of the hook is killed before each change that it makes.
import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { changePolicy, readPolicy } from "../../src/boot/policy.ts";
import { makeStateFolder } from "../../src/folders.ts";
import { type HookPlaces, hookStatus, installHook, readGuard } from "../../src/libvirt/hook-install.ts";
import { workMode } from "../../src/mode.ts";
import { guestPaths } from "../../src/paths.ts";
import { NEW, OLD } from "./guest.ts";
import { ReliabilityTable } from "./table.ts";

const table = new ReliabilityTable("writers", ["what was killed", "what came of it"]);

let built: string;
let program: string;
beforeAll(async () => {
  built = mkdtempSync(join(tmpdir(), "bootshare-fault-"));
  program = join(built, "child.mjs");
  const entryPoints = [join(import.meta.dirname, "child.ts")];
  const banner = {
    js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
  };
  await build({ entryPoints, outfile: program, bundle: true, platform: "node", format: "esm", banner });
});
afterAll(() => rmSync(built, { recursive: true }));

let dir: string;
let places: HookPlaces;
beforeEach(() => fresh());
afterEach(() => rmSync(dir, { recursive: true }));

function fresh(): void {
  dir = mkdtempSync(join(tmpdir(), "bootshare-fault-"));
  const shipped = join(dir, "shipped.mjs");
  writeFileSync(shipped, "// version 1\n");
  places = {
    guard: join(dir, "etc/hooks/qemu.d/bootshare"),
    program: join(dir, "lib/bootshare/hook.mjs"),
    shippedGuard: [join(import.meta.dirname, "../../src/libvirt/hook-guard.sh")],
    shippedProgram: [shipped],
    node: process.execPath,
  };
}

/** The changes that Node.js makes in its one thread for files, by their names on all architectures. */
const CALLS = [
  "mkdir",
  "mkdirat",
  "chmod",
  "fchmodat",
  "fchmod",
  "fsync",
  "rename",
  "renameat",
  "unlink",
  "unlinkat",
];

/** Does something and is killed before the `nth` call of this name. Whether it came so far. */
async function killedAt(call: string, nth: number, what: string, where: string): Promise<boolean> {
  const inject = ["-e", `trace=?${call}`, "-e", `inject=?${call}:signal=KILL:when=${nth}`];
  const words = ["-f", "-o", join(built, "log"), ...inject, process.execPath, program, what, where];
  const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root", UV_THREADPOOL_SIZE: "1" };
  return await new Promise((resolve, reject) => {
    const child = execFile("strace", words, { env }, (_error, _stdout, stderr) => {
      if (child.signalCode === "SIGKILL") resolve(true);
      else if (child.exitCode === 0) resolve(false);
      else reject(new Error(stderr));
    });
  });
}

/** Files below a folder, by their paths in it. */
function filesIn(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .sort();
}

/** What libvirt would run is whole, and what it names is there. */
function expectUsableOrAbsent(): void {
  for (const name of existsSync(join(dir, "etc/hooks/qemu.d"))
    ? readdirSync(join(dir, "etc/hooks/qemu.d"))
    : []) {
    expect(name).toBe("bootshare");
    expect(statSync(places.guard).mode & 0o777).toBe(0o755);
    expect(readFileSync(places.guard, "utf8")).toMatch(/^#!\/bin\/sh\n[\s\S]*\n\[ "\$2" != prepare \]\n$/);
    expect(readGuard(readFileSync(places.guard, "utf8")).node).toBe(process.execPath);
    expect(readFileSync(places.program, "utf8")).toMatch(/^\/\/ version [12]\n$/);
  }
}

describe("hook install, killed before each change", () => {
  it.each([
    ["a first time", async () => undefined],
    [
      "over an older version",
      async () => {
        await installHook({ restart: false }, places);
        writeFileSync(places.shippedProgram[0] ?? "", "// version 2\n");
        writeFileSync(places.guard, readFileSync(places.guard, "utf8").replace("umask 077\n", ""));
      },
    ],
  ])(
    "%s: libvirt finds a whole hook or none, and a second run puts everything right",
    async (when, before) => {
      let kills = 0;
      for (const call of CALLS) {
        for (let nth = 1; ; nth++) {
          rmSync(dir, { recursive: true });
          fresh();
          await before();
          const killed = await killedAt(call, nth, "install", JSON.stringify(places));
          if (killed) {
            kills++;
            expectUsableOrAbsent();
            await installHook({ restart: false }, places);
          }
          expect(await hookStatus(places)).toMatchObject({ installed: true, current: true, nodeFound: true });
          expect([...filesIn(join(dir, "etc")), ...filesIn(join(dir, "lib"))]).toEqual([
            "etc/hooks/qemu.d/bootshare",
            "lib/bootshare/hook.mjs",
          ]);
          if (!killed) break;
        }
      }
      // At the least: both files are forced to disk, given their rights and named, and both folders forced to disk.
      expect(kills).toBeGreaterThanOrEqual(8);
      table.saw(
        `hook install ${when}`,
        "what came of it",
        "libvirt finds a whole hook or none; the next run puts everything right",
      );
    },
  );
});

describe("smaller things, killed before each change", () => {
  it("a policy: it is the old one or the new one, and nothing else stays", async () => {
    const paths = guestPaths(dir);
    let kills = 0;
    for (const call of CALLS) {
      for (let nth = 1; ; nth++) {
        changePolicy(paths, { pin: OLD });
        const killed = await killedAt(call, nth, "policy", dir);
        if (killed) kills++;
        expect(readPolicy(paths).pin).toBe(killed ? OLD : NEW);
        changePolicy(paths, { pin: OLD });
        expect(filesIn(dir)).toEqual(["policy.json", "shipped.mjs"]);
        if (!killed) break;
      }
    }
    // When it is forced to disk, and when it gets its name.
    expect(kills).toBe(2);
    table.saw(
      "the writing of policy.json",
      "what came of it",
      "the old policy counts; the next run puts everything right",
    );
  });

  it("a state folder: the next call puts its permissions right", async () => {
    const folder = join(dir, "state");
    let kills = 0;
    for (const call of CALLS) {
      for (let nth = 1; ; nth++) {
        rmSync(folder, { recursive: true, force: true });
        const killed = await killedAt(call, nth, "folder", folder);
        if (killed) kills++;
        makeStateFolder(folder);
        expect(statSync(folder).mode & 0o777).toBe(workMode().folderMode);
        if (!killed) break;
      }
    }
    // When it is made, and when it gets its permissions.
    expect(kills).toBe(2);
    table.saw("the making of a state folder", "what came of it", "the next run puts everything right");
  });
});

it("docs/reliability.md says what was seen", () => table.expectInDocument());
