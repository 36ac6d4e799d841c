import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkCopyIn, checkCopyOut } from "../../../src/guest/copy.ts";
import { atTarget } from "../../../src/guest/copy-target.ts";

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bootshare-target-"));
  mkdirSync(at("there"));
  writeFileSync(at("file"), "mine");
  symlinkSync("nowhere", at("dangling"));
  symlinkSync("circle", at("circle"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const thrownBy = (act: () => unknown): unknown => {
  try {
    return act();
  } catch (error) {
    return error;
  }
};

describe("the place for a copy", () => {
  it.each([
    ["new", "new"],
    ["new/", "new/out"],
    ["deep/er/new", "deep/er/new"],
    ["there", "there/out"],
  ])("%s is %s, and nothing is made yet", (to, target) => {
    expect(checkCopyOut("/x/out", `${at()}/${to}`).target).toBe(at(target));
    expect(readdirSync(folder).sort()).toEqual(["circle", "dangling", "file", "there"]);
    expect(readdirSync(at("there"))).toEqual([]);
  });

  it.each([
    ["file", "COPY_TARGET_EXISTS", "/file is there already, and nothing is written over it."],
    ["dangling", "COPY_TARGET_EXISTS", "/dangling is there already, and nothing is written over it."],
    ["file/new", "COPY_TARGET", "/file/new cannot be written: something above it is no folder."],
    ["file/", "COPY_TARGET", "/file cannot be written: something above it is no folder."],
    ["dangling/new", "COPY_TARGET", "/dangling/new cannot be written: a link above it leads nowhere."],
    ["circle/new", "COPY_TARGET", "/circle/new cannot be written: a link above it leads in a circle."],
    ["x".repeat(300), "COPY_TARGET", /cannot be written: its name is too long\.$/],
  ])("%s is none: %s", (to, code, message) => {
    const error = thrownBy(() => checkCopyOut("/x/out", `${at()}/${to}`));
    expect(error).toMatchObject({
      name: "UserError",
      code,
      message: typeof message === "string" ? `${folder}${message}` : expect.stringMatching(message),
    });
  });

  it.each([
    ["EACCES", "COPY_TARGET", "/x/y cannot be written: you may not write there."],
    ["EPERM", "COPY_TARGET", "/x/y cannot be written: you may not write there."],
    ["ENOTDIR", "COPY_TARGET", "/x/y cannot be written: something above it is no folder."],
    ["EROFS", "DISK_READ_ONLY", "The file system of /x can only be read."],
    ["ENOSPC", "DISK_FULL", "The file system of /x is full."],
    ["EIO", "DISK_FAILING", "The file system of /x reported an input/output error."],
  ])("%s is %s", (errno, code, message) => {
    const fail = (): never => {
      throw Object.assign(new Error(errno), { code: errno });
    };
    expect(thrownBy(() => atTarget("/x/y", fail))).toMatchObject({
      name: "UserError",
      code,
      message,
      hint: "Name another place for it.",
    });
  });

  it("leaves other errors as they are", () => {
    const error = Object.assign(new Error("x"), { code: "EMFILE" });
    expect(
      thrownBy(() =>
        atTarget("/x/y", () => {
          throw error;
        }),
      ),
    ).toBe(error);
  });
});

it("what is to be copied in is there, and goes to an absolute path", () => {
  expect(checkCopyIn(at("file"), "/root/")).toEqual({ real: at("file"), wanted: "file" });
  for (const [from, to] of [
    [at("gone"), "/x"],
    [at("file"), "x"],
    ["/", "/x"],
  ] as const) {
    expect(thrownBy(() => checkCopyIn(from, to))).toMatchObject({ code: "COPY_SOURCE" });
  }
});
