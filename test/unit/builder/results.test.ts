import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ListedFile } from "../../../src/builder/control.ts";
import { publish, ResultWriter, readChanges } from "../../../src/builder/results.ts";

const SOURCE = { name: "hello", version: "1:2.10-5" };
const NAME = "hello_2.10-5_amd64.changes";
const SHA = "0".repeat(64);
const changes = (...names: string[]): string =>
  `Format: 1.8\nSource: hello\nChecksums-Sha256:\n${names.map((name) => ` ${SHA} 3 ${name}`).join("\n")}\n`;

describe("readChanges", () => {
  it("reads what a binary build made", () => {
    const names = ["hello_2.10-5_amd64.buildinfo", "hello_2.10-5_amd64.deb", "hello-dbgsym_2.10-5_amd64.deb"];
    expect(readChanges(NAME, changes(...names), SOURCE).files.map(({ name }) => name)).toEqual(names);
  });

  it.each([
    [
      "another package's name",
      "evil_1_amd64.changes",
      changes("a.deb"),
      /it is named evil_1_amd64.changes\./,
    ],
    ["a name with a path", "../hello_2.10-5_amd64.changes", changes("a.deb"), /it is named \.\./],
    ["a name that a terminal obeys", `${NAME}\u001b[2J`, changes("a.deb"), /it is named .*\\x1b/],
    ["no control file", NAME, "nonsense", /no valid list of files/],
    ["a path", NAME, changes("../../etc/x.deb"), /no valid list of files/],
    ["what is no package", NAME, changes("a.deb", "run.sh"), /it names run\.sh, which no binary build makes/],
    ["the .changes itself", NAME, changes("a.deb", NAME), /which no binary build makes/],
    ["no package", NAME, changes("a.buildinfo"), /it names no package/],
  ])("refuses %s", (_what, name, text, message) => {
    expect(() => readChanges(name, text, SOURCE)).toThrow(message);
  });
});

describe("ResultWriter", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "bootshare-results-"));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });
  const listed = (name: string, text: string): ListedFile => ({
    name,
    size: Buffer.byteLength(text),
    sha256: createHash("sha256").update(text).digest("hex"),
  });

  it("cuts a stream into files, whatever pieces it comes in", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ maxLength: 50 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 9 }),
        (texts, size) => {
          const inner = mkdtempSync(join(folder, "one-"));
          const writer = new ResultWriter(
            inner,
            texts.map((text, i) => listed(`f${i}.deb`, text)),
          );
          const all = Buffer.from(texts.join(""));
          for (let at = 0; at < all.length; at += size)
            expect(writer.push(all.subarray(at, at + size))).toBe(true);
          writer.end();
          expect(texts.map((_text, i) => readFileSync(join(inner, `f${i}.deb`), "utf8"))).toEqual(texts);
        },
      ),
      { numRuns: 50 },
    );
  });

  it.each([
    ["too little", "abc", /a\.deb is not the file/],
    ["other bytes", "abcX", /a\.deb is not the file/],
  ])("refuses %s", (_what, sent, message) => {
    const writer = new ResultWriter(folder, [listed("a.deb", "abcd")]);
    writer.push(Buffer.from(sent));
    expect(() => writer.end()).toThrow(message);
  });

  it("wants no more than the list says", () => {
    const writer = new ResultWriter(folder, [listed("a.deb", "abcd")]);
    expect(writer.push(Buffer.from("abcdefgh"))).toBe(false);
    writer.end();
    expect(readFileSync(join(folder, "a.deb"), "utf8")).toBe("abcd");
  });

  it("publishes over what is there, and the .changes too", () => {
    const to = join(folder, "to");
    mkdirSync(to);
    writeFileSync(join(to, "a.deb"), "old");
    writeFileSync(join(folder, "a.deb"), "new");
    const files = publish(folder, to, { name: NAME, text: "text", files: [listed("a.deb", "new")] });
    expect(files).toEqual([join(to, "a.deb"), join(to, NAME)]);
    expect(readdirSync(to).sort()).toEqual(["a.deb", NAME]);
    expect(readFileSync(join(to, "a.deb"), "utf8")).toBe("new");
  });
});
