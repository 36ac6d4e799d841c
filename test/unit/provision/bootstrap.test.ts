import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { UserError } from "../../../src/errors.ts";
import {
  type BootstrapOptions,
  bootstrapCommand,
  classifyFailure,
} from "../../../src/provision/bootstrap.ts";
import { checkDiskSize, MIN_DISK_BYTES, releaseIn, takeBoot } from "../../../src/provision/disk.ts";
import { findSuite } from "../../../src/provision/suites.ts";

const SECURITY = "http://mirror.example.org/debian-security";
const ARCHIVE = "http://mirror.example.org/debian";

const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (error instanceof UserError) return error.code;
    throw error;
  }
  return "none";
};

describe("bootstrapCommand", () => {
  const options: BootstrapOptions = {
    suite: findSuite("trixie"),
    packages: ["udev", "less"],
    units: [],
    sourcesFile: "/w/debian.sources",
    securityMirror: SECURITY,
    overlay: "/w/$(touch evil)/'guest files",
    root: "/w/root",
    temporary: "/w/tmp",
    architectures: ["armhf", "arm64"],
    stage: "native",
  };

  it("keeps processes and mounts in namespaces of their own", () => {
    const { file, args } = bootstrapCommand(options);
    expect(file).toBe("setpriv");
    expect(args.slice(0, 8)).toEqual([
      "--pdeathsig=KILL",
      "unshare",
      "--mount",
      "--pid",
      "--fork",
      "--kill-child",
      "--mount-proc",
      "mmdebstrap",
    ]);
    expect(args.slice(-3)).toEqual(["trixie", "/w/root", "/w/debian.sources"]);
    expect(args).toContain("--include=udev,less");
    expect(args).toContain("--architectures=armhf,arm64");
  });

  it("only unpacks what the guest installs itself", () => {
    const { args } = bootstrapCommand({ ...options, stage: "guest" });
    expect(args).toContain("--variant=extract");
    expect(args).toContain("--include=?essential");
    expect(args.filter((arg) => arg.startsWith("--extract-hook="))).toHaveLength(1);
    expect(args.filter((arg) => /^--(customize|essential)-hook=/.test(arg))).toEqual([]);
  });

  it("downloads busybox where the first initrd needs it, and only there", () => {
    const downloads = (folder: string | undefined): number =>
      bootstrapCommand({ ...options, busyboxFolder: folder }).args.filter((arg) =>
        arg.includes("download busybox-static"),
      ).length;
    expect([downloads(undefined), downloads("/w/busybox")]).toEqual([0, 1]);
  });

  it("puts no name of the caller into the text of a hook", () => {
    const hooks = bootstrapCommand(options).args.filter((arg) => arg.includes("-hook="));
    expect(hooks).toHaveLength(2);
    expect(hooks.join("\n")).not.toContain("evil");
    expect(hooks).toEqual(
      bootstrapCommand({ ...options, overlay: "/other", root: "/r" }).args.filter((arg) =>
        arg.includes("-hook="),
      ),
    );
  });
});

