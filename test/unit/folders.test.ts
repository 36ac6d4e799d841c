import { chmodSync, existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeFolderIn, makeStateFolder } from "../../src/folders.ts";
import { workMode } from "../../src/mode.ts";

describe("makeStateFolder", () => {
  let dir: string;
  let umask: number;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "bootshare-folders-"));
    umask = process.umask(0o077);
  });
  afterEach(() => {
    process.umask(umask);
    rmSync(dir, { recursive: true });
  });
  const mode = (path: string): number => statSync(path).mode & 0o777;

  it("gives a new folder the mode's permissions, whatever the umask, and mends those of an old one", () => {
    const folder = join(dir, "bootshare");
    makeStateFolder(folder);
    expect(mode(folder)).toBe(workMode().folderMode);
    chmodSync(folder, 0o700);
    makeStateFolder(folder);
    expect(mode(folder)).toBe(workMode().folderMode);
  });
});

describe("makeFolderIn", () => {
  it("makes a folder once, and none above it", () => {
    const dir = mkdtempSync(join(tmpdir(), "bootshare-folders-"));
    const folder = join(dir, "bad");
    makeFolderIn(folder);
    makeFolderIn(folder);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    // A deletion may come between any two steps of a look: the guest's folder must stay away.
    rmSync(dir, { recursive: true });
    expect(() => makeFolderIn(folder)).toThrow("ENOENT");
    expect(existsSync(dir)).toBe(false);
  });
});
