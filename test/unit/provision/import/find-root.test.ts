import { describe, expect, it } from "vitest";
import type { Volume } from "../../../../src/provision/image/volumes.ts";
import { extVolumes, noRoot, volumeOf } from "../../../../src/provision/import/find-root.ts";

const volume = (number: number, type: string, bytes: number, more: Partial<Volume> = {}): Volume => ({
  ...{ number, offset: number * 1024, bytes, type },
  ...{ partUuid: `part-${number}`, uuid: `UUID-${number}`, label: undefined },
  ...more,
});
const VOLUMES = [
  volume(14, "", 4),
  volume(15, "vfat", 100),
  volume(16, "ext4", 900, { label: "BOOT" }),
  volume(1, "ext4", 3000, { label: "cloudimg-rootfs" }),
];

describe("volumes", () => {
  it("the largest of ext comes first", () => {
    expect(extVolumes(VOLUMES).map(({ number }) => number)).toEqual([1, 16]);
  });

  it.each<[string, number | undefined]>([
    ["LABEL=BOOT", 16],
    ['LABEL="BOOT"', 16],
    ["UUID=uuid-15", 15],
    ["PARTUUID=part-1", 1],
    ["/dev/disk/by-label/BOOT", 16],
    ["/dev/disk/by-uuid/UUID-1", 1],
    ["/dev/sda16", undefined],
    ["LABEL=other", undefined],
  ])("%s is %s", (spec, number) => {
    expect(volumeOf({ spec, file: "/boot", type: "ext4" }, VOLUMES)?.number).toBe(number);
  });

  it.each<[string, string, string]>([
    [
      "LVM2_member",
      "The root of the image a.img is on LVM, and only ext2, 3 and 4 are imported.",
      "adopt the domain",
    ],
    [
      "crypto_LUKS",
      "The root of the image a.img is on an encrypted volume (LUKS), and only ext2, 3 and 4 are imported.",
      "adopt",
    ],
    ["iso9660", "There is no installed system on the image a.img.", "installation medium"],
  ])("without a root, %s is told", (type, message, hint) => {
    expect(noRoot("a.img", [volume(1, type, 10)])).toMatchObject({
      code: "IMAGE_ROOT_NOT_FOUND",
      message,
      hint: expect.stringContaining(hint),
      detail: `1: ${type}`,
    });
  });
});
