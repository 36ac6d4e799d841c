import { describe, expect, it } from "vitest";
import { parseDepends } from "../../../src/provision/first-initrd.ts";

describe("parseDepends", () => {
  it("takes files in their order, without what is built in and without options", () => {
    const text = [
      "insmod /r/lib/modules/6.1/kernel/crypto/crc32c_generic.ko ",
      "builtin jbd2",
      "insmod /r/lib/modules/6.1/kernel/fs/ext4/ext4.ko.xz debug=1",
      "",
    ].join("\n");
    expect(parseDepends(text)).toEqual([
      "/r/lib/modules/6.1/kernel/crypto/crc32c_generic.ko",
      "/r/lib/modules/6.1/kernel/fs/ext4/ext4.ko.xz",
    ]);
  });

  it("finds nothing in nothing", () => {
    expect(parseDepends("")).toEqual([]);
  });
});
