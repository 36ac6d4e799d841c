import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  changelogPackage,
  fileVersion,
  listedFiles,
  parseControl,
  sourcePackage,
  upstreamVersion,
} from "../../../src/builder/control.ts";

const SHA = "a".repeat(64);
const DSC = `Format: 3.0 (quilt)
Source: hello
Binary: hello
Architecture: any
Version: 1:2.10-5
Checksums-Sha1:
 dead 725946 hello_2.10.orig.tar.gz
Checksums-Sha256:
 ${SHA} 725946 hello_2.10.orig.tar.gz
 ${"b".repeat(64)} 12 hello_2.10-5.debian.tar.xz
Files:
 beef 725946 hello_2.10.orig.tar.gz
`;
const SIGNED = `-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

${DSC}
-----BEGIN PGP SIGNATURE-----

iQ
-----END PGP SIGNATURE-----
`;

describe("parseControl", () => {
  it.each([
    ["plain", DSC],
    ["signed", SIGNED],
    ["with a comment and an empty line before", `\n# comment\n${DSC}`],
    ["with carriage returns", DSC.replaceAll("\n", "\r\n")],
  ])("reads a .dsc, %s", (_how, text) => {
    const fields = parseControl(text);
    expect(fields && sourcePackage(fields)).toEqual({ name: "hello", version: "1:2.10-5" });
    expect(fields && listedFiles(fields)).toEqual([
      { name: "hello_2.10.orig.tar.gz", size: 725946, sha256: SHA },
      { name: "hello_2.10-5.debian.tar.xz", size: 12, sha256: "b".repeat(64) },
    ]);
  });

  it("reads the first paragraph alone", () => {
    expect(parseControl("A: 1\n\nB: 2\n")?.has("b")).toBe(false);
  });

  it.each([
    ["nothing", ""],
    ["no field", "hello\n"],
    ["a line that continues nothing", " x\nA: 1\n"],
    ["a field twice", "A: 1\na: 2\n"],
    ["a signature without its end", "-----BEGIN PGP SIGNED MESSAGE-----\n\nA: 1\n"],
  ])("refuses %s", (_what, text) => {
    expect(parseControl(text)).toBeUndefined();
  });

  it("never throws", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 400 }), (text) => {
        const fields = parseControl(text);
        if (fields !== undefined) listedFiles(fields);
      }),
    );
  });
});

describe("listedFiles", () => {
  const of = (...lines: string[]) =>
    listedFiles(new Map([["checksums-sha256", `\n${lines.join("\n")}`]]))?.map(({ name }) => name);

  it.each([
    "../x.deb",
    "/etc/passwd",
    ".x.deb",
    "-x.deb",
    "a/b.deb",
    "a\u202e.deb",
    "a;b.deb",
    "a".repeat(300),
  ])("refuses the name %j", (name) => {
    expect(of(`${SHA} 1 ${name}`)).toBeUndefined();
  });

  it.each([
    ["no file", []],
    ["a name twice", [`${SHA} 1 a.deb`, `${SHA} 1 a.deb`]],
    ["a checksum of another kind", ["abc 1 a.deb"]],
    ["a size that is none", [`${SHA} -1 a.deb`]],
    ["an enormous size", [`${SHA} ${"9".repeat(16)} a.deb`]],
  ])("refuses %s", (_what, lines) => {
    expect(of(...lines)).toBeUndefined();
  });

  it("takes the names of Debian's files", () => {
    const names = ["libstdc++6_14.2.0-19_amd64.deb", "a_1.0~rc1+dfsg-1_all.udeb", "a_1_amd64.buildinfo"];
    expect(of(...names.map((name) => `${SHA} 1 ${name}`))).toEqual(names);
  });

  it("only ever returns plain names", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary", maxLength: 30 })), (names) => {
        for (const name of of(...names.map((one) => `${SHA} 1 ${one}`)) ?? []) {
          expect(name).toMatch(/^[A-Za-z0-9][^/\s]*$/);
        }
      }),
    );
  });
});

describe("versions", () => {
  it.each([
    ["1:2.10-5", "2.10-5", "2.10"],
    ["2.10-1-2", "2.10-1-2", "2.10-1"],
    ["1.0", "1.0", "1.0"],
    ["3:1.0+dfsg~rc1-0.1", "1.0+dfsg~rc1-0.1", "1.0+dfsg~rc1"],
  ])("%s is %s in file names, %s upstream", (version, file, upstream) => {
    expect(fileVersion(version)).toBe(file);
    expect(upstreamVersion(version)).toBe(upstream);
  });

  it("reads a changelog", () => {
    const text =
      "hello (2.10-5) unstable; urgency=medium\n\n  * x\n\n -- A <a@example.org>  Mon, 01 Jan 2024\n";
    expect(changelogPackage(text)).toEqual({ name: "hello", version: "2.10-5" });
    for (const bad of ["", "hello 2.10-5 unstable;", "../x (1) a; b", "hello (../1) unstable; x"])
      expect(changelogPackage(bad)).toBeUndefined();
  });
});
