import { describe, expect, it } from "vitest";
import { entryLines, entryRows } from "../../../src/commands/entries.ts";
import { type BootEntry, catalogue } from "../../../src/kernel/catalogue.ts";

function file(name: string, text: string): BootEntry {
  const head = Buffer.from(text);
  return { name, kind: "file", size: head.length, mtimeMs: 0, head };
}
const rowsOf = (entries: BootEntry[]) => entryRows(catalogue(entries, "amd64"));

describe("entries as they are shown", () => {
  const rows = rowsOf([
    file("loader/entries/a.conf", "title A\nversion 1\nlinux /k\ninitrd /i\noptions root=/dev/vda ro\n"),
    file("extlinux/extlinux.conf", "label l0\nlinux /m/linux\ninitrd /i\nfdt /d\n"),
  ]);

  it("in JSON", () => {
    expect(rows).toEqual([
      {
        file: "loader/entries/a.conf",
        label: null,
        title: "A",
        version: "1",
        kernel: "k",
        initrd: "i",
        options: "root=/dev/vda ro",
        devicetree: null,
        architecture: null,
        default: true,
        problem: null,
      },
      {
        file: "extlinux/extlinux.conf",
        label: "l0",
        title: null,
        version: null,
        kernel: null,
        initrd: null,
        options: "",
        devicetree: "/d",
        architecture: null,
        default: false,
        problem:
          'the label l0 of extlinux/extlinux.conf names a file outside the top folder, "/m/linux": not looked at',
      },
    ]);
  });

  it("as text", () => {
    expect(entryLines(rows)).toEqual([
      "loader/entries/a.conf -> k, i  (default)",
      "  options, not obeyed: root=/dev/vda ro",
      'extlinux/extlinux.conf, label l0 -> ?  (the label l0 of extlinux/extlinux.conf names a file outside the top folder, "/m/linux": not looked at)',
    ]);
  });

  it("not at all where there are none", () => {
    expect(rowsOf([])).toEqual([]);
    expect(entryRows(undefined)).toEqual([]);
  });

  it("with nothing in them that acts in a terminal", () => {
    const hostile = "\x1b[2J\u202e\x9b\x07";
    const lines = ["title", "version", "linux", "options", "devicetree", "architecture", "initrd"].map(
      (key) => `${key} x${hostile}`,
    );
    const all = rowsOf([
      file("loader/entries/a.conf", lines.join("\n")),
      file(
        "extlinux/extlinux.conf",
        `label l${hostile}\nmenu label m${hostile}\n${lines.join("\n")}\nappend x${hostile}`,
      ),
    ]);
    expect(all).toHaveLength(2);
    expect(JSON.stringify(all) + entryLines(all).join("")).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
    expect(all[0]?.options).toBe("x\\x1b[2J\\u202e\\x9b\\x07");
  });
});
