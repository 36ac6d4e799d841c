import { describe, expect, it } from "vitest";
import { DEBIAN_ARCHES } from "../../../src/kernel/arch.ts";
import { mayRunKernels, mayRunPrograms } from "../../../src/machine/processor.ts";

describe("what a processor may run", () => {
  it.each([
    ["amd64", ["amd64", "i386"], ["amd64", "i386"]],
    ["arm64", ["arm64", "armhf", "armel"], ["arm64", "armhf"]],
    ["i386", ["i386"], ["i386"]],
    ["armhf", ["armhf"], ["armhf"]],
    ["riscv64", ["riscv64"], ["riscv64"]],
    ["s390x", ["s390x"], ["s390x"]],
    ["mips64", [], []],
  ])("%s", (host, programs, kernels) => {
    expect(DEBIAN_ARCHES.filter((arch) => mayRunPrograms(arch, host))).toEqual(programs);
    expect(DEBIAN_ARCHES.filter((arch) => mayRunKernels(arch, host))).toEqual(kernels);
  });
});
