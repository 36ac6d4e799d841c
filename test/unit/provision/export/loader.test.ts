import { describe, expect, it } from "vitest";
import { planLoader } from "../../../../src/provision/export/loader.ts";

describe("what boots an exported guest", () => {
  it.each([
    // An image of a cloud's, with its own GRUB.
    [{ kernelArch: "amd64", partitioned: true, grub: true }, { kind: "own" }],
    [
      { kernelArch: "arm64", partitioned: true, grub: false },
      { kind: "none", why: "bootshare installs no loader for arm64" },
    ],
    // What create makes, and debvm.
    [
      { kernelArch: "amd64", partitioned: false, grub: false },
      { kind: "install", loader: { package: "grub-pc" } },
    ],
    [
      { kernelArch: "i386", partitioned: false, grub: true },
      { kind: "install", loader: { package: "grub-pc" } },
    ],
    [
      { kernelArch: "amd64", partitioned: true, grub: false },
      { kind: "none", why: "its disk has partitions, and no GRUB that could be set up again" },
    ],
    [
      { kernelArch: "armhf", partitioned: false, grub: false },
      { kind: "none", why: "bootshare installs no loader for armhf" },
    ],
  ] as const)("of %o is %o", (facts, plan) => {
    expect(planLoader(facts)).toEqual(plan);
  });
});
