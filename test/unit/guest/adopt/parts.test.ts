import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fstabAdvice, knownHosts, parseSshTarget } from "../../../../src/guest/adopt/parts.ts";
import { buildGuestPackage, PACKAGED_FILES } from "../../../../src/provision/guest-package.ts";
import { ninep } from "../../../../src/share/ninep.ts";

describe("parseSshTarget", () => {
  test.each([
    ["root@192.0.2.7", { user: "root", host: "192.0.2.7", port: undefined }],
    ["vm.example.org:2222", { user: "root", host: "vm.example.org", port: 2222 }],
    ["admin@[2001:db8::7]:22", { user: "admin", host: "2001:db8::7", port: 22 }],
    ["[2001:db8::7]", { user: "root", host: "2001:db8::7", port: undefined }],
  ])("%s", (text, expected) => {
    expect(parseSshTarget(text)).toEqual(expected);
  });

  test.each([
    "",
    "-oProxyCommand=x",
    "root@-x",
    "a b",
    "root@h:0",
    "root@h:99999",
    "root@h;x",
    "2001:db8::7",
  ])("%j is refused", (text) => {
    expect(() => parseSshTarget(text)).toThrow(/^--ssh: .*is not understood\.$/);
  });
});

describe("fstabAdvice", () => {
  const usual = "virtio-boot /boot 9p trans=virtio,version=9p2000.L,x-systemd.automount 0 0";
  test("a usual hand-made line may stay", () => {
    expect(fstabAdvice(`${usual}\n`, ninep)).toEqual([]);
  });

  test.each([
    ["none", "", /^Nothing mounts \/boot at the guest's boot: put this line .*: virtio-boot \/boot 9p /],
    ["two", `${usual}\nUUID=x /boot ext4 defaults 0 2\n`, /has 2 lines for \/boot; leave one: virtio-boot/],
    [
      "a partition",
      "UUID=x /boot ext4 defaults 0 2\n",
      /mounts something else on \/boot \(UUID=x \/boot ext4 /,
    ],
    ["another way", "virtio-boot /boot virtiofs defaults 0 0", /something else on \/boot/],
    ["text that acts", "\u001b[2J /boot 9p", /something else on \/boot \(\\x1b\[2J \/boot 9p\)/],
  ])("%s", (_what, said, expected) => {
    const advice = fstabAdvice(said, ninep);
    expect(advice).toHaveLength(1);
    expect(advice[0]).toMatch(expected);
  });
});

describe("knownHosts", () => {
  test("takes public keys, and nothing else that a guest says", () => {
    const said =
      "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 root@x\n@cert-authority * ssh-rsa AAAA\n* ssh-rsa AAAA\n\u0000\n";
    expect(knownHosts("UUID", said)).toBe("UUID ssh-ed25519 AAAAC3NzaC1lZDI1NTE5\n");
    expect(knownHosts("U", "ssh-rsa AAAA\n".repeat(100)).split("\n")).toHaveLength(9);
  });
});

describe("the guest's package", () => {
  test("holds the parts that report, as root's, and says nothing of how the machine is set up", async () => {
    const dir = mkdtempSync(join(tmpdir(), "bootshare-test-"));
    const umask = process.umask(0o077);
    try {
      const file = join(dir, "x.deb");
      await buildGuestPackage(file);
      const list = execFileSync("dpkg-deb", ["--contents", file], { encoding: "utf8" }).trim().split("\n");
      const files = list.filter((line) => line.startsWith("-"));
      expect(files.map((line) => line.replace(/^.* \.\//, "")).sort()).toEqual([...PACKAGED_FILES].sort());
      expect(list.every((line) => / root\/root /.test(line))).toBe(true);
      expect(list.filter((line) => line.startsWith("d")).every((line) => line.startsWith("drwxr-xr-x"))).toBe(
        true,
      );
      expect(files.filter((line) => line.startsWith("-rwxr-xr-x"))).toHaveLength(4);
      const info = execFileSync("dpkg-deb", ["--field", file, "Package", "Architecture"], {
        encoding: "utf8",
      });
      expect(info).toBe("Package: bootshare-guest\nArchitecture: all\n");
      expect(statSync(file).size).toBeLessThan(20_000);
    } finally {
      process.umask(umask);
      rmSync(dir, { recursive: true });
    }
  });
});
