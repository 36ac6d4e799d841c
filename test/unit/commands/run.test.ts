import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { checkWishes, pathsOf, run } from "../../../src/commands/run.ts";

// Whatever comes as far as this would make a guest.
vi.mock(import("../../../src/commands/shared.ts"), async (original) => ({
  ...(await original()),
  noteService: () => Promise.reject(new Error("too late")),
}));

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

describe("what is found out before a guest is made", () => {
  const wishes = { suite: "trixie", copyIn: [], copyOut: [] };

  it.each([
    ["a suite that is none", { ...wishes, suite: "nosuch" }, "SUITE_UNKNOWN", 2],
    ["an architecture that is none", { ...wishes, arch: "nosuch" }, "ARCH_UNKNOWN", 2],
    ["a source that is not there", { ...wishes, copyIn: [["/nosuch/x", "/x"]] as const }, "COPY_SOURCE", 3],
    ["a place that is no absolute path", { ...wishes, copyIn: [["/etc", "x"]] as const }, "COPY_SOURCE", 2],
    [
      "a target that is there",
      { ...wishes, copyOut: [["/x", "/etc/passwd"]] as const },
      "COPY_TARGET_EXISTS",
      4,
    ],
    ["a target below a file", { ...wishes, copyOut: [["/x", "/etc/passwd/x"]] as const }, "COPY_TARGET", 1],
  ])("%s", (_, given, code, exitCode) => {
    expect(() => checkWishes(given)).toThrow(expect.objectContaining({ name: "UserError", code, exitCode }));
  });

  it("is nothing where all is well, or the guest says what is cloned", () => {
    expect(() =>
      checkWishes({ ...wishes, arch: "armhf", copyOut: [["/x", "/tmp/bootshare-x/y"]] }),
    ).not.toThrow();
    expect(() => checkWishes({ ...wishes, from: "g", suite: "nosuch" })).not.toThrow();
  });

  it.each(["2147484", "1e300"])("--timeout %s is more than a timer takes", async (timeout) => {
    await expect(run.run?.(["--", "true"], { timeout })).rejects.toMatchObject({
      message: "--timeout: at most 2147483 seconds (24 days).",
      exitCode: 2,
    });
  });

  // docs/exit-codes.md.
  it.each([
    [{ suite: "nosuch" }, 2],
    [{ arch: "nosuch" }, 2],
    [{ copyIn: ["/etc:x"] }, 2],
    [{ copyIn: ["/nosuch/x:/x"] }, 125],
    [{ copyOut: ["/x:/etc/passwd"] }, 125],
  ])("%j ends run with exit code %d", async (options, exitCode) => {
    await expect(run.run?.(["--", "true"], options)).rejects.toMatchObject({ name: "UserError", exitCode });
  });
});
