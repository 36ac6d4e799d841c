import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ExtlinuxEntry, parseExtlinux } from "../../../src/kernel/extlinux.ts";
import { LOADER_FILE_MAX_BYTES, MAX_LOADER_ENTRIES } from "../../../src/kernel/limits.ts";

function entries(text: string): readonly ExtlinuxEntry[] {
  const result = parseExtlinux(Buffer.from(text));
  if (!result.ok) throw new Error(result.reason);
  return result.entries;
}

/** In the form that u-boot-menu writes. */
const U_BOOT_MENU = `## /boot/extlinux/extlinux.conf
##
## The configuration of this file is generated automatically.

default l1
menu title U-Boot menu
prompt 1
timeout 50


label l0
	menu label Debian GNU/Linux 12 (bookworm) 6.12.9-arm64
	linux /vmlinuz-6.12.9-arm64
	initrd /initrd.img-6.12.9-arm64
	fdtdir /usr/lib/linux-image-6.12.9-arm64/

	append root=UUID=1 ro quiet

label l1
	menu label Debian GNU/Linux 12 (bookworm) 6.1.0-50-arm64
	linux /vmlinuz-6.1.0-50-arm64
	initrd /initrd.img-6.1.0-50-arm64
	append root=UUID=1 ro
`;

describe("parseExtlinux", () => {
  it("reads what u-boot-menu writes, the default first", () => {
    expect(entries(U_BOOT_MENU)).toEqual([
      {
        label: "l1",
        title: "Debian GNU/Linux 12 (bookworm) 6.1.0-50-arm64",
        linux: "/vmlinuz-6.1.0-50-arm64",
        initrds: ["/initrd.img-6.1.0-50-arm64"],
        options: "root=UUID=1 ro",
        devicetree: undefined,
      },
      {
        label: "l0",
        title: "Debian GNU/Linux 12 (bookworm) 6.12.9-arm64",
        linux: "/vmlinuz-6.12.9-arm64",
        initrds: ["/initrd.img-6.12.9-arm64"],
        options: "root=UUID=1 ro quiet",
        devicetree: undefined,
      },
    ]);
  });

  it.each<[string, string, Partial<ExtlinuxEntry>]>([
    [
      "keywords in capitals",
      "LABEL a\nKERNEL ../k\nINITRD ../i\nAPPEND x\nFDT ../d\n",
      { label: "a", linux: "../k", initrds: ["../i"], options: "x", devicetree: "../d" },
    ],
    [
      "the last of a keyword",
      "label a\nlinux 1\nkernel 2\nappend x\nappend y\n",
      { linux: "2", options: "y" },
    ],
    ["several initrds", "label a\ninitrd 1,2,,3\n", { initrds: ["1", "2", "3"] }],
    ["a hot key", "label a\nMENU LABEL Debian ^12\n", { title: "Debian 12" }],
    ["other lines of the menu", "label a\nmenu default\nmenu labelled x\n", { title: undefined }],
    ["ends of line of DOS", "label a\r\nlinux 1\r\n", { label: "a", linux: "1" }],
    ["a label of several words", "label a b\nlinux 1\n", { label: "a b" }],
    ["a keyword without a value", "label\nlinux\n", { label: "", linux: "", options: "" }],
    ["help for people", "label a\nTEXT HELP\nlinux is good\nENDTEXT\nlinux 1\n", { linux: "1" }],
    ["comments", "label a\n# linux 1\n", { linux: undefined }],
    ["devicetree, U-Boot's other word for fdt", "label a\ndevicetree /d\n", { devicetree: "/d" }],
  ])("reads %s", (_what, text, facts) => {
    expect(entries(text)).toHaveLength(1);
    expect(entries(text)[0]).toMatchObject(facts);
  });

  it.each([
    ["no DEFAULT", "", ["a", "b"]],
    ["a DEFAULT", "DEFAULT b\n", ["b", "a"]],
    ["a DEFAULT that names no label", "default c\n", ["a", "b"]],
    ["two of them: the last counts", "default a\ndefault b\n", ["b", "a"]],
  ])("with %s", (_what, head, labels) => {
    expect(entries(`${head}label a\nlabel b\n`).map(({ label }) => label)).toEqual(labels);
  });

  it("passes over what stands before the first label", () => {
    expect(entries("linux 1\nmenu label x\nappend y\n")).toEqual([]);
  });

  it.each<[string, Buffer, string]>([
    ["bytes that are not UTF-8", Buffer.from([0xff]), "is not UTF-8 text"],
    ["a large file", Buffer.alloc(LOADER_FILE_MAX_BYTES + 1, "#"), "is larger than 64 KiB"],
    ["many labels", Buffer.from("label x\n".repeat(MAX_LOADER_ENTRIES + 1)), "has more than 32 labels"],
  ])("refuses %s", (_what, file, reason) => {
    expect(parseExtlinux(file)).toEqual({ ok: false, reason });
  });

  it("gives a result for any bytes", () => {
    const line = fc.tuple(
      fc.constantFrom("label", "LINUX", "initrd", "append", "menu label", "default", "text", "endtext", ""),
      fc.constantFrom(" ", "\t", ""),
      fc.string({ unit: "binary" }),
    );
    const text = fc.array(line.map((parts) => parts.join(""))).map((lines) => Buffer.from(lines.join("\n")));
    const any = fc.uint8Array({ maxLength: 512 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.oneof(text, any), (file) => {
        const result = parseExtlinux(file);
        if (result.ok) expect(result.entries.length).toBeLessThanOrEqual(MAX_LOADER_ENTRIES);
        else expect(result.reason).toMatch(/^(is|has) [ -~]+$/);
      }),
    );
  });

  it("takes time that grows with the length alone", () => {
    const before = performance.now();
    for (const unit of [" ", "\t", "a ", "label a\nlinux ", "menu label ", "\n"]) {
      parseExtlinux(Buffer.from(unit.repeat(Math.floor(LOADER_FILE_MAX_BYTES / unit.length))));
    }
    expect(performance.now() - before).toBeLessThan(5000);
  });
});
