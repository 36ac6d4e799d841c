import { describe, expect, it } from "vitest";
import { asGuestRoot, giveSubordinates, hasSubordinates } from "../../../src/provision/user-namespace.ts";

it("leaves root's commands alone, and makes a user root of a namespace", () => {
  expect(asGuestRoot("mke2fs", ["-q"], "system")).toEqual({ file: "mke2fs", args: ["-q"] });
  expect(asGuestRoot("mke2fs", ["-q"], "session")).toEqual({
    file: "unshare",
    args: ["--user", "--map-root-user", "--map-auto", "--", "mke2fs", "-q"],
  });
});

describe("subordinate ids", () => {
  it.each([
    ["a line of one's own", "a:100000:65536\nu:165536:65536\n", true],
    ["a line by number", "1000:165536:65536\n", true],
    ["more than enough", "u:165536:200000", true],
    ["too few", "u:165536:65535\n", false],
    ["too few in the first line, which is what counts", "u:165536:1000\nu:200000:65536\n", false],
    ["nobody's", "", false],
    ["another's", "v:165536:65536\nuu:1:65536\n", false],
    ["nonsense", "u\nu:x:65536\nu:-1:65536\n", false],
  ])("%s", (_what, text, enough) => expect(hasSubordinates(text, "u", 1000)).toBe(enough));

  it("are given where nobody has any, in neither file", () => {
    expect(giveSubordinates(["", ""], "u")).toBe(
      "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 u",
    );
    expect(giveSubordinates(["a:100000:65536\n", "b:300000:65536\nnonsense\n"], "u")).toBe(
      "usermod --add-subuids 365536-431071 --add-subgids 365536-431071 u",
    );
  });
});
