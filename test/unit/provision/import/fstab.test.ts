import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { importedFstab, parseFstab } from "../../../../src/provision/import/fstab.ts";

const SHARE = "virtio-boot /boot virtiofs x-systemd.automount,nofail 0 0";
const UUID = "620fb59c-f3a0-4911-896a-1be198aa85a1";
const changed = (text: string) => importedFstab(text, UUID, SHARE);

describe("importedFstab", () => {
  it.each<[string, string, string]>([
    ["debvm's", "LABEL=debvm / ext4 defaults 0 0\n", "LABEL=debvm / ext4 defaults 0 0\n"],
    [
      "a cloud's, with a loader's file system",
      "PARTUUID=a / ext4 rw 0 1\nPARTUUID=b /boot/efi vfat defaults 0 0\n",
      "PARTUUID=a / ext4 rw 0 1\n# before bootshare: PARTUUID=b /boot/efi vfat defaults 0 0\n",
    ],
    [
      "one with a /boot of its own",
      "LABEL=cloudimg-rootfs\t/\text4\tdiscard\t0 1\nLABEL=BOOT\t/boot\text4\tdefaults\t0 2\n",
      "LABEL=cloudimg-rootfs\t/\text4\tdiscard\t0 1\n# before bootshare: LABEL=BOOT\t/boot\text4\tdefaults\t0 2\n",
    ],
    [
      "a /boot with a slash",
      "UUID=x / ext4 rw 0 1\nUUID=y /boot/ ext4 rw 0 2\n",
      "UUID=x / ext4 rw 0 1\n# before bootshare: UUID=y /boot/ ext4 rw 0 2\n",
    ],
    [
      "a root by its device",
      "# /etc/fstab\n/dev/sda1 / ext4 rw 0 1\n",
      `# /etc/fstab\nUUID=${UUID} / ext4 rw 0 1\n`,
    ],
    ["none", "", "\n"],
    ["a comment that names /boot", "#UUID=x /boot ext4\n", "#UUID=x /boot ext4\n"],
    ["something beside it", "UUID=x /bootstrap ext4 rw 0 2\n", "UUID=x /bootstrap ext4 rw 0 2\n"],
  ])("changes %s", (_name, before, after) => {
    expect(changed(before)).toEqual({
      text: `${after}# /boot is a folder of the host.\n${SHARE}\n`,
      doubtful: [],
    });
  });

  it("names what is mounted by a device's name", () => {
    const text = "UUID=x / ext4 rw 0 1\n/dev/sdb1 /srv xfs rw 0 2\n/dev/mapper/vg-home /home ext4 rw 0 2\n";
    expect(changed(text).doubtful).toEqual(["/srv"]);
  });

  it("leaves one mount on /boot, the last, and all others as they are", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("/", "/boot", "/boot/efi", "/home", "none")), (places) => {
        const before = places.map((place, i) => `UUID=${i} ${place} ext4 rw 0 0`).join("\n");
        const mounts = parseFstab(changed(before).text);
        expect(mounts.at(-1)).toEqual({ spec: "virtio-boot", file: "/boot", type: "virtiofs" });
        expect(mounts.slice(0, -1).map(({ file }) => file)).toEqual(
          places.filter((place) => !place.startsWith("/boot")),
        );
      }),
    );
  });
});
