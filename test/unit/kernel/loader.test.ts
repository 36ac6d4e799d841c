import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DEBIAN_ARCHES, type DebianArch } from "../../../src/kernel/arch.ts";
import { type BootEntry, catalogue } from "../../../src/kernel/catalogue.ts";
import { defaultEntry, type LoaderFile, loaderEntries } from "../../../src/kernel/loader.ts";
import { oneFileName } from "../../../src/kernel/names.ts";
import { bzImage, zstdInitrd } from "./images.ts";

const NEW = "6.12.48+deb13-amd64";
const OLD = "6.12.38+deb13-amd64";
const EXTLINUX = "extlinux/extlinux.conf";
const bls = (name: string, text: string): LoaderFile => ({
  name: `loader/entries/${name}`,
  head: Buffer.from(text),
});
const extlinux = (text: string): LoaderFile => ({ name: EXTLINUX, head: Buffer.from(text) });
const named = (kernel: string, initrd: string): string =>
  `linux ${kernel}\ninitrd ${initrd}\noptions quiet\n`;

function file(name: string, head: Buffer): BootEntry {
  return { name, kind: "file", size: head.length, mtimeMs: 0, head };
}
const pairOf = (release: string): BootEntry[] => [
  file(`vmlinuz-${release}`, bzImage({ release })),
  file(`initrd.img-${release}`, zstdInitrd()),
];
const asFile = ({ name, head = Buffer.alloc(0) }: LoaderFile): BootEntry => file(name, head);

describe("loaderEntries", () => {
  it("has entries of both kinds in one form, and what cannot be read last", () => {
    const files: LoaderFile[] = [
      { name: "loader/entries/z.conf", problem: "is a FIFO" },
      extlinux(
        "label l0\nlinux /k0\ninitrd /i0\nappend a\nlabel l1\nlinux ../k1\ninitrd /boot/i1\ndefault l1\n",
      ),
      bls("m-1.conf", named("/k-1", "i-1")),
      bls("m-2.conf", `title New\nversion 2\narchitecture x64\ndevicetree /d\n${named("k-2", "/i-2")}`),
      { name: "vmlinuz-1", head: Buffer.from("linux /x\n") },
    ];
    expect(loaderEntries(files)).toEqual([
      {
        file: "loader/entries/m-2.conf",
        title: "New",
        version: "2",
        kernel: "k-2",
        initrd: "i-2",
        options: "quiet",
        devicetree: "/d",
        architecture: "x64",
      },
      { file: "loader/entries/m-1.conf", kernel: "k-1", initrd: "i-1", options: "quiet" },
      { file: EXTLINUX, label: "l1", kernel: "k1", initrd: "i1", options: "" },
      { file: EXTLINUX, label: "l0", kernel: "k0", initrd: "i0", options: "a" },
      { file: "loader/entries/z.conf", options: "", problem: "loader/entries/z.conf is a FIFO" },
    ]);
  });

  const outside = (path: string): string =>
    `loader/entries/a.conf names a file outside the top folder, "${path}": not looked at`;
  it.each<[string, string, string]>([
    ["no kernel", "title x\n", "loader/entries/a.conf names no kernel"],
    ["an EFI program", "efi /EFI/x.efi\n", "loader/entries/a.conf names no kernel"],
    ["no initrd", "linux /k\n", "loader/entries/a.conf names no initrd"],
    [
      "two initrds",
      `${named("/k", "/i")}initrd /j\n`,
      "loader/entries/a.conf names 2 initrds, and a domain has one",
    ],
    ["the layout with folders", named("/m/6.1/linux", "/m/6.1/initrd"), outside("/m/6.1/linux")],
    ["an initrd in a folder", named("/k", "/m/initrd"), outside("/m/initrd")],
    ["a way out", named("../../etc/passwd", "/i"), outside("../../etc/passwd")],
    ["a way out of the top", named("/../etc/passwd", "/i"), outside("/../etc/passwd")],
    ["two slashes", named("//k", "/i"), outside("//k")],
    ["/boot, which the specification does not have", named("/boot/k", "/i"), outside("/boot/k")],
    ["the folder itself", named("/", "/i"), "loader/entries/a.conf names a file whose name is empty"],
    ["a folder", named("/..", "/i"), 'loader/entries/a.conf names a file whose name names a folder: ".."'],
    ["an option", named("-a", "/i"), 'loader/entries/a.conf names a file whose name begins with "-": "-a"'],
    [
      "a terminal escape",
      named("/k\x1b[2J", "/i"),
      'loader/entries/a.conf names a file whose name holds a control character: "k\\x1b[2J"',
    ],
    ["a path with one", named("/\x1b[2J/k", "/i"), outside("/\\x1b[2J/k")],
  ])("says of an entry that it names %s", (_what, text, problem) => {
    const [entry] = loaderEntries([bls("a.conf", text)]);
    expect(entry?.problem).toBe(problem);
    expect(entry).not.toHaveProperty("kernel");
  });

  it.each([
    ["/boot/k", "k"],
    ["/k", "k"],
    ["../k", "k"],
    ["k", undefined],
    ["../../k", undefined],
    ["/boot/../k", undefined],
    ["/extlinux/k", undefined],
  ])("of %s in extlinux.conf takes %s", (path, kernel) => {
    const [entry] = loaderEntries([extlinux(`label \x1b\nlinux ${path}\ninitrd /i\n`)]);
    expect(entry?.kernel).toBe(kernel);
    if (kernel !== undefined) return;
    expect(entry?.problem).toBe(
      `the label \\x1b of extlinux/extlinux.conf names a file outside the top folder, "${path}": not looked at`,
    );
  });

  it("says why a file as a whole gives nothing", () => {
    const files = [
      { name: EXTLINUX, head: Buffer.from([0xff]) },
      { name: "loader/entries", problem: "holds more than 32 names" },
    ];
    expect(loaderEntries(files).map(({ problem }) => problem)).toEqual([
      "extlinux/extlinux.conf is not UTF-8 text",
      "loader/entries holds more than 32 names",
    ]);
  });

  it("names nothing but single file names, and every problem is safe to show", () => {
    const path = fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.stringMatching(/^[./a\n-]{0,8}$/));
    fc.assert(
      fc.property(path, path, fc.string({ unit: "binary" }), (kernel, initrd, label) => {
        const text = `label ${label}\n${named(kernel, initrd)}`;
        for (const entry of loaderEntries([bls("a.conf", text), extlinux(text)])) {
          for (const name of [entry.kernel, entry.initrd].filter((one) => one !== undefined)) {
            expect(oneFileName(name).problem).toBeUndefined();
          }
          expect(entry.problem ?? "").not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
          expect(entry.problem === undefined).toBe(entry.kernel !== undefined && entry.initrd !== undefined);
        }
      }),
    );
  });
});

