import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import {
  formatOf,
  HEAD_BYTES,
  lookAtImage,
  requireWhole,
} from "../../../../src/provision/image/image-file.ts";

const folder = mkdtempSync(join(tmpdir(), "bootshare-image-"));
afterAll(() => rmSync(folder, { recursive: true }));

function head(at: number, bytes: string): Buffer {
  const buffer = Buffer.alloc(HEAD_BYTES);
  buffer.write(bytes, at, "latin1");
  return buffer;
}

describe("the format of an image", () => {
  it("is qcow2 by its magic, and raw by none", () => {
    expect(formatOf(head(0, "QFI\xfb\0\0\0\x03"), "a")).toBe("qcow2");
    expect(formatOf(Buffer.alloc(HEAD_BYTES), "a")).toBe("raw");
    expect(formatOf(Buffer.alloc(0), "a")).toBe("raw");
    // The begin of a boot sector.
    expect(formatOf(head(0, "\xeb\x63\x90"), "a")).toBe("raw");
  });

  it.each<[string, number, string, string, string]>([
    ["vmdk", 0, "KDMV", "a VMDK image, not a raw or qcow2 image", "qemu-img convert"],
    ["vhdx", 0, "vhdxfile", "a VHDX image, not a raw or qcow2 image", "qemu-img convert"],
    ["vdi", 0x40, "\x7f\x10\xda\xbe", "a VDI image, not a raw or qcow2 image", "qemu-img convert"],
    ["xz", 0, "\xfd7zXZ\0", "compressed by xz, not a raw or qcow2 image", "Unpack it first"],
    ["gzip", 0, "\x1f\x8b\x08", "compressed by gzip, not a raw or qcow2 image", "Unpack it first"],
    ["tar", 0x101, "ustar\0", "a tar archive, not a raw or qcow2 image", "Unpack it first"],
  ])("%s is told what to do", (name, at, bytes, sentence, hint) => {
    const file = join(folder, `x.${name}`);
    writeFileSync(file, head(at, bytes));
    expect(() => lookAtImage(file)).toThrow(
      expect.objectContaining({
        code: "IMAGE_FORMAT",
        message: `${file} is ${sentence}.`,
        hint: expect.stringContaining(hint),
        exitCode: 2,
      }),
    );
  });

  it("needs a file", () => {
    expect(() => lookAtImage(join(folder, "none"))).toThrow(
      expect.objectContaining({ code: "IMAGE_NOT_FOUND", exitCode: 3 }),
    );
    expect(() => lookAtImage(folder)).toThrow(
      expect.objectContaining({
        code: "IMAGE_UNREADABLE",
        message: `The image ${folder} is not a regular file.`,
      }),
    );
  });
});

describe("a whole image", () => {
  const plain = { format: "qcow2", "virtual-size": 1 };
  it("lies in one file", () => {
    requireWhole("a.qcow2", JSON.stringify(plain));
    requireWhole(
      "a.qcow2",
      JSON.stringify({ ...plain, "format-specific": { type: "qcow2", data: { compat: "1.1" } } }),
    );
  });

  it.each<[object, string]>([
    [{ "backing-filename": "/etc/shadow" }, "is not whole: a part of it lies in /etc/shadow"],
    [{ "backing-filename": "a\u001b[2J" }, "is not whole: a part of it lies in a\\x1b[2J"],
    [{ "format-specific": { data: { "data-file": "x.raw" } } }, "is not whole: a part of it lies in x.raw"],
    [{ encrypted: true }, "is encrypted"],
  ])("%o is refused", (more, why) => {
    expect(() => requireWhole("a.qcow2", JSON.stringify({ ...plain, ...more }))).toThrow(
      expect.objectContaining({ code: "IMAGE_NOT_WHOLE", message: `The image a.qcow2 ${why}.` }),
    );
  });

  it("is one that qemu-img can speak of", () => {
    expect(() => requireWhole("a.qcow2", "{")).toThrow(expect.objectContaining({ code: "IMAGE_INVALID" }));
  });
});
