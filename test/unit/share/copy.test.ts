import { execFileSync } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { copyNames, copyShare, treeSize } from "../../../src/share/copy.ts";

let dir: string;
let from: string;
let to: string;
let outside: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "bootshare-test-"));
  [from, to, outside] = ["from", "to", "outside"].map((name) => join(dir, name)) as [string, string, string];
  for (const folder of [from, to, outside]) mkdirSync(folder);
  writeFileSync(join(outside, "secret"), "secret");
});
afterEach(() => rmSync(dir, { recursive: true }));

const attribute = (file: string): string =>
  execFileSync("getfattr", ["--only-values", "-n", "user.virtfs.mode", file], { encoding: "latin1" });

describe("copyShare", () => {
  test("keeps modes, and the attributes in which mapped mode has the guest's view, of the folder too", async () => {
    const link = join(from, "vmlinuz");
    writeFileSync(link, "vmlinuz-6.1", { mode: 0o600 });
    for (const [file, value] of [
      [link, "0xffa10000"],
      [from, "0xed410000"],
    ] as const)
      execFileSync("setfattr", ["-n", "user.virtfs.mode", "-v", value, file]);
    await copyShare(from, to);
    expect(readFileSync(join(to, "vmlinuz"), "utf8")).toBe("vmlinuz-6.1");
    expect(lstatSync(join(to, "vmlinuz")).mode & 0o777).toBe(0o600);
    expect(attribute(join(to, "vmlinuz"))).toBe(attribute(link));
    expect(attribute(to)).toBe(attribute(from));
  });

  test("copies links as links, and blocks on nothing", async () => {
    symlinkSync(join(outside, "secret"), join(from, "a"));
    execFileSync("mkfifo", [join(from, "fifo")]);
    await copyShare(from, to);
    expect(readlinkSync(join(to, "a"))).toBe(join(outside, "secret"));
    expect(lstatSync(join(to, "fifo")).isFIFO()).toBe(true);
  });

  test("replaces what is there, and writes through no link", async () => {
    writeFileSync(join(from, "secret"), "new");
    symlinkSync(join(outside, "secret"), join(to, "secret"));
    mkdirSync(join(from, "grub"));
    symlinkSync(outside, join(to, "grub"));
    await expect(copyShare(from, to)).rejects.toMatchObject({ code: "SHARE_NOT_COPIED" });
    expect(readFileSync(join(outside, "secret"), "utf8")).toBe("secret");
    rmSync(join(to, "grub"));
    await copyShare(from, to);
    expect(readFileSync(join(outside, "secret"), "utf8")).toBe("secret");
    expect(readFileSync(join(to, "secret"), "utf8")).toBe("new");
  });

  test("says what could not be copied", async () => {
    await expect(copyShare(join(dir, "none"), to)).rejects.toThrow(
      `${join(dir, "none")} could not be copied to ${to}.`,
    );
  });
});

test("copyNames leaves the folder itself as it was, whatever a name looks like", async () => {
  writeFileSync(join(from, "-rf"), "x");
  writeFileSync(join(from, "left out"), "x");
  chmodSync(from, 0o700);
  chmodSync(to, 0o751);
  await copyNames(from, ["-rf"], to);
  expect(execFileSync("ls", [to], { encoding: "utf8" })).toBe("-rf\n");
  expect(lstatSync(to).mode & 0o777).toBe(0o751);
});

test("treeSize counts what is in a share, and follows no link", () => {
  writeFileSync(join(from, "a"), Buffer.alloc(8192));
  mkdirSync(join(from, "b"));
  symlinkSync(outside, join(from, "b", "c"));
  expect(treeSize(from).files).toBe(3);
  expect(treeSize(from).bytes).toBeGreaterThanOrEqual(8192);
});
