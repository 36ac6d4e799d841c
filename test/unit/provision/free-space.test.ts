import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { requireFree } from "../../../src/provision/free-space.ts";

it("lets through what fits, into a folder that is not there yet as well", () => {
  requireFree(tmpdir(), 1, "a clone");
  requireFree(join(tmpdir(), "bootshare-none", "none"), 1, "a clone");
});

it("says how much there is, and how much is needed", () => {
  expect(() => requireFree(tmpdir(), 2 ** 60, "a clone")).toThrow(
    new RegExp(`^There are only \\d+ MiB free in ${tmpdir()}; a clone needs ${2 ** 40} MiB\\.$`),
  );
});
