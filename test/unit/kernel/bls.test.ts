import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type BlsEntry, compareBls, isBlsName, parseBls } from "../../../src/kernel/bls.ts";
import { LOADER_FILE_MAX_BYTES } from "../../../src/kernel/limits.ts";

const parse = (name: string, text: string | Buffer) => parseBls(name, Buffer.from(text));

function entry(name: string, text = ""): BlsEntry {
  const result = parse(name, text);
  if (!result.ok) throw new Error(result.reason);
  return result.entry;
}

/** With the keys that kernel-install writes. */
const WHOLE = `# Boot Loader Specification type#1 entry
title      Debian GNU/Linux 12 (bookworm)
version    6.1.0-50-amd64
machine-id 4098b3f648d74c13b1f04ccfba7798e8
sort-key   debian
options    root=UUID=6d3376e4-fc93-4509-95ec-a21d68011da2 ro quiet
linux      /vmlinuz-6.1.0-50-amd64
initrd     /initrd.img-6.1.0-50-amd64
`;

describe("parseBls", () => {
  it("reads a whole entry", () => {
    expect(entry("4098b3f648d74c13b1f04ccfba7798e8-6.1.0-50-amd64+3-1.conf", WHOLE)).toEqual({
      id: "4098b3f648d74c13b1f04ccfba7798e8-6.1.0-50-amd64+3-1",
      triesLeft: 3,
      title: "Debian GNU/Linux 12 (bookworm)",
      version: "6.1.0-50-amd64",
      machineId: "4098b3f648d74c13b1f04ccfba7798e8",
      sortKey: "debian",
      linux: "/vmlinuz-6.1.0-50-amd64",
      initrds: ["/initrd.img-6.1.0-50-amd64"],
      options: "root=UUID=6d3376e4-fc93-4509-95ec-a21d68011da2 ro quiet",
      devicetree: undefined,
      architecture: undefined,
    });
  });

  it.each<[string, string, Partial<BlsEntry>]>([
    [
      "options and initrd that add up",
      "options a\ninitrd /1\noptions b\ninitrd /2\n",
      { options: "a b", initrds: ["/1", "/2"] },
    ],
    ["the last of any other key", "linux /a\nlinux /b\n", { linux: "/b" }],
    ["tabs, spaces and ends of line of DOS", "  linux\t \t/a  \r\ntitle x\r\n", { linux: "/a", title: "x" }],
    ["a last line without its end", "linux /a", { linux: "/a" }],
    ["comments and empty lines", "#linux /a\n\n # linux /b\n", { linux: undefined }],
    [
      "keys of other programs",
      "grub_users $x\nefi /EFI/x.efi\nuki /x\n__proto__ x\n",
      { linux: undefined, options: "" },
    ],
    ["a key without a value", "linux\nlinux   \n", { linux: undefined }],
    ["keys as they are, not in capitals", "LINUX /a\n", { linux: undefined }],
    [
      "device tree and architecture",
      "devicetree /x.dtb\narchitecture AA64\n",
      { devicetree: "/x.dtb", architecture: "AA64" },
    ],
  ])("reads %s", (_what, text, facts) => {
    expect(entry("a.conf", text)).toMatchObject(facts);
  });

  it.each<[string, number | undefined]>([
    ["a.conf", undefined],
    ["a+3.conf", 3],
    ["a+0-3.conf", 0],
    ["a+2-1.conf", 2],
    ["6.12.48+deb13-amd64.conf", undefined],
    ["6.12.48+deb13-amd64+1.conf", 1],
    ["a+-1.conf", undefined],
    ["a+1-.conf", undefined],
    ["a+1x.conf", undefined],
    ["a+99999999999.conf", undefined],
  ])("reads the boot counters of %s", (name, triesLeft) => {
    expect(entry(name).triesLeft).toBe(triesLeft);
  });

  it.each<[string, Buffer, string]>([
    ["bytes that are not UTF-8", Buffer.from([0x6c, 0xff, 0xfe]), "is not UTF-8 text"],
    ["a large file", Buffer.alloc(LOADER_FILE_MAX_BYTES + 1, "#"), "is larger than 64 KiB"],
  ])("refuses %s", (_what, file, reason) => {
    expect(parse("a.conf", file)).toEqual({ ok: false, reason });
  });

  it("gives a result for any bytes", () => {
    const line = fc.tuple(
      fc.constantFrom("linux", "initrd", "options", "title", "sort-key", "#", ""),
      fc.constantFrom(" ", "\t", ""),
      fc.string({ unit: "binary" }),
    );
    const text = fc.array(line.map((parts) => parts.join(""))).map((lines) => Buffer.from(lines.join("\n")));
    const any = fc.uint8Array({ maxLength: 512 }).map((bytes) => Buffer.from(bytes));
    fc.assert(
      fc.property(fc.string(), fc.oneof(text, any), (name, file) => {
        const result = parseBls(name, file);
        if (result.ok) expect(result.entry.linux?.trim()).toBe(result.entry.linux);
        else expect(result.reason).toMatch(/^is [ -~]+$/);
      }),
    );
  });

  it("takes time that grows with the length alone", () => {
    const before = performance.now();
    for (const unit of [" ", "\t", "a ", "linux ", "\n", "#\n"]) {
      parse("a.conf", unit.repeat(LOADER_FILE_MAX_BYTES / unit.length));
    }
    expect(performance.now() - before).toBeLessThan(5000);
  });
});

