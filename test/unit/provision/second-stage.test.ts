import { describe, expect, it } from "vitest";
import type { DebianArch } from "../../../src/kernel/arch.ts";
import { initrdCounts, runsNatively, secondStage } from "../../../src/provision/second-stage.ts";
import { BINFMT, type Emulation, userEmulation } from "../../../src/provision/user-emulation.ts";

const USABLE: Emulation = { usable: true, found: "/usr/bin/qemu-arm" };
const NONE: Emulation = {
  usable: false,
  found: "no emulator is registered as qemu-arm",
  fix: "apt-get install X",
};

describe("runsNatively", () => {
  const cases: [host: string, arm32El0: boolean | undefined, arch: DebianArch, native: boolean][] = [
    ["amd64", undefined, "amd64", true],
    ["amd64", undefined, "i386", true],
    ["amd64", undefined, "armhf", false],
    ["amd64", true, "armhf", false],
    ["arm64", true, "armhf", true],
    ["arm64", true, "armel", true],
    ["arm64", false, "armhf", false],
    ["arm64", undefined, "armhf", false],
    ["arm64", true, "i386", false],
    ["riscv64", undefined, "riscv64", true],
    ["i386", undefined, "amd64", false],
    ["mips64", undefined, "amd64", false],
  ];
  it.each(cases)("host %s, 32-bit programs %s, guest %s: %s", (host, arm32El0, arch, native) => {
    expect(runsNatively(arch, { host, arm32El0 })).toBe(native);
  });
});

describe("secondStage", () => {
  const facts = (emulation: Emulation) => ({
    host: "amd64",
    arm32El0: undefined,
    emulation: async () => emulation,
  });

  it("does not ask for emulation where the processor runs the programs", async () => {
    const never = { ...facts(NONE), emulation: async () => await Promise.reject(new Error("asked")) };
    expect(await secondStage("i386", never, "auto")).toBe("native");
  });

  it("emulates what the processor does not run", async () => {
    expect(await secondStage("armhf", facts(USABLE), "auto")).toBe("qemu-user");
  });

  it("leaves it to the guest where the host can do nothing, or where that is asked for", async () => {
    expect(await secondStage("armhf", facts(NONE), "auto")).toBe("guest");
    expect(await secondStage("armhf", facts(USABLE), "guest")).toBe("guest");
    expect(await secondStage("amd64", facts(USABLE), "guest")).toBe("guest");
  });

  it("says what is missing where the host was asked for, and how to mend it", async () => {
    await expect(secondStage("armhf", facts(NONE), "host")).rejects.toMatchObject({
      code: "FOREIGN_PROGRAMS",
      message:
        "This host cannot run the installation scripts of armhf packages: no emulator is registered as qemu-arm.",
      hint: "Mend it with: apt-get install X; or let the guest run them itself: --second-stage guest",
    });
  });

  it("lets only an initrd count that no emulator made", () => {
    expect((["native", "qemu-user", "guest"] as const).map(initrdCounts)).toEqual([true, false, false]);
  });
});

describe("userEmulation", () => {
  const ENTRY = "enabled\ninterpreter /usr/libexec/qemu-binfmt/arm-binfmt-P\nflags: POF\noffset 0\n";
  const cases: [what: string, files: Record<string, string>, usable: boolean, found: string][] = [
    ["nothing", {}, false, `${BINFMT} is not mounted`],
    ["off", { status: "disabled\n" }, false, "binfmt_misc is switched off"],
    ["no entry", { status: "enabled\n" }, false, "no emulator is registered as qemu-arm"],
    [
      "entry off",
      { status: "enabled\n", "qemu-arm": ENTRY.replace("enabled", "disabled") },
      false,
      "qemu-arm is switched off",
    ],
    [
      "no flag F",
      { status: "enabled\n", "qemu-arm": ENTRY.replace("POF", "PO") },
      false,
      "qemu-arm does not work in a chroot (no flag F)",
    ],
    ["all there", { status: "enabled\n", "qemu-arm": ENTRY }, true, "/usr/libexec/qemu-binfmt/arm-binfmt-P"],
  ];
  it.each(cases)("%s", (_what, files, usable, found) => {
    expect(userEmulation("armel", (file) => files[file.slice(BINFMT.length + 1)])).toMatchObject({
      usable,
      found,
    });
  });
});
