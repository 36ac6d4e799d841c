import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { isBefore, startSeconds } from "../../../src/libvirt/daemon.ts";
import {
  type HookPlaces,
  hookStatus,
  installHook,
  readGuard,
  removeHook,
  renderGuard,
} from "../../../src/libvirt/hook-install.ts";

let dir: string;
let places: HookPlaces;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "bootshare-test-"));
  const shipped = join(dir, "shipped.mjs");
  writeFileSync(shipped, "// version 1\n");
  places = {
    guard: join(dir, "etc/hooks/qemu.d/bootshare"),
    program: join(dir, "lib/bootshare/hook.mjs"),
    shippedGuard: [join(dir, "nowhere.sh"), join(import.meta.dirname, "../../../src/libvirt/hook-guard.sh")],
    shippedProgram: [shipped],
    node: process.execPath,
  };
});
afterEach(() => rmSync(dir, { recursive: true }));

const install = async (): Promise<string[]> => await installHook({ restart: false }, places);
const mode = (file: string): number => statSync(file).mode & 0o777;

describe("installHook", () => {
  test("writes both files, with the modes that libvirt and the program need, and nothing beside them", async () => {
    await install();
    expect(mode(places.guard)).toBe(0o755);
    expect(mode(dirname(places.guard))).toBe(0o755);
    expect(mode(places.program)).toBe(0o644);
    expect(readdirSync(dirname(places.guard))).toEqual(["bootshare"]);
    expect(readdirSync(dirname(dirname(places.guard)))).toEqual(["qemu.d"]);
    expect(readdirSync(dirname(dirname(places.program)))).toEqual(["bootshare"]);
  });

  test("lets everybody read it, whatever root's umask is", async () => {
    const before = process.umask(0o077);
    try {
      await install();
    } finally {
      process.umask(before);
    }
    const folders = [places.guard, places.program].flatMap((path) => [dirname(path), dirname(dirname(path))]);
    expect(folders.map(mode)).toEqual([0o755, 0o755, 0o755, 0o755]);
    expect([mode(places.guard), mode(places.program)]).toEqual([0o755, 0o644]);
  });

  test("a second time changes nothing", async () => {
    await install();
    const before = statSync(places.guard).ino;
    expect((await install()).slice(0, 2)).toEqual([
      `${places.program} is up to date`,
      `${places.guard} is up to date`,
    ]);
    expect(statSync(places.guard).ino).toBe(before);
  });

  test("a newer program replaces the old one, and the guard keeps its date", async () => {
    await install();
    const stamp = readGuard(readFileSync(places.guard, "utf8")).stamp;
    writeFileSync(places.shippedProgram[0] ?? "", "// version 2\n");
    places = { ...places, node: "/opt/it's/node" };
    const lines = await install();
    expect(lines).toEqual(
      expect.arrayContaining([`refreshed ${places.program}`, `refreshed ${places.guard}`]),
    );
    expect(readGuard(readFileSync(places.guard, "utf8"))).toMatchObject({ stamp, node: "/opt/it's/node" });
  });

  test("other people's hooks stay as they are", async () => {
    mkdirSync(dirname(places.guard), { recursive: true });
    const other = join(dirname(places.guard), "other");
    writeFileSync(other, "#!/bin/sh\n", { mode: 0o700 });
    await install();
    await removeHook(places);
    expect(readFileSync(other, "utf8")).toBe("#!/bin/sh\n");
    expect(mode(other)).toBe(0o700);
  });

  test("without what is shipped nothing is written", async () => {
    places = { ...places, shippedProgram: [join(dir, "none.mjs")] };
    await expect(install()).rejects.toMatchObject({ code: "NOT_BUILT" });
    expect(readdirSync(dir)).toEqual(["shipped.mjs"]);
  });
});

test("removeHook takes both away, and can be repeated", async () => {
  await install();
  expect(await removeHook(places)).toEqual([`removed ${places.guard}`, `removed ${places.program}`]);
  expect(await removeHook(places)).toEqual([
    `${places.guard} was not there`,
    `${places.program} was not there`,
  ]);
});

describe("hookStatus", () => {
  test("not installed", async () => {
    expect(await hookStatus(places)).toMatchObject({ usable: false, installed: false, version: null });
  });

  test("installed and current", async () => {
    await install();
    expect(await hookStatus(places)).toMatchObject({ installed: true, current: true, nodeFound: true });
  });

  test("a guard of an earlier boot of the machine is known to whatever runs now", async () => {
    await install();
    writeFileSync(
      places.guard,
      readFileSync(places.guard, "utf8").replace(/^(# present since ).*$/m, "$1another-boot 5.00"),
    );
    expect(await hookStatus(places)).toMatchObject({ usable: true, current: true, daemonKnows: true });
  });

  test.each<[string, () => void, object]>([
    ["another program", () => writeFileSync(places.program, "// old\n"), { current: false, installed: true }],
    [
      "a guard that was edited",
      () => writeFileSync(places.guard, "#!/bin/sh\n"),
      { current: false, usable: false, version: null },
    ],
    ["a guard that is not executable", () => rewrite(places.guard, 0o644), { usable: false }],
    ["no program", () => rmSync(places.program), { usable: false, installed: false }],
    [
      "a Node.js that is gone",
      () =>
        writeFileSync(
          places.guard,
          renderGuard(
            readFileSync(places.shippedGuard[1] ?? "", "utf8"),
            { ...places, node: "/gone/node" },
            "b 1",
          ),
        ),
      { usable: false, nodeFound: false, current: true },
    ],
  ])("%s", async (_what, change, expected) => {
    await install();
    change();
    expect(await hookStatus(places)).toMatchObject(expected);
  });
});

function rewrite(file: string, newMode: number): void {
  const content = readFileSync(file);
  rmSync(file);
  writeFileSync(file, content, { mode: newMode });
}

describe("the daemon's start", () => {
  test("is read behind a name with brackets and spaces", () => {
    const fields = Array.from({ length: 50 }, (_, index) => String(index + 3));
    fields[19] = "12345";
    expect(startSeconds(`77 (evil) ) 1 2 (x) ${fields.join(" ")}`)).toBe(123.45);
    expect(startSeconds("")).toBeNaN();
  });

  test.each([
    ["started earlier", 10, "b 11.5", "b", true],
    ["started later", 12, "b 11.5", "b", false],
    ["another boot", 1, "a 11.5", "b", false],
    ["no process any more", Number.NaN, "b 11.5", "b", true],
  ])("%s", (_what, started, stamp, boot, expected) => expect(isBefore(started, stamp, boot)).toBe(expected));
});
