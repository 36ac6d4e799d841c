/** A package of Debian's that is built for real, in a guest that is made for it: `hello`, half an hour of one emulated guest. */
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, expect, it } from "vitest";
import { keepLogsOnFailure, tryBootshare } from "../vm/machine.ts";
import { type BuildResult, buildsLeft } from "../vm/packages.ts";

const SUITE = "bookworm";
const BUILDER = `builder-${SUITE}-amd64`;
const output = mkdtempSync(join(tmpdir(), "bootshare-build-test-"));
afterAll(async () => {
  await tryBootshare("delete", "--force", BUILDER);
  rmSync(output, { recursive: true });
});

it("builds hello", { timeout: 5_400_000 }, async () => {
  keepLogsOnFailure(BUILDER, "build hello");
  const what = ["--suite", SUITE, "--cpus", "1", "--memory", "1G", "--output", output];
  const ran = await tryBootshare("build", ...what, "--json", "hello");
  expect(ran.stderr).toMatch(/^== hello: install build dependencies/m);
  const [hello] = JSON.parse(ran.stdout) as BuildResult[];
  expect(hello, ran.stderr.slice(-3000)).toMatchObject({
    package: "hello",
    result: "built",
    stage: null,
    error: null,
  });
  expect(ran.exitCode).toBe(0);
  const names = hello?.files.map((file) => file.slice(output.length + 1)) ?? [];
  const kinds = [/^hello_.*_amd64\.deb$/, /^hello-dbgsym_.*_amd64\.deb$/, /\.buildinfo$/, /\.changes$/];
  for (const kind of kinds) expect(names.filter((name) => kind.test(name))).toHaveLength(1);
  const deb = hello?.files.find((file) => /\/hello_.*\.deb$/.test(file)) ?? "";
  const { stdout: contents } = await execa("dpkg-deb", ["--contents", deb]);
  expect(contents).toContain("./usr/bin/hello");
  expect(readdirSync(output).filter((name) => name.startsWith("."))).toEqual([]);
  expect(await buildsLeft()).toEqual([]);
});
