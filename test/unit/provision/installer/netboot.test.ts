import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { chooseNetboot, netbootIn, netbootSource } from "../../../../src/provision/installer/netboot.ts";
import { findSuite } from "../../../../src/provision/suites.ts";

const folder = mkdtempSync(join(tmpdir(), "bootshare-netboot-"));
afterAll(() => rmSync(folder, { recursive: true }));
const IMAGES = "usr/lib/debian-installer/images/13";

describe("among the files of a package", () => {
  it.each<[what: string, paths: string[], kernel: string | undefined]>([
    [
      "the installer in text, not the graphical one",
      ["gtk", "text"].flatMap((kind) =>
        ["initrd.gz", "linux"].map((name) => `${IMAGES}/amd64/${kind}/debian-installer/amd64/${name}`),
      ),
      `${IMAGES}/amd64/text/debian-installer/amd64/linux`,
    ],
    [
      "a kernel by another name",
      [`${IMAGES}/armhf/text/vmlinuz`, `${IMAGES}/armhf/text/initrd.gz`],
      `${IMAGES}/armhf/text/vmlinuz`,
    ],
    ["no graphical one at all", [`${IMAGES}/gtk/linux`, `${IMAGES}/gtk/initrd.gz`], undefined],
    ["no initrd without a kernel", [`${IMAGES}/text/initrd.gz`, `${IMAGES}/other/linux`], undefined],
    ["nothing", [], undefined],
  ])("%s", (_what, paths, kernel) => {
    expect(chooseNetboot(paths)?.kernel).toBe(kernel);
  });
});

describe("--netboot", () => {
  const trixie = findSuite("trixie");
  it("left out is Debian's package", () => {
    expect(netbootSource(undefined, trixie, "armhf")).toEqual({
      kind: "package",
      name: "debian-installer-13-netboot-armhf",
    });
  });

  it("takes a package", () => {
    expect(netbootSource("debian-installer-12-netboot-amd64", trixie, "amd64")).toMatchObject({
      kind: "package",
    });
  });

  it("takes a folder that has both files", () => {
    const good = join(folder, "good");
    mkdirSync(good);
    for (const name of ["vmlinuz", "initrd.gz"]) writeFileSync(join(good, name), "");
    expect(netbootSource(good, trixie, "amd64")).toEqual({ kind: "folder", folder: good });
    expect(netbootIn(good)).toEqual({ kernel: join(good, "vmlinuz"), initrd: join(good, "initrd.gz") });
  });

  it.each([
    ["an empty folder", folder, "NETBOOT_NOT_FOUND"],
    ["a folder that is not there", join(folder, "none"), "NETBOOT_NOT_FOUND"],
    ["no name of a package", "-x", "USAGE"],
  ])("refuses %s", (_what, asked, code) => {
    expect(() => netbootSource(asked, trixie, "amd64")).toThrow(expect.objectContaining({ code }));
  });
});
