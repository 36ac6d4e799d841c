/** Builds on a disk that takes no new file. */
import type * as Fs from "node:fs";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { buildIn, fetchFolder } from "../../../src/builder/build.ts";
import { requireOutput } from "../../../src/builder/output.ts";
import { UserError } from "../../../src/errors.ts";

const disk = vi.hoisted(() => ({ refuses: "", code: "" }));
vi.mock("node:fs", async (original) => {
  const real = await original<typeof Fs>();
  const refused = (name: string): void => {
    if (disk.refuses === name) throw Object.assign(new Error(`${disk.code}: ${name}`), { code: disk.code });
  };
  return {
    ...real,
    mkdtempSync: (prefix: string) => {
      refused("mkdtemp");
      return real.mkdtempSync(prefix);
    },
    openSync: (...args: Parameters<typeof real.openSync>) => {
      refused("open");
      return real.openSync(...args);
    },
  };
});

let output: string;
beforeEach(() => {
  output = mkdtempSync(join(tmpdir(), "bootshare-output-"));
  disk.code = "ENOSPC";
});
afterEach(() => {
  disk.refuses = "";
  rmSync(output, { recursive: true });
});

async function build(): Promise<unknown> {
  type Build = Parameters<typeof buildIn>[1];
  const session = {
    source: { name: "hello", version: "2.10-5", files: [] },
    builder: { suite: "trixie", arch: "amd64" },
    options: { output },
    watch: { stage: () => {}, line: () => {} },
    signal: new AbortController().signal,
  };
  const refuse = async (): Promise<never> => {
    throw new Error("no guest is wanted");
  };
  return await buildIn(refuse, session as unknown as Build).catch((error: unknown) => error);
}

it.each([
  ["mkdtemp", "no folder"],
  ["open", "no log"],
])("is told where %s fails, %s", async (call) => {
  disk.refuses = call;
  const error = await build();
  disk.refuses = "";
  expect(error).toBeInstanceOf(UserError);
  expect(error).toMatchObject({ code: "DISK_FULL", message: expect.stringContaining(output) });
  expect(readdirSync(output)).toEqual([]);
});

it("is told where no source can be fetched to", () => {
  disk.refuses = "mkdtemp";
  expect(() => fetchFolder()).toThrowError(
    expect.objectContaining({ code: "DISK_FULL", message: `The file system of ${tmpdir()} is full.` }),
  );
});

it.each([
  ["ENOSPC", "DISK_FULL", () => `The file system of ${output} is full.`],
  [
    "EROFS",
    "OUTPUT_UNWRITABLE",
    () => `Nothing can be written to ${output}: its file system can only be read.`,
  ],
])("is told before anything is made: %s is %s", (errno, code, message) => {
  disk.refuses = "mkdtemp";
  disk.code = errno;
  expect(() => requireOutput(output)).toThrowError(expect.objectContaining({ code, message: message() }));
});
