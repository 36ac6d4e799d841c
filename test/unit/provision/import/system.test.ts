import { describe, expect, it } from "vitest";
import { dpkgArch, installedSystem } from "../../../../src/provision/import/system.ts";

const STATUS =
  "Package: adduser\nArchitecture: all\n\nPackage: dpkg\nStatus: install ok installed\nPre-Depends: libc6\nArchitecture: armhf\nVersion: 1.21\n\nPackage: zlib1g\nArchitecture: i386\n";
const DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n';
const UBUNTU = 'PRETTY_NAME="Ubuntu 24.04"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n';

describe("installedSystem", () => {
  it.each([
    [DEBIAN, { id: "debian", suite: "bookworm", arch: "armhf" }],
    [UBUNTU, { id: "ubuntu", suite: "noble", arch: "armhf" }],
    [
      'ID=debian\nPRETTY_NAME="Debian GNU/Linux trixie/sid"\n',
      { id: "debian", suite: "unknown", arch: "armhf" },
    ],
    ["ID=debian\nVERSION_CODENAME='<b>'\n", { id: "debian", suite: "unknown", arch: "armhf" }],
  ])("knows %j", (osRelease, system) => {
    expect(installedSystem(osRelease, STATUS)).toEqual(system);
  });

  it.each<[string, string | undefined, string | undefined, string, string]>([
    [
      "another system",
      'ID=fedora\nPRETTY_NAME="Fedora"',
      undefined,
      "IMAGE_NOT_DEBIAN",
      "On the image is Fedora, not Debian or one of its kin.",
    ],
    [
      "nothing",
      undefined,
      undefined,
      "IMAGE_NOT_DEBIAN",
      "On the image is no system that is known, not Debian or one of its kin.",
    ],
    [
      "no dpkg",
      DEBIAN,
      "Package: x\nArchitecture: amd64\n",
      "ARCH_UNKNOWN",
      "bootshare has no guests of the image's architecture, .",
    ],
    [
      "a /var of its own",
      DEBIAN,
      undefined,
      "IMAGE_VAR_NOT_FOUND",
      "The image's root file system has no /var/lib/dpkg/status.",
    ],
    [
      "another architecture",
      DEBIAN,
      "Package: dpkg\nStatus: x\nArchitecture: hurd-i386\n",
      "ARCH_UNKNOWN",
      "bootshare has no guests of the image's architecture, hurd-i386.",
    ],
  ])("refuses %s", (_name, osRelease, status, code, message) => {
    expect(() => installedSystem(osRelease, status)).toThrow(expect.objectContaining({ code, message }));
  });
});

it("dpkgArch takes the architecture of dpkg itself", () => {
  expect(dpkgArch(STATUS)).toBe("armhf");
  expect(dpkgArch("Package: dpkg-dev\nArchitecture: all\n")).toBeUndefined();
});
