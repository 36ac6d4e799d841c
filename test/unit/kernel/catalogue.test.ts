import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DebianArch } from "../../../src/kernel/arch.ts";
import { type BootEntry, catalogue } from "../../../src/kernel/catalogue.ts";
import { INITRD_MAX_BYTES, KERNEL_MAX_BYTES } from "../../../src/kernel/limits.ts";
import { oneFileName } from "../../../src/kernel/names.ts";
import { bzImage, elf, plainImage, zImage, zstdInitrd } from "./images.ts";

const NEW = "6.12.48+deb13-amd64";
const OLD = "6.12.38+deb13-amd64";

function file(name: string, head: Buffer, size = head.length): BootEntry {
  return { name, kind: "file", size, mtimeMs: 0, head };
}
function kernel(release: string): BootEntry {
  return file(`vmlinuz-${release}`, bzImage({ release }));
}
function initrd(release: string): BootEntry {
  return file(`initrd.img-${release}`, zstdInitrd());
}
function link(name: string, target: string): BootEntry {
  return { name, kind: "link", size: 0, mtimeMs: 0, target };
}
function plain(name: string): BootEntry {
  return { name, kind: "file", size: 10, mtimeMs: 0 };
}
const pairOf = (release: string): BootEntry[] => [kernel(release), initrd(release)];
const linksTo = (release: string): BootEntry[] => [
  link("vmlinuz", `vmlinuz-${release}`),
  link("initrd.img", `initrd.img-${release}`),
];
const releases = (entries: BootEntry[], arch: DebianArch = "amd64") =>
  catalogue(entries, arch).kernels.map((pair) => pair.release);

describe("catalogue of kernels", () => {
  it("is empty for an empty folder", () => {
    expect(catalogue([], "amd64")).toEqual({ kernels: [], links: {}, linked: undefined });
  });

  it("has complete pairs, newest first, with sizes and the header's facts", () => {
    const rest = ["config-x", "System.map-x", "grub"].map(plain);
    const { kernels } = catalogue(
      [...rest, ...pairOf("6.1.0-9-amd64"), ...pairOf(NEW), ...pairOf("6.1.0-10-amd64")],
      "amd64",
    );
    expect(kernels.map((pair) => pair.release)).toEqual([NEW, "6.1.0-10-amd64", "6.1.0-9-amd64"]);
    expect(kernels[0]).toEqual({
      release: NEW,
      kernel: `vmlinuz-${NEW}`,
      initrd: `initrd.img-${NEW}`,
      kernelSize: bzImage().length,
      initrdSize: 1024,
      files: `vmlinuz-${NEW} ${bzImage().length} 0 initrd.img-${NEW} 1024 0`,
      complete: true,
      writing: false,
      reasons: [],
      image: { ok: true, format: "bzImage", arches: ["amd64"], release: NEW },
    });
  });

  it("passes over what dpkg, initramfs-tools and people leave behind", () => {
    const suffixes = [".dpkg-new", ".dpkg-tmp", ".dpkg-old", ".new", ".bak", ".old", "~"];
    const left = suffixes.map((suffix) => file(`vmlinuz-${NEW}${suffix}`, bzImage()));
    expect(releases([...left, ...pairOf(OLD), link("vmlinuz.old", `vmlinuz-${OLD}`)])).toEqual([OLD]);
  });

  it("has one order for releases that compare equal, whatever order they were read in", () => {
    const pairs = [...pairOf("6.01"), ...pairOf("6.1")];
    expect(releases(pairs)).toEqual(releases(pairs.reverse()));
  });

  it("says that an initrd is being written", () => {
    const [pair] = catalogue([kernel(NEW), plain(`initrd.img-${NEW}.new`)], "amd64").kernels;
    expect(pair).toMatchObject({ complete: false, writing: true, initrd: undefined, initrdSize: 0 });
    expect(pair?.reasons).toEqual([
      `its initrd initrd.img-${NEW} is not there yet (being written: initrd.img-${NEW}.new)`,
    ]);
  });

  it("says that an initrd is missing", () => {
    const [pair] = catalogue([kernel(NEW)], "amd64").kernels;
    expect(pair).toMatchObject({ complete: false, writing: false });
    expect(pair?.reasons).toEqual([`its initrd initrd.img-${NEW} is not there`]);
  });

  it("has a pair complete while its next initrd is written", () => {
    const [pair] = catalogue([...pairOf(NEW), plain(`initrd.img-${NEW}.new`)], "amd64").kernels;
    expect(pair).toMatchObject({ complete: true, writing: true, reasons: [] });
  });

  const k = `vmlinuz-${NEW}`;
  const i = `initrd.img-${NEW}`;
  it.each<[string, BootEntry, string]>([
    ["an empty kernel", file(k, Buffer.alloc(0)), `${k} is empty`],
    ["a kernel that is too big", file(k, bzImage(), KERNEL_MAX_BYTES + 1), `${k} is larger than 128 MiB`],
    ["a kernel that was not read", plain(k), `${k} was not read`],
    ["a kernel that is a link", link(k, "/etc/shadow"), `${k} is a link, not a file`],
    ["a kernel that is a FIFO", { ...plain(k), kind: "other", problem: "is a FIFO" }, `${k} is a FIFO`],
    [
      "a kernel of another architecture",
      file(k, zImage()),
      `${k} is a kernel for armhf or armel, not for amd64`,
    ],
    [
      "a kernel that is half copied",
      file(k, bzImage(), 4096),
      `${k} is cut short: its header says 6129 bytes, the file has 4096`,
    ],
    [
      "an initrd that is a folder",
      { ...plain(i), kind: "other", problem: "is a folder" },
      `${i} is a folder`,
    ],
    ["an empty initrd", file(i, Buffer.alloc(0)), `${i} is empty`],
    ["an initrd that is too big", file(i, zstdInitrd(), INITRD_MAX_BYTES + 1), `${i} is larger than 512 MiB`],
    [
      "an initrd of zeros",
      file(i, Buffer.alloc(512)),
      `${i} does not begin like an initrd (cpio, or a compression that the kernel knows)`,
    ],
  ])("has no complete pair for %s", (_what, bad, reason) => {
    const [pair] = catalogue(
      [...pairOf(NEW).filter((entry) => entry.name !== bad.name), bad],
      "amd64",
    ).kernels;
    expect(pair).toMatchObject({ complete: false, reasons: [reason] });
  });

  it("gives all reasons", () => {
    const [pair] = catalogue([file(k, Buffer.from("no kernel"))], "amd64").kernels;
    expect(pair?.reasons).toHaveLength(2);
  });

  it("takes both names of the image where Debian's own differs from upstream's", () => {
    const image = plainImage("riscv64");
    const release = "6.12.48+deb13-riscv64";
    for (const stem of ["vmlinux", "vmlinuz"]) {
      const entries = [file(`${stem}-${release}`, image), initrd(release)];
      expect(catalogue(entries, "riscv64").kernels[0]).toMatchObject({
        complete: true,
        kernel: `${stem}-${release}`,
      });
    }
    const both = [file(`vmlinuz-${release}`, image), file(`vmlinux-${release}`, image), initrd(release)];
    expect(catalogue(both, "riscv64").kernels.map((pair) => pair.kernel)).toEqual([`vmlinux-${release}`]);
    const broken = [
      file(`vmlinux-${release}`, Buffer.from("x")),
      file(`vmlinuz-${release}`, image),
      initrd(release),
    ];
    expect(catalogue(broken, "riscv64").kernels.map((pair) => pair.kernel)).toEqual([`vmlinuz-${release}`]);
  });

  it("knows ppc64el's ELF image", () => {
    const release = "6.12.48+deb13-powerpc64le";
    const entries = [file(`vmlinux-${release}`, elf(21)), initrd(release)];
    expect(catalogue(entries, "ppc64el").kernels[0]).toMatchObject({ complete: true });
  });
});

