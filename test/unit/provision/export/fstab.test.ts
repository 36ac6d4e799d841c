import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { exportedFstab } from "../../../../src/provision/export/fstab.ts";
import { importedFstab } from "../../../../src/provision/import/fstab.ts";

const SHARE = "virtio-boot /boot 9p trans=virtio,version=9p2000.L 0 0";

describe("exportedFstab", () => {
  it("gives an imported guest what it had", () => {
    const before = "LABEL=root / ext4 rw 0 1\nLABEL=BOOT /boot ext4 defaults 0 2\n";
    expect(exportedFstab(importedFstab(before, "x", SHARE).text)).toBe(before);
  });

  it("takes the share from one that bootshare made", () => {
    expect(exportedFstab(`# about\nUUID=x / ext4 errors=remount-ro 0 1\n${SHARE}\n`)).toBe(
      "# about\nUUID=x / ext4 errors=remount-ro 0 1\n",
    );
  });

  it("takes back whatever an import changed, but a root's name", () => {
    const line = fc
      .tuple(fc.constantFrom("UUID=1", "LABEL=a", "# x"), fc.constantFrom("/", "/boot", "/boot/efi", "/home"))
      .map(([spec, file]) => `${spec} ${file} ext4 rw 0 0`);
    fc.assert(
      fc.property(fc.array(line, { minLength: 1 }), (lines) => {
        const before = `${lines.join("\n")}\n`;
        expect(exportedFstab(importedFstab(before, "x", SHARE).text)).toBe(before);
      }),
    );
  });
});