it.each([
  ["a.conf", true],
  [".conf", false],
  ["a.conf.dpkg-new", false],
  ["a.CONF", false],
])("%s is the name of an entry: %s", (name, expected) => {
  expect(isBlsName(name)).toBe(expected);
});

describe("compareBls sorts", () => {
  const keyed = (sortKey: string, machineId: string, version: string): string =>
    `sort-key ${sortKey}\nmachine-id ${machineId}\nversion ${version}\n`;

  it.each<[string, [name: string, text?: string][]]>([
    ["by file name, newest first, without keys", [["m-6.1.0-10.conf"], ["m-6.1.0-9.conf"]]],
    [
      "by version and not by file name where both have a sort-key",
      [
        ["a.conf", keyed("debian", "1", "6.12.9")],
        ["b.conf", keyed("debian", "1", "6.1.10")],
        ["c.conf", keyed("debian", "1", "6.1.9")],
      ],
    ],
    [
      "by machine-id before version",
      [
        ["a.conf", keyed("debian", "1", "1")],
        ["b.conf", keyed("debian", "2", "9")],
      ],
    ],
    [
      "by sort-key before all that",
      [
        ["a.conf", keyed("arch", "2", "1")],
        ["b.conf", keyed("debian", "1", "9")],
      ],
    ],
    ["a sort-key before none", [["1.conf", "sort-key z\n"], ["9.conf"]]],
    [
      "a machine-id that is not there first",
      [
        ["1.conf", "sort-key a\n"],
        ["9.conf", "sort-key a\nmachine-id 1\n"],
      ],
    ],
    ["what has no tries left behind all others", [["1.conf"], ["9+0-3.conf", keyed("a", "1", "9")]]],
    ["what has tries left as any other", [["9+1-2.conf"], ["1.conf"]]],
    [
      "in capitals first, as strcmp does",
      [
        ["1.conf", "sort-key B\n"],
        ["9.conf", "sort-key a\n"],
      ],
    ],
  ])("%s", (_what, rows) => {
    const expected = rows.map(([name]) => name.replace(/\.conf$/, ""));
    const sort = (list: typeof rows) => list.map(([name, text]) => entry(name, text)).sort(compareBls);
    expect(sort(rows).map(({ id }) => id)).toEqual(expected);
    expect(sort([...rows].reverse()).map(({ id }) => id)).toEqual(expected);
  });

  it("in a total order", () => {
    const text = fc.constantFrom("", "1", "9", "10", "a", "~");
    const key = fc.option(text, { nil: undefined });
    const any = fc.record({
      id: text,
      triesLeft: fc.constantFrom(undefined, 0, 1),
      sortKey: key,
      machineId: key,
      version: key,
    });
    const whole = any.map((facts): BlsEntry => ({ ...entry("x.conf"), ...facts }));
    fc.assert(
      fc.property(whole, whole, whole, (a, b, c) => {
        expect(Math.sign(compareBls(a, b)) + Math.sign(compareBls(b, a))).toBe(0);
        if (compareBls(a, b) <= 0 && compareBls(b, c) <= 0) expect(compareBls(a, c)).toBeLessThanOrEqual(0);
      }),
    );
  });
});
