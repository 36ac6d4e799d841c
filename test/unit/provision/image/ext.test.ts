/** A real file system, made by mke2fs, read and changed by debugfs as QEMU's user. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ExtFileSystem, isPlainName, parseLinkTarget, parseLs } from "../../../../src/provision/image/ext.ts";

const OFFSET = 1024 * 1024;
const { signal } = new AbortController();

describe("an ext4 file system in an image", () => {
  let folder = "";
  let fs: ExtFileSystem;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "bootshare-ext-"));
    const image = join(folder, "disk.raw");
    writeFileSync(image, "");
    truncateSync(image, 16 * OFFSET);
    await execa("mke2fs", ["-q", "-t", "ext4", "-E", `offset=${OFFSET}`, image, "12M"], {
      env: { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` },
    });
    // The owner of the folder, as an outsider is.
    fs = new ExtFileSystem(
      { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, folder },
      "disk.raw",
      OFFSET,
      signal,
    );
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it("is whole", async () => {
    await fs.check();
  });

  it("has what is put into it, root's, in place of what was there", async () => {
    const bytes = Buffer.from([0, 1, 255, 10, 10]);
    await fs.change({ files: [{ path: "/etc/fstab", content: "old\n", mode: 0o600 }] });
    await fs.change({
      files: [
        { path: "/etc/fstab", content: "# new\n\n", mode: 0o644 },
        { path: "/root/.ssh/authorized_keys", content: "key\n", mode: 0o600, folderMode: 0o700 },
        { path: "/var/lib/x/first-boot", content: "#!/bin/sh\n", mode: 0o755 },
        { path: "/var/lib/x/p.deb", content: bytes, mode: 0o644 },
      ],
      links: [{ path: "/etc/systemd/system/multi-user.target.wants/x.service", target: "../x.service" }],
    });
    await fs.check();
    expect(await fs.text("/etc/fstab")).toBe("# new\n\n");
    expect(await fs.list("/etc")).toContainEqual({ name: "fstab", kind: "file", mode: 0o644, size: 7 });
    expect(await fs.list("/root")).toEqual([
      expect.objectContaining({ name: ".ssh", kind: "folder", mode: 0o700 }),
    ]);
    expect(await fs.list("/var/lib/x")).toEqual([
      { name: "first-boot", kind: "file", mode: 0o755, size: 10 },
      { name: "p.deb", kind: "file", mode: 0o644, size: 5 },
    ]);
    expect(await fs.linkTarget("/etc/systemd/system/multi-user.target.wants/x.service")).toBe("../x.service");
    await fs.copyOut("/var/lib/x/p.deb", "out");
    expect(readFileSync(join(folder, "out"))).toEqual(bytes);
  });

  it("says what is not there", async () => {
    expect(await fs.list("/nowhere")).toBeUndefined();
    expect(await fs.text("/nowhere")).toBeUndefined();
    expect(await fs.linkTarget("/etc/fstab")).toBeUndefined();
  });

  it("that is full is an error, with what debugfs said", async () => {
    const content = Buffer.alloc(64 * OFFSET, 1);
    await expect(fs.change({ files: [{ path: "/big", content, mode: 0o644 }] })).rejects.toMatchObject({
      code: "IMAGE_NOT_WRITTEN",
      message: "/big could not be written into the copy of the disk.",
    });
  });

  it("that is none is an error", async () => {
    const none = new ExtFileSystem({ uid: 0, gid: 0, folder }, "disk.raw", 0, signal);
    await expect(none.check()).rejects.toMatchObject({ code: "IMAGE_DAMAGED" });
  });
});

describe("parseLs", () => {
  it("leaves out the folder itself, and what cannot be a name", () => {
    const text =
      "/2/040755/0/0/.//\n/2/040755/0/0/..//\n/12/100644/0/0/a b\t/7/\n/13/120777/0/0/l/3/\n/14/020620/5/5/tty/0/\n\nx\n";
    expect(parseLs(text)).toEqual([
      { name: "a b\t", kind: "file", mode: 0o644, size: 7 },
      { name: "l", kind: "link", mode: 0o777, size: 3 },
      { name: "tty", kind: "other", mode: 0o620, size: 0 },
    ]);
  });

  it("never throws", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => Array.isArray(parseLs(text))));
  });
});

describe("names for debugfs's command line", () => {
  it.each(["vmlinuz-6.1.0-50-cloud-amd64", "config-6.12.1+deb13", "initrd.img-6.1~rc1"])(
    "%s is plain",
    (name) => {
      expect(isPlainName(name)).toBe(true);
    },
  );
  it.each(["", "a b", 'a"b', "-f", ".x", "a/b", "a\nquit", "<12>", "a;b", "a".repeat(300)])(
    "%j is not",
    (name) => {
      expect(isPlainName(name)).toBe(false);
    },
  );
  it("reads a link's target", () => {
    expect(parseLinkTarget('Inode: 1\nFast link dest: "boot/vmlinuz-6.1"\n')).toBe("boot/vmlinuz-6.1");
    expect(parseLinkTarget("Inode: 1\n")).toBeUndefined();
  });
});