describe("defaultEntry", () => {
  const file = (architecture?: string): LoaderFile =>
    bls(`${architecture ?? "none"}.conf`, architecture === undefined ? "" : `architecture ${architecture}\n`);

  it.each<[DebianArch, string]>([
    ["amd64", "x64"],
    ["i386", "IA32"],
    ["arm64", "AA64"],
    ["armhf", "ARM"],
    ["armel", "arm"],
    ["riscv64", "riscv64"],
  ])("of %s is the one for %s", (arch, architecture) => {
    const entries = loaderEntries(["x64", "IA32", "AA64", "ARM", "riscv64"].map(file));
    expect(defaultEntry(entries, arch)?.architecture?.toLowerCase()).toBe(architecture.toLowerCase());
  });

  it.each(DEBIAN_ARCHES)("of %s may be one that does not say, and none for another", (arch) => {
    expect(defaultEntry(loaderEntries([file(), file("loongarch64")]), arch)?.file).toBe(
      "loader/entries/none.conf",
    );
    expect(defaultEntry(loaderEntries([file("loongarch64")]), arch)).toBeUndefined();
  });
});

describe("catalogue of a /boot with entries", () => {
  const of = (files: LoaderFile[], rest: BootEntry[] = [...pairOf(NEW), ...pairOf(OLD)]) =>
    catalogue([...rest, ...files.map(asFile)], "amd64").loader;

  it("has none where there are none", () => {
    expect(of([])).toBeUndefined();
  });

  it("finds the pair that the default names", () => {
    const loader = of([
      bls("a-2.conf", named(`/vmlinuz-${OLD}`, `/initrd.img-${OLD}`)),
      bls("a-1.conf", named(`/vmlinuz-${NEW}`, `/initrd.img-${NEW}`)),
    ]);
    expect(loader?.preferred?.file).toBe("loader/entries/a-2.conf");
    expect(loader?.pair).toMatchObject({ release: OLD, complete: true });
    expect(loader?.entries).toHaveLength(2);
  });

  it("judges a pair of other names as that of links", () => {
    const rest = [file("linux", bzImage({ release: NEW })), file("initrd", zstdInitrd())];
    expect(of([bls("a.conf", named("/linux", "/initrd"))], rest)?.pair).toMatchObject({
      release: NEW,
      complete: true,
      kernel: "linux",
      initrd: "initrd",
    });
  });

  it.each<[string, string, string]>([
    [
      "a kernel that is gone",
      named("/k", "/i"),
      "linux in loader/entries/a.conf names k, which is not there",
    ],
    [
      "an initrd of another release",
      named(`/vmlinuz-${NEW}`, `/initrd.img-${OLD}`),
      `linux in loader/entries/a.conf names release ${NEW}, but initrd in loader/entries/a.conf names ${OLD}`,
    ],
    ["no kernel", "title x\n", "loader/entries/a.conf names no kernel"],
  ])("says that the default names %s", (_what, text, problem) => {
    expect(of([bls("a.conf", text)])?.pair).toEqual({ problem });
  });

  it("does not take a link's text for an entry's file", () => {
    const loader = catalogue(
      [
        ...pairOf(NEW),
        { name: "vmlinuz", kind: "link", size: 0, mtimeMs: 0, target: "loader/entries/a.conf" },
        asFile(bls("a.conf", "")),
      ],
      "amd64",
    );
    expect(loader.links.kernel?.problem).toContain("holds a slash");
  });
});
