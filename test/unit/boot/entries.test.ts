/** A boot loader's entries as a source of candidates: which place they have, and that their options have no effect. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { prepareBoot } from "../../../src/boot/prepare.ts";
import { select } from "../../../src/boot/select.ts";
import { type BootEntry, catalogue } from "../../../src/kernel/catalogue.ts";
import { type GuestPaths, guestPaths } from "../../../src/paths.ts";
import { bzImage, zstdInitrd } from "../kernel/images.ts";
import { AMD64 } from "../machines.ts";

function file(name: string, head: Buffer): BootEntry {
  return { name, kind: "file", size: head.length, mtimeMs: 0, head };
}
const pairOf = (release: string): BootEntry[] => [
  file(`vmlinuz-${release}`, bzImage({ release })),
  file(`initrd.img-${release}`, zstdInitrd()),
];
const linksTo = (release: string): BootEntry[] =>
  ["vmlinuz", "initrd.img"].map((name) => ({
    name,
    kind: "link",
    size: 0,
    mtimeMs: 0,
    target: `${name}-${release}`,
  }));
const entryText = (release: string, more = ""): string =>
  `linux /vmlinuz-${release}\ninitrd /initrd.img-${release}\n${more}`;
const entryFor = (release: string, more = ""): BootEntry =>
  file("loader/entries/a.conf", Buffer.from(entryText(release, more)));

const kernels = ["3-a", "2-a", "1-a"].flatMap(pairOf);
const selectFrom = (entries: BootEntry[], pin?: string) =>
  select({ catalogue: catalogue(entries, "amd64"), pin, good: undefined, machine: AMD64 });

describe("select, with a boot loader's entries", () => {
  it.each<[string, BootEntry[], string | undefined, string[]]>([
    ["before the highest", [entryFor("1-a")], undefined, ["1-a by entries", "3-a by highest"]],
    [
      "after the links",
      [entryFor("1-a"), ...linksTo("2-a")],
      undefined,
      ["2-a by links", "1-a by entries", "3-a by highest"],
    ],
    ["after the pin", [entryFor("1-a")], "2-a", ["2-a by pin", "1-a by entries", "3-a by highest"]],
    [
      "once, where the links name the same",
      [entryFor("2-a"), ...linksTo("2-a")],
      undefined,
      ["2-a by links", "3-a by highest"],
    ],
    ["not at all, where it names nothing", [entryFor("9-a")], undefined, ["3-a by highest"]],
    [
      "not at all, for another architecture",
      [entryFor("1-a", "architecture aa64\n")],
      undefined,
      ["3-a by highest"],
    ],
  ])("takes the default %s", (_what, more, pin, candidates) => {
    const found = selectFrom([...kernels, ...more], pin);
    expect(found.candidates.map(({ release, source }) => `${release} by ${source}`)).toEqual(candidates);
  });

  it("says why, and why not", () => {
    expect(selectFrom([...kernels, entryFor("1-a")]).candidates[0]?.why).toBe(
      "the default entry in loader/entries/a.conf names it",
    );
    expect(selectFrom([...kernels, entryFor("9-a")]).skipped).toEqual([
      {
        release: "(entries)",
        reason: "linux in loader/entries/a.conf names vmlinuz-9-a, which is not there",
      },
    ]);
  });

  it("says once that the pair is not whole", () => {
    const [kernel] = pairOf("4-a");
    const found = selectFrom([
      ...(kernel === undefined ? [] : [kernel]),
      ...kernels,
      file("loader/entries/a.conf", Buffer.from("linux /vmlinuz-4-a\ninitrd /initrd.img-3-a\n")),
    ]);
    expect(found.skipped).toEqual([
      { release: "4-a", reason: "its initrd initrd.img-4-a is not there" },
      {
        release: "(entries)",
        reason:
          "linux in loader/entries/a.conf names release 4-a, but initrd in loader/entries/a.conf names 3-a",
      },
    ]);
  });
});

describe("the options of an entry", () => {
  it("change nothing about what is chosen, whatever they are", () => {
    const plain = selectFrom([...kernels, entryFor("1-a")]);
    const line = fc.string({ unit: "binary" }).map((text) => text.replaceAll("\n", " "));
    fc.assert(
      fc.property(line, line, (options, devicetree) => {
        const more = `options ${options}\ndevicetree ${devicetree}\n`;
        expect(selectFrom([...kernels, entryFor("1-a", more)])).toEqual(plain);
      }),
    );
  });

  describe("at a start", () => {
    let paths: GuestPaths;
    beforeEach(() => {
      paths = guestPaths(mkdtempSync(join(tmpdir(), "bootshare-entries-")));
      for (const folder of [paths.run, paths.pairs, join(paths.share, "loader/entries")])
        mkdirSync(folder, { recursive: true });
    });
    afterEach(() => rmSync(paths.dir, { recursive: true }));

    it("leave no trace: neither in what is staged nor in the history", () => {
      for (const { name, head } of pairOf("1-a")) writeFileSync(join(paths.share, name), head ?? "");
      const secret = "init=/tmp/of-the-guest";
      writeFileSync(
        join(paths.share, "loader/entries/a.conf"),
        entryText("1-a", `options ${secret}\ntitle ${secret}\n`),
      );
      const prepared = prepareBoot(paths, "worker1", AMD64);
      expect(prepared).toMatchObject({ source: "entries", pair: { release: "1-a" } });
      expect(readFileSync(join(paths.run, "vmlinuz"))).toEqual(bzImage({ release: "1-a" }));
      expect(readFileSync(join(paths.run, "initrd.img"))).toEqual(zstdInitrd());
      expect(JSON.stringify(prepared)).not.toContain("of-the-guest");
      expect(readFileSync(paths.boots, "utf8")).not.toContain("of-the-guest");
    });
  });
});