describe("catalogue of links", () => {
  it("has the pair that they name", () => {
    const found = catalogue([...pairOf(NEW), ...pairOf(OLD), ...linksTo(OLD)], "amd64");
    expect(found.links).toEqual({
      kernel: { name: "vmlinuz", target: `vmlinuz-${OLD}` },
      initrd: { name: "initrd.img", target: `initrd.img-${OLD}` },
    });
    expect(found.linked).toEqual(found.kernels[1]);
  });

  it("has files without a release in their names", () => {
    const entries = [
      file("mykernel", bzImage({ release: NEW })),
      file("myinitrd", zstdInitrd()),
      link("vmlinuz", "mykernel"),
      link("initrd.img", "myinitrd"),
    ];
    expect(catalogue(entries, "amd64")).toMatchObject({
      kernels: [],
      linked: { release: NEW, kernel: "mykernel", initrd: "myinitrd", complete: true },
    });
  });

  it("names a release after the file where neither name nor header has one", () => {
    const entries = [
      file("mykernel", zImage()),
      initrd(NEW),
      link("vmlinuz", "mykernel"),
      link("initrd.img", `initrd.img-${NEW}`),
    ];
    expect(catalogue(entries, "armhf").linked).toMatchObject({ release: "mykernel", complete: true });
  });

  it("has an incomplete pair, with the reasons", () => {
    const entries = [kernel(NEW), file(`initrd.img-${NEW}`, Buffer.alloc(512)), ...linksTo(NEW)];
    expect(catalogue(entries, "amd64").linked).toMatchObject({
      complete: false,
      reasons: [expect.any(String)],
    });
  });

  it("uses the link vmlinux where the architecture does", () => {
    const release = "6.12.48+deb13-riscv64";
    const entries = [
      file(`vmlinux-${release}`, plainImage("riscv64")),
      initrd(release),
      link("vmlinux", `vmlinux-${release}`),
      link("initrd.img", `initrd.img-${release}`),
    ];
    expect(catalogue(entries, "riscv64").linked).toMatchObject({ release, complete: true });
    expect(catalogue(entries, "amd64").linked).toEqual({
      problem: "there is no link vmlinuz beside initrd.img",
    });
  });

  const withLinks = (vmlinuz: BootEntry, img = link("initrd.img", `initrd.img-${NEW}`)) => [
    ...pairOf(NEW),
    vmlinuz,
    img,
  ];
  it.each<[string, BootEntry[], string]>([
    [
      "one link alone",
      [...pairOf(NEW), link("vmlinuz", `vmlinuz-${NEW}`)],
      "there is no link initrd.img beside vmlinuz",
    ],
    [
      "the other alone",
      [...pairOf(NEW), link("initrd.img", "x")],
      "there is no link vmlinuz beside initrd.img",
    ],
    [
      "an initrd that is being written",
      [kernel(NEW), plain(`initrd.img-${NEW}.new`), ...linksTo(NEW)],
      `initrd.img names initrd.img-${NEW}, which is not there yet (being written: initrd.img-${NEW}.new)`,
    ],
    [
      "two releases",
      [...pairOf(OLD), ...withLinks(link("vmlinuz", `vmlinuz-${OLD}`))],
      `vmlinuz names release ${OLD}, but initrd.img names ${NEW}`,
    ],
    [
      "a missing file",
      withLinks(link("vmlinuz", "vmlinuz-9")),
      "vmlinuz names vmlinuz-9, which is not there",
    ],
    ["itself", withLinks(link("vmlinuz", "vmlinuz")), "vmlinuz names vmlinuz, which is a link itself"],
    [
      "another link",
      withLinks(link("vmlinuz", "initrd.img")),
      "vmlinuz names initrd.img, which is a link itself",
    ],
    [
      "a device",
      [...withLinks(link("vmlinuz", "dev")), { ...plain("dev"), kind: "other", problem: "is a device" }],
      "vmlinuz names dev, which is a device",
    ],
    ["a file instead of the link", withLinks(file("vmlinuz", bzImage())), "vmlinuz is a file and not a link"],
    [
      "bytes instead of text",
      withLinks({
        name: "vmlinuz",
        kind: "link",
        size: 0,
        mtimeMs: 0,
        problem: "holds text that is not UTF-8",
      }),
      "vmlinuz holds text that is not UTF-8",
    ],
    [
      "options of ln",
      withLinks(link("vmlinuz", "-a -- passwd -tetc")),
      'the text of the link vmlinuz begins with "-": "-a -- passwd -tetc"',
    ],
    [
      "a path",
      withLinks(link("vmlinuz", "../../etc/passwd")),
      'the text of the link vmlinuz holds a slash, but must name a file in the same folder: "../../etc/passwd"',
    ],
    [
      "a newline",
      withLinks(link("vmlinuz", `vmlinuz-${NEW}\n`)),
      `the text of the link vmlinuz holds a control character: "vmlinuz-${NEW}\\n"`,
    ],
    ["no text", withLinks(link("vmlinuz", "")), "the text of the link vmlinuz is empty"],
  ])("names no pair for %s", (_what, entries, problem) => {
    expect(catalogue(entries, "amd64").linked).toEqual({ problem });
  });

  it("keeps a useful entry beside a useless one of the same name", () => {
    const shadow: BootEntry = { name: `vmlinuz-${NEW}`, kind: "other", size: 0, mtimeMs: 0, problem: "x" };
    expect(catalogue([shadow, ...pairOf(NEW), shadow], "amd64").kernels[0]?.complete).toBe(true);
  });
});

