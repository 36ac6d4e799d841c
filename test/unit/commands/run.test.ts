import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { pathsOf } from "../../../src/commands/run.ts";

describe("pathsOf", () => {
  it.each([
    ["a:/b", ["a", "/b"]],
    ["/x y:z", ["/x y", "z"]],
    ["a\\:b:/c\\\\", ["a:b", "/c\\"]],
    ["a", undefined],
    ["a:", undefined],
    [":b", undefined],
    ["a:b:c", undefined],
    ["", undefined],
  ])("%j", (spec, expected) => {
    expect(pathsOf(spec)).toEqual(expected);
  });

  it("has a way to write every pair of paths", () => {
    const path = fc.string({ minLength: 1, unit: "grapheme" });
    const written = (text: string): string => text.replace(/[\\:]/g, "\\$&");
    fc.assert(
      fc.property(path, path, (from, to) => {
        expect(pathsOf(`${written(from)}:${written(to)}`)).toEqual([from, to]);
      }),
    );
  });
});
