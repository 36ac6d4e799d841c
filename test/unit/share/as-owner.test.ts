import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { asOwner, openBootFile, readBootFolder } from "../../../src/share/folder.ts";

const USER = 12_345;
const GROUP = 23_456;
const ids = () => [process.geteuid?.(), process.getegid?.(), process.getgroups?.()];

let share = "";
beforeEach(() => {
  share = fs.mkdtempSync(join(tmpdir(), "bootshare-"));
});
afterEach(() => fs.rmSync(share, { recursive: true }));

describe.skipIf(process.geteuid?.() !== 0)("asOwner as root", () => {
  it("runs as the owner of the folder, and is root again afterwards", () => {
    const own = process.getgroups?.() ?? [];
    onTestFinished(() => process.setgroups?.(own));
    // Whoever runs the tests may be in no group that could be left.
    process.setgroups?.([0, GROUP + 1]);
    const before = ids();
    fs.chownSync(share, USER, GROUP);
    const [user, group, groups] = asOwner(share, ids);
    expect([user, group]).toEqual([USER, GROUP]);
    // getgroups(2) may or may not name the effective group; no other is left.
    expect(groups).toEqual([GROUP]);
    expect(ids()).toEqual(before);
  });

  it("is root again after an exception", () => {
    const before = ids();
    fs.chownSync(share, USER, GROUP);
    const fail = (): never => {
      throw new Error("thrown");
    };
    expect(() => asOwner(share, fail)).toThrow("thrown");
    expect(ids()).toEqual(before);
  });

  it("stays root for a folder of root's", () => {
    expect(asOwner(share, ids)).toEqual(ids());
  });

  it("asks the folder's owner, not that of what a link leads to", () => {
    const link = join(share, "link");
    fs.symlinkSync("/", link);
    fs.lchownSync(link, USER, GROUP);
    expect(asOwner(link, () => process.geteuid?.())).toBe(USER);
  });

  it("reads a share of mode 0700 with the owner's rights and no more", () => {
    fs.writeFileSync(join(share, "config-1"), "theirs");
    fs.chownSync(join(share, "config-1"), USER, GROUP);
    fs.writeFileSync(join(share, "vmlinuz-1"), "root's", { mode: 0o600 });
    fs.chownSync(share, USER, GROUP);
    fs.chmodSync(share, 0o700);
    const entries = asOwner(share, () => readBootFolder(share)).sort((a, b) => (a.name < b.name ? -1 : 1));
    expect(entries).toMatchObject([
      { name: "config-1", kind: "file", size: 6 },
      { name: "vmlinuz-1", kind: "other", problem: "could not be read (EACCES)" },
    ]);
    expect(() => asOwner(share, () => openBootFile(share, "vmlinuz-1"))).toThrow(
      expect.objectContaining({ code: "SHARE_UNREADABLE" }),
    );
    const { fd } = asOwner(share, () => openBootFile(share, "config-1"));
    expect(fs.readFileSync(fd, "utf8")).toBe("theirs");
    fs.closeSync(fd);
  });
});