describe("catalogue of anything", () => {
  const name = fc.oneof(
    fc.constantFrom(
      "vmlinuz",
      "initrd.img",
      `vmlinuz-${NEW}`,
      `initrd.img-${NEW}`,
      `initrd.img-${NEW}.new`,
      "k",
    ),
    fc.string({ unit: "binary", maxLength: 20 }),
  );
  const head = fc.oneof(
    fc.constantFrom(bzImage({ release: NEW }), zstdInitrd(), Buffer.alloc(0)),
    fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes)),
  );
  const entry = fc.record(
    {
      name,
      kind: fc.constantFrom("file", "link", "other"),
      size: fc.nat(),
      mtimeMs: fc.double(),
      target: name,
      head,
    },
    { requiredKeys: ["name", "kind", "size", "mtimeMs"] },
  );

  it("names only one-file names of regular files, has reasons exactly when incomplete, and text that is safe to show", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 12 }), (entries) => {
        const found = catalogue(entries as BootEntry[], "amd64");
        const linked = found.linked !== undefined && "release" in found.linked ? [found.linked] : [];
        for (const pair of [...found.kernels, ...linked]) {
          expect(pair.complete).toBe(pair.reasons.length === 0);
          for (const text of [pair.kernel, pair.initrd ?? "x", pair.release])
            expect(oneFileName(text)).toEqual({ name: text });
          if (!pair.complete) continue;
          const files = new Set(entries.filter((one) => one.kind === "file").map((one) => one.name));
          expect(files.has(pair.kernel) && files.has(pair.initrd ?? "")).toBe(true);
        }
        const said = [...found.kernels.flatMap((pair) => pair.reasons), found.linked?.problem ?? ""];
        expect(said.join()).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]/u);
      }),
      { numRuns: 500 },
    );
  });
});