describe("classifyFailure", () => {
  it.each([
    [
      "a hash that does not fit, in the security archive",
      `I: running apt-get update...
Get:3 ${SECURITY} trixie-security/main amd64 Packages [300 kB]
Err:3 ${SECURITY} trixie-security/main amd64 Packages
  File has unexpected size (300000 != 299000). Mirror sync in progress? [IP: 192.0.2.1 80]
E: Failed to fetch ${SECURITY}/dists/trixie-security/main/binary-amd64/Packages.xz  File has unexpected size`,
      "security archive",
    ],
    [
      "a release file that is missing",
      `E: The repository '${SECURITY} trixie-security Release' does not have a Release file.`,
      "security archive",
    ],
    [
      "a package that is gone",
      `E: Failed to fetch ${SECURITY}/pool/updates/main/o/openssl/libssl3_1_amd64.deb  404  Not Found [IP: 192.0.2.1 80]`,
      "security archive",
    ],
    [
      "not valid yet",
      `E: Release file for ${SECURITY}/dists/trixie-security/InRelease is not valid yet (invalid for another 2h 1min 3s).`,
      "security archive",
    ],
    [
      "the archive itself",
      `E: Failed to fetch ${ARCHIVE}/dists/trixie/main/Packages.xz  Hash Sum mismatch`,
      "archive",
    ],
    [
      "the archive itself, the security archive being fine",
      `Get:3 ${SECURITY} trixie-security InRelease [40 kB]
E: Failed to fetch ${ARCHIVE}/pool/main/b/bash/bash_1_amd64.deb  Could not connect to mirror.example.org:80`,
      "unreachable archive",
    ],
    [
      "nobody at the security archive",
      `E: Failed to fetch ${SECURITY}/dists/trixie-security/InRelease  Could not connect to mirror.example.org:80`,
      "security archive",
    ],
    [
      "the updates alone",
      `Err:6 ${ARCHIVE} trixie-updates/main riscv64 Packages
  File has unexpected size (720 != 1108). Mirror sync in progress? [IP: 192.0.2.1 80]
E: Failed to fetch ${ARCHIVE}/dists/trixie-updates/main/binary-riscv64/Packages.xz  File has unexpected size (720 != 1108)
E: Some index files failed to download. They have been ignored, or old ones used instead.`,
      "updates suite",
    ],
    [
      "a mirror without the updates",
      `E: The repository '${ARCHIVE} trixie-updates Release' does not have a Release file.`,
      "updates suite",
    ],
    [
      "the updates and the archive itself",
      `E: Failed to fetch ${ARCHIVE}/dists/trixie-updates/main/Packages.xz  Hash Sum mismatch
E: Failed to fetch ${ARCHIVE}/dists/trixie/main/Packages.xz  Hash Sum mismatch`,
      "archive",
    ],
    [
      "the updates and the security archive",
      `E: Failed to fetch ${ARCHIVE}/dists/trixie-updates/main/Packages.xz  Hash Sum mismatch
E: Failed to fetch ${SECURITY}/dists/trixie-security/main/Packages.xz  Hash Sum mismatch`,
      "security archive",
    ],
    [
      "nobody at the archive, when the updates were read first",
      `E: Failed to fetch ${ARCHIVE}/dists/trixie-updates/InRelease  Could not connect to mirror.example.org:80`,
      "unreachable archive",
    ],
    ["a package that does not exist", "E: Unable to locate package nonsense", "other"],
    [
      "a signature",
      `E: GPG error: ${SECURITY} trixie-security InRelease: NO_PUBKEY 0123456789ABCDEF`,
      "other",
    ],
    [
      "words of a package",
      "Setting up x (1) ...\n404 lines, Hash Sum mismatch\nE: run_chroot failed",
      "other",
    ],
    ["nothing", "", "other"],
  ])("%s", (_name, output, cause) => {
    expect(classifyFailure(output, SECURITY)).toBe(cause);
  });

  it("knows no security archive where there is none", () => {
    expect(classifyFailure(`E: Failed to fetch ${SECURITY}/x  404  Not Found`, undefined)).toBe("archive");
  });
});

describe("disk", () => {
  let folder = "";
  afterEach(() => {
    if (folder !== "") rmSync(folder, { recursive: true, force: true });
  });

  it.each([0, -1, Number.NaN, MIN_DISK_BYTES - 1, 2 ** 60])("refuses %d bytes", (bytes) => {
    expect(codeOf(() => checkDiskSize(bytes))).toBe("DISK_SIZE_INVALID");
  });

  it.each([
    [
      ["config-6.1.0-1-amd64", "initrd.img", "initrd.img-6.1.0-1-amd64", "vmlinuz", "vmlinuz-6.1.0-1-amd64"],
      "6.1.0-1-amd64",
    ],
    [["initrd.img-6.12.1+deb13-riscv64", "vmlinux", "vmlinux-6.12.1+deb13-riscv64"], "6.12.1+deb13-riscv64"],
  ])("finds the release in %j", (names, release) => {
    expect(releaseIn(names, true)).toBe(release);
  });

  it("finds a kernel whose initrd the guest is still to make", () => {
    expect(releaseIn(["config-6.1.0-1-armmp", "vmlinuz-6.1.0-1-armmp"], false)).toBe("6.1.0-1-armmp");
    // One that was made although it does not count.
    expect(codeOf(() => releaseIn(["vmlinuz-1", "initrd.img-1"], false))).toBe("BOOTSTRAP_FAILED");
  });

  it.each([
    [[]],
    [["vmlinuz-1"]],
    [["vmlinuz-1", "initrd.img-2"]],
    [["vmlinuz-1", "initrd.img-1", "vmlinuz-2", "initrd.img-2"]],
  ])("refuses %j", (names) => {
    expect(codeOf(() => releaseIn(names, true))).toBe("BOOTSTRAP_FAILED");
  });

  it("moves /boot out, links as links, and leaves the mount point", async () => {
    folder = mkdtempSync(join(tmpdir(), "bootshare-disk-"));
    mkdirSync(join(folder, "root/boot"), { recursive: true });
    writeFileSync(join(folder, "root/boot/vmlinuz-1"), "k");
    symlinkSync("vmlinuz-1", join(folder, "root/boot/vmlinuz"));
    expect(await takeBoot(join(folder, "root"), join(folder, "boot"))).toEqual(["vmlinuz", "vmlinuz-1"]);
    expect(readdirSync(join(folder, "root/boot"))).toEqual([]);
    expect(readdirSync(join(folder, "boot"))).toEqual(["vmlinuz", "vmlinuz-1"]);
  });
});
