import { describe, expect, it } from "vitest";
import type { Candidate, Selection } from "../../../src/boot/select.ts";
import {
  catalogueLines,
  kernelRows,
  linkRows,
  nextOf,
  reshapeOf,
  reshapeSentence,
  untilThen,
} from "../../../src/commands/kernels.ts";
import { bytes, durationOf, table } from "../../../src/commands/output.ts";
import { catalogue } from "../../../src/kernel/catalogue.ts";
import { MMIO } from "../../../src/kernel/features.ts";
import { bzImage, zstdInitrd } from "../kernel/images.ts";

describe("durationOf", () => {
  const rows: [number, string][] = [
    [-5, "0.0s"],
    [0, "0.0s"],
    [1234, "1.2s"],
    [59_949, "59.9s"],
    [60_000, "1m00s"],
    [200_000, "3m20s"],
    [7_500_000, "2h05m"],
    [273_600_000, "3d04h"],
  ];
  it.each(rows)("%d ms: %s", (ms, text) => expect(durationOf(ms)).toBe(text));
});

describe("bytes", () => {
  const rows: [number, string][] = [
    [0, "0 B"],
    [1023, "1023 B"],
    [1024, "1 KiB"],
    [12_171_200, "11.6 MiB"],
    [3 * 2 ** 30, "3.0 GiB"],
  ];
  it.each(rows)("%d: %s", (n, text) => expect(bytes(n)).toBe(text));
});

it("tables are as wide as their cells, and end where their text ends", () => {
  expect(
    table([
      ["A", "BB", "C"],
      ["aaa", "b", ""],
    ]),
  ).toEqual(["A    BB  C", "aaa  b   "]);
});

describe("the table of kernels", () => {
  const file = (name: string, head: Buffer) => ({
    name,
    kind: "file" as const,
    size: head.length,
    mtimeMs: 0,
    head,
  });
  const found = catalogue(
    [
      file("vmlinuz-6.12.38+deb13-amd64", bzImage()),
      file("initrd.img-6.12.38+deb13-amd64", zstdInitrd(2 * 1024 * 1024)),
      file("vmlinuz-6.12.48+deb13-amd64", bzImage({ release: "6.12.48+deb13-amd64" })),
      file("initrd.img-6.12.48+deb13-amd64.new", zstdInitrd()),
      { name: "vmlinuz", kind: "link", size: 27, mtimeMs: 0, target: "vmlinuz-6.12.48+deb13-amd64" },
      { name: "initrd.img", kind: "link", size: 30, mtimeMs: 0, target: "../../etc/\u001b[2Jshadow" },
    ],
    "amd64",
  );
  const rows = kernelRows(found);
  const lines = catalogueLines(rows, linkRows(found), ({ release }) =>
    release.includes(".38") ? "running, next" : "",
  );

  it("is this", () => {
    expect(lines.join("\n")).toMatchInlineSnapshot(`
      "RELEASE              KERNEL  INITRD   PAIR
      6.12.48+deb13-amd64  6 KiB   -        incomplete
      6.12.38+deb13-amd64  6 KiB   2.0 MiB  complete    running, next
      vmlinuz -> vmlinuz-6.12.48+deb13-amd64
      initrd.img -> ?  (the text of the link initrd.img holds a control character: "../../etc/\\\\x1b[2Jshadow")"
    `);
  });

  it("fits in 80 columns, but for the reasons, and holds nothing that acts in a terminal", () => {
    for (const line of lines.slice(0, rows.length + 1)) expect(line.length).toBeLessThanOrEqual(80);
    expect(lines.join("")).not.toMatch(/\p{C}/u);
  });

  it("says why a pair is incomplete", () => {
    expect(rows[0]?.reasons).toEqual([
      "its initrd initrd.img-6.12.48+deb13-amd64 is not there yet (being written: initrd.img-6.12.48+deb13-amd64.new)",
    ]);
  });

  it("says so when there is none", () => {
    expect(catalogueLines([], [])).toEqual(["There is no kernel in it."]);
  });
});

describe("a kernel that the machine must be changed for", () => {
  const candidate = (release: string, source: "links" | "highest", why: string): Candidate => ({
    source,
    release,
    kernel: `vmlinuz-${release}`,
    initrd: `initrd.img-${release}`,
    files: `files of ${release}`,
    arches: ["armhf"],
    config: undefined,
    why,
    notes: [],
  });
  const reshape = {
    candidate: candidate("6.12-armmp", "links", "the links in the guest's /boot name it"),
    layout: MMIO,
    reason: "needs devices on virtio-mmio, and the machine has them on PCI: it has no LPAE",
  };
  const fallback = candidate("6.11-armmp-lpae", "highest", "it is the highest that fits");
  const told = ({ candidates }: Pick<Selection, "candidates">): string[] => {
    const selection: Selection = { candidates, skipped: [], reshape };
    const document = reshapeOf(selection);
    return document === null ? [] : [reshapeSentence(document), untilThen(nextOf(selection))];
  };

  it("is told with the reason, who changes it, and what boots until then", () => {
    const [sentence, until] = told({ candidates: [fallback] });
    expect(sentence).toBe(
      "6.12-armmp needs devices on virtio-mmio, and the machine has them on PCI: it has no LPAE. The domain is changed when bootshare or its service next starts it.",
    );
    expect(until).toBe("Until then 6.11-armmp-lpae boots: it is the highest that fits.");
    expect(told({ candidates: [] })[1]).toBe("Until then nothing boots: 'virsh start' is refused.");
  });

  it("is a part of the JSON", () => {
    expect(reshapeOf({ candidates: [], skipped: [], reshape })).toEqual({
      release: "6.12-armmp",
      source: "links",
      why: "the links in the guest's /boot name it",
      notes: [],
      layout: "devices on virtio-mmio",
      reason: "needs devices on virtio-mmio, and the machine has them on PCI: it has no LPAE",
    });
    expect(reshapeOf({ candidates: [], skipped: [], reshape: undefined })).toBeNull();
  });
});
