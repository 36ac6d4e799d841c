import { chmodSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeStateFolder } from "../../src/folders.ts";
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
