/** Packages that are built for real, emulated: one that fails, one that hangs, and a guest that dies in the middle. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { keepLogsOnFailure, PROGRAM, tryBootshare, until, virsh } from "../vm/machine.ts";
import { type BuildResult, buildsLeft, makeSource } from "../vm/packages.ts";

const SUITE = "bookworm";
const BUILDER = `builder-${SUITE}-amd64`;

describe("build", () => {
  let folder = "";
  let output = "";
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "bootshare-build-test-"));
    output = join(folder, "out");
  });
  afterAll(async () => {
    await tryBootshare("delete", "--force", BUILDER);
    rmSync(folder, { recursive: true });
  });
  const what = ["--suite", SUITE, "--cpus", "1", "--memory", "1G"];
  const build = (...args: string[]) => ["build", ...what, "--output", output, "--json", ...args];
  it("tells a package that fails from one that builds, two guests at a time", async () => {
    keepLogsOnFailure(BUILDER, "build fails");
    const dsc = makeSource(folder, "bs-builds", "true");
    makeSource(folder, "bs-fails", "echo 'it cannot be built'; exit 3");
    // The tree, so that the guest makes the source package.
    const ran = await tryBootshare(...build("--jobs", "2", dsc, join(folder, "bs-fails")));
    expect(ran.stderr).toMatch(/^== bs-builds_1\.0\.dsc: install build dependencies/m);
    const [builds, fails] = JSON.parse(ran.stdout) as BuildResult[];
    expect(builds, ran.stderr.slice(-3000)).toMatchObject({
      package: "bs-builds",
      result: "built",
      error: null,
    });
    expect(builds?.files.map((file) => file.slice(output.length + 1))).toContain("bs-builds_1.0_all.deb");
    expect(fails).toMatchObject({
      package: "bs-fails",
      result: "failed",
      stage: "build",
      files: [],
      error: null,
    });
    expect(readFileSync(fails?.log ?? "", "utf8")).toContain("it cannot be built");
    expect(ran.exitCode).toBe(7);
    expect(readdirSync(output).filter((name) => name.startsWith("."))).toEqual([]);
    expect(await buildsLeft()).toEqual([]);
  });

  it("tells a build that hangs, and a guest that died, from a package that fails", async () => {
    keepLogsOnFailure(BUILDER, "build hangs");
    const dsc = makeSource(folder, "bs-hangs", "echo 'hanging now'; sleep 3600");
    const other = join(folder, "other");
    const dies = execa(PROGRAM, ["build", ...what, "--output", other, dsc], {
      reject: false,
      stdin: "ignore",
      all: true,
    });
    let said = "";
    dies.all.on("data", (bytes: Buffer) => {
      said += bytes.toString();
    });
    await until("it hangs", 1800, async () => (/^hanging now/m.test(said) ? true : undefined));
    const [guest = ""] = (await virsh("list", "--name"))
      .split("\n")
      .filter((name) => name.startsWith("build-"));
    const hangs = tryBootshare(...build("--timeout", "60", dsc));
    await virsh("destroy", guest);
    expect((await dies).exitCode).toBe(8);
    expect(said).toMatch(/^Error: The guest that built bs-hangs was lost \(build\)\. \[GUEST_LOST\]$/m);
    expect(existsSync(join(other, "bs-hangs_1.0_amd64.build"))).toBe(true);

    const ran = await hangs;
    expect(ran.exitCode).toBe(6);
    expect(JSON.parse(ran.stdout)).toMatchObject([
      {
        result: "timeout",
        error: {
          code: "BUILD_TIMEOUT",
          message: expect.stringMatching(/^The build of bs-hangs was ended after 60 s/),
        },
      },
    ]);
    expect(await buildsLeft()).toEqual([]);
  });

  it("knows what there is not", async () => {
    const ran = await tryBootshare(...build("no-such-source-package"));
    expect(JSON.parse(ran.stdout)).toMatchObject([{ result: "error", error: { code: "SOURCE_NOT_FOUND" } }]);
    expect(ran.exitCode).toBe(3);
  });
});
