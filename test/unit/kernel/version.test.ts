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

/** Releases as Debian, its backports, its release candidates and upstream's kbuild make them. */
const release = fc
  .tuple(
    fc.constantFrom("5.10", "6.1", "6.9", "6.12", "7.2"),
    fc.option(fc.nat(120), { nil: undefined }),
    fc.constantFrom("", "~rc1", "~rc10", "-rc2", "+", "+deb12", "+deb13", "+deb13+1", "+bpo", "~bpo12"),
    fc.option(fc.nat(40), { nil: undefined }),
    fc.constantFrom("", "-amd64", "-cloud-amd64", "-rt-amd64", "-armmp", "-armmp-lpae", "-686-pae"),
  )
  .map(([series, patch, more, abi, flavour]) =>
    [series, patch === undefined ? "" : `.${patch}`, more, abi === undefined ? "" : `-${abi}`, flavour].join(
      "",
    ),
  );

function dpkg(a: string, operator: string, b: string): boolean {
  const result = spawnSync("dpkg", ["--compare-versions", a, operator, b], { encoding: "utf8" });
  if (result.error !== undefined) throw result.error;
  if (result.stderr !== "") throw new Error(`${a} ${b}: ${result.stderr}`);
  return result.status === 0;
}

// dpkg takes one comparison per call, so the number of runs is what the test's time allows.
describe("compareVersions against dpkg", () => {
  it.each([
    ["versions of all shapes", fc.oneof(near, fc.tuple(version, version)), 150],
    ["releases of kernels", fc.tuple(release, release), 100],
  ])(
    "agrees on %s",
    (_what, pairs, numRuns) => {
      fc.assert(
        fc.property(pairs, ([a, b]) => {
          const expected = dpkg(a, "lt", b) ? -1 : dpkg(a, "gt", b) ? 1 : 0;
          expect([a, b, compareVersions(a, b)]).toEqual([a, b, expected]);
        }),
        { numRuns },
      );
    },
    60_000,
  );
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
