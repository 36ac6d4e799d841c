import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareVersions } from "../../../src/kernel/version.ts";

describe("compareVersions on releases of Debian's kernels", () => {
  it.each([
    ["6.1.0-9-amd64", "6.1.0-10-amd64"],
    ["6.1.0-10-amd64", "6.1.0-37-amd64"],
    ["4.9.0-19-armmp", "5.10.0-8-armmp"],
    ["5.10.0-35-amd64", "6.1.0-9-amd64"],
    ["6.1.0-50-armmp", "6.12.38+deb13-armmp"],
    ["6.12.38+deb13-amd64", "6.12.48+deb13-amd64"],
    ["6.12.9+deb13-amd64", "6.12.10+deb13-amd64"],
    ["6.12.48+deb13-amd64", "6.12.48+deb13+1-amd64"],
    ["6.12.48+deb13-amd64", "7.2.13+deb14-amd64"],
    ["6.12~rc1-amd64", "6.12-amd64"],
    ["6.12~rc1-amd64", "6.12~rc2-amd64"],
    ["6.12~rc7-amd64", "6.12.1-amd64"],
    ["6.12.38+deb13-armmp", "6.12.38+deb13-armmp-lpae"],
    ["6.12.38+deb12-amd64", "6.12.38+deb13-amd64"],
    ["6.12.38+bpo-amd64", "6.12.38+deb13-amd64"],
    ["9", "10"],
    ["99999999999999999999998", "99999999999999999999999"],
  ])("%s is older than %s", (older, newer) => {
    expect(compareVersions(older, newer)).toBe(-1);
    expect(compareVersions(newer, older)).toBe(1);
  });

  it.each([
    ["6.1.0-9-amd64", "6.1.0-9-amd64"],
    ["6.01", "6.1"],
    ["0:6.1", "6.1"],
    ["1-0", "1"],
  ])("%s and %s are equal", (a, b) => {
    expect(compareVersions(a, b)).toBe(0);
    expect(compareVersions(b, a)).toBe(0);
  });
});

const part = fc.stringMatching(/^[0-9][0-9A-Za-z.+~-]{0,9}$/);
const version = fc
  .tuple(fc.option(fc.nat(12), { nil: undefined }), part)
  // dpkg refuses an empty revision.
  .filter(([, text]) => !text.endsWith("-"))
  .map(([epoch, text]) => (epoch === undefined ? text : `${epoch}:${text}`));
/** Pairs that are near each other, where the rules bite. */
const near = version.chain((a) =>
  fc
    .tuple(fc.nat(a.length), fc.constantFrom("~", "-0", "0", "+", ".", "a", "Z", "1", "-1", ""))
    .map(([at, more]) => [a, `${a.slice(0, at)}${more}${a.slice(at)}`] as const)
    .filter(([, b]) => /^([0-9]+:)?[0-9][0-9A-Za-z.+~-]*(?<!-)$/.test(b)),
);

function dpkg(a: string, operator: string, b: string): boolean {
  const result = spawnSync("dpkg", ["--compare-versions", a, operator, b], { encoding: "utf8" });
  if (result.stderr !== "") throw new Error(`${a} ${b}: ${result.stderr}`);
  return result.status === 0;
}

describe.skipIf(spawnSync("dpkg", ["--version"]).status !== 0)("compareVersions against dpkg", () => {
  it("agrees on versions of all shapes", () => {
    fc.assert(
      fc.property(fc.oneof(near, fc.tuple(version, version)), ([a, b]) => {
        const expected = dpkg(a, "lt", b) ? -1 : dpkg(a, "gt", b) ? 1 : 0;
        expect([a, b, compareVersions(a, b)]).toEqual([a, b, expected]);
      }),
      { numRuns: 150 },
    );
  }, 60_000);
});

describe("compareVersions on any text", () => {
  it("is a total preorder", () => {
    const text = fc.oneof(fc.string({ maxLength: 8 }), fc.stringMatching(/^[0-9a~.:-]{0,6}$/));
    fc.assert(
      fc.property(text, text, text, (a, b, c) => {
        expect(compareVersions(a, a)).toBe(0);
        expect(compareVersions(a, b) + compareVersions(b, a)).toBe(0);
        if (compareVersions(a, b) <= 0 && compareVersions(b, c) <= 0) {
          expect(compareVersions(a, c)).toBeLessThanOrEqual(0);
        }
      }),
    );
  });
});
