/** The folder that results go to. A user's own troubles are met as a user, also where the tests are root's. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeBuildFolder, requireOutput } from "../../../src/builder/output.ts";
import { UserError } from "../../../src/errors.ts";
import { printable } from "../../../src/text.ts";

const NOBODY = 65534;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bootshare-output-"));
  chmodSync(folder, 0o755);
});
afterEach(() => rmSync(folder, { recursive: true }));

function thrownBy(act: () => void): unknown {
  const isRoot = process.getuid?.() === 0;
  if (isRoot) process.seteuid?.(NOBODY);
  try {
    act();
    return undefined;
  } catch (error) {
    return error;
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
}

describe("the output folder", () => {
  it("is made, with those above it, and nothing is left in it", () => {
    const deep = join(folder, "a", "b");
    requireOutput(deep);
    requireOutput(deep);
    expect(readdirSync(deep)).toEqual([]);
  });

  it.each<[string, string, string]>([
    ["one that is somebody else's", "closed", "it is not yours to write in"],
    ["one that would have to be made there", "closed/new", "it is not yours to write in"],
    ["a file", "file", "it is no folder"],
    ["a folder below a file", "file/new", "something on the way to it is no folder"],
    ["a name that is too long", "x".repeat(300), "its name is too long"],
  ])("is refused: %s", (_what, name, why) => {
    mkdirSync(join(folder, "closed"), { mode: 0o555 });
    writeFileSync(join(folder, "file"), "");
    const output = join(folder, name);
    const error = thrownBy(() => requireOutput(output));
    expect(error).toBeInstanceOf(UserError);
    expect(error).toMatchObject({
      code: "OUTPUT_UNWRITABLE",
      exitCode: 1,
      message: `Nothing can be written to ${printable(output)}: ${why}.`,
      hint: "Take another folder: --output",
    });
  });

  it("is refused in the same words where it is gone when a build begins", () => {
    const output = join(folder, "gone");
    expect(thrownBy(() => makeBuildFolder(output))).toMatchObject({
      code: "OUTPUT_UNWRITABLE",
      message: `Nothing can be written to ${output}: it cannot be made there.`,
    });
  });
});
