import { existsSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { DebianArch } from "../../../src/kernel/arch.ts";
import { emulatorOf } from "../../../src/machine/shape.ts";
import {
  judgeKvm,
  judgeTcg,
  type TrialRun,
  trialRun,
  tryAccelerator,
  whatQemuSaid,
} from "../../../src/machine/trial.ts";
import { arm64TrialImage, armhfTrialImage } from "../../../src/machine/trial-image-arm.ts";
import { riscv64TrialImage } from "../../../src/machine/trial-image-riscv.ts";
import { amd64TrialImage } from "../../../src/machine/trial-image-x86.ts";
import { LOOP_TURNS, loopSum, sumText } from "../../../src/machine/trial-loop.ts";
import { TRIAL_PROGRAMS } from "../../../src/machine/trial-programs.ts";
import type { RunResult } from "../../../src/process.ts";

const ran = (milliseconds: number): TrialRun => ({ outcome: "right", milliseconds, said: "nothing" });
const not = (outcome: TrialRun["outcome"], said = "nothing"): TrialRun => ({
  outcome,
  milliseconds: 1,
  said,
});

describe("judgeKvm", () => {
  test.each<[string, TrialRun, TrialRun, boolean, number | undefined, RegExp]>([
    ["faster than TCG", ran(100), ran(1000), true, 0.1, /in 0\.1 of the time/],
    ["just faster", ran(990), ran(1000), true, 0.99, /KVM ran a guest/],
    ["as slow as TCG", ran(1000), ran(1000), false, 1, /slower than emulation/],
    ["slower than TCG", ran(2500), ran(1000), false, 2.5, /slower than emulation here, 2\.5 times/],
    ["never over", not("timeout"), ran(1000), false, undefined, /not over after 3 times/],
    [
      "an abort",
      not("failed", "failed to set MSR 0x10a to 0x69"),
      ran(1000),
      false,
      undefined,
      /QEMU said "failed to set MSR/,
    ],
    [
      "no 32-bit kernel mode",
      not(
        "failed",
        "can't apply global host-arm-cpu.aarch64=off: 'aarch64' feature cannot be disabled unless KVM is enabled and 32-bit EL1 is supported",
      ),
      ran(1000),
      false,
      undefined,
      /^KVM does not run a guest: this host's processor has no 32-bit kernel mode \(EL1\)\.$/,
    ],
    ["a wrong sum", not("wrong"), ran(1000), false, undefined, /wrong sum/],
    ["no yardstick", ran(100), not("failed"), true, undefined, /KVM ran a guest/],
    ["no yardstick, never over", not("timeout"), not("failed"), false, undefined, /did not end/],
  ])("%s", (_what, kvm, tcg, usable, ratio, reason) => {
    const result = judgeKvm(kvm, tcg);
    expect(result).toMatchObject({ accel: "kvm", usable });
    expect(result.ratio).toBe(ratio);
    expect(result.reason).toMatch(reason);
    expect(result.reason).toMatch(/^[^\n]+\.$/);
  });
});

test("judgeTcg believes only the right sum", () => {
  expect(judgeTcg(ran(5)).usable).toBe(true);
  for (const outcome of ["wrong", "timeout", "failed"] as const)
    expect(judgeTcg(not(outcome)).usable).toBe(false);
});

describe("trialRun", () => {
  const SUM = sumText(loopSum(LOOP_TURNS));
  const ended = (result: Partial<RunResult>): RunResult => ({
    ...{ command: "", exitCode: 0, stdout: "", stderr: "", timedOut: false, missing: false },
    ...result,
  });
  const rightOn = (arch: DebianArch, result: Partial<RunResult>): string => {
    const program = TRIAL_PROGRAMS[arch];
    if (program === undefined) throw new Error(`no program for ${arch}`);
    return trialRun(program, ended(result), 1).outcome;
  };

  test.each<[DebianArch, Partial<RunResult>, TrialRun["outcome"]]>([
    ["amd64", { exitCode: 85 }, "right"],
    ["amd64", { exitCode: 87 }, "wrong"],
    ["amd64", { exitCode: 0, stdout: SUM }, "failed"],
    ["amd64", { exitCode: 1 }, "failed"],
    ["amd64", { exitCode: 85, timedOut: true }, "timeout"],
    ["arm64", { stdout: SUM }, "right"],
    ["armhf", { stdout: SUM }, "right"],
    ["armel", { stdout: SUM }, "right"],
    ["riscv64", { stdout: `\nOpenSBI v1.1\n\n${SUM}` }, "right"],
    ["arm64", { stdout: "AAAAAAAA" }, "wrong"],
    ["arm64", { stdout: "" }, "failed"],
    ["arm64", { stdout: SUM.slice(0, 7) }, "failed"],
    ["arm64", { stdout: SUM, exitCode: 1 }, "failed"],
    ["arm64", { stdout: SUM, exitCode: -1, timedOut: true }, "timeout"],
    ["arm64", { exitCode: -1, missing: true }, "failed"],
  ])("%s, %j: %s", (arch, result, outcome) => expect(rightOn(arch, result)).toBe(outcome));

  test("no other output counts as the right sum", () => {
    fc.assert(
      fc.property(fc.string(), (stdout) => {
        fc.pre(!stdout.endsWith(SUM));
        expect(rightOn("arm64", { stdout })).not.toBe("right");
      }),
    );
  });
});

describe("whatQemuSaid", () => {
  test.each([
    [
      "qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69\nqemu-system-x86_64: ../../target/i386/kvm/kvm.c:3183: Assertion failed.\n",
      "failed to set MSR 0x10a to 0x69",
    ],
    [
      "qemu-system-x86_64: warning: host doesn't support requested feature\n/usr/bin/qemu-system-x86_64: -accel kvm: failed to initialize kvm: Permission denied\n",
      "-accel kvm: failed to initialize kvm: Permission denied",
    ],
    ["", "nothing"],
    ["qemu-system-x86_64: warning: only that\n", "nothing"],
    ["\x1b[2Jevil", "\\x1b[2Jevil"],
  ])("%j", (stderr, said) => expect(whatQemuSaid(stderr)).toBe(said));
});

describe("the trial's guest", () => {
  test("is 64 KiB with a far jump at the reset vector", () => {
    const image = amd64TrialImage(10);
    expect(image.length).toBe(65_536);
    expect([...image.slice(0xfff0, 0xfff5)]).toEqual([0xea, 0, 0, 0, 0xf0]);
  });

  test("expects the sum of its number of turns", () => {
    expect(loopSum(1)).toBe(1);
    // ((0 * m + 2) * m + 1) for two turns, in 32 bits.
    expect(loopSum(2)).toBe((Math.imul(2, 0x19660d) + 1) >>> 0);
    expect(amd64TrialImage(10)).not.toEqual(amd64TrialImage(11));
  });

  // armhf's twice: KVM runs it in the 64-bit emulator, and the yardstick with it.
  const emulated: [DebianArch, string][] = [
    ["amd64", emulatorOf("amd64", "tcg")],
    ["i386", emulatorOf("i386", "tcg")],
    ["arm64", emulatorOf("arm64", "tcg")],
    ["armhf", emulatorOf("armhf", "tcg")],
    ["armhf", emulatorOf("armhf", "kvm")],
    ["riscv64", emulatorOf("riscv64", "tcg")],
  ];
  for (const [arch, qemu] of emulated) {
    test.skipIf(!existsSync(qemu))(
      `of ${arch} runs under TCG (skipped where ${qemu} is not installed)`,
      { timeout: 60_000 },
      async () => {
        expect(await tryAccelerator("tcg", arch, qemu)).toEqual({
          accel: "tcg",
          usable: true,
          reason: "TCG ran a guest.",
        });
      },
    );
  }

  test("writes its sum in letters", () => {
    expect(sumText(0xbe09e480)).toBe("LOAJOEIA");
    expect(sumText(0)).toBe("AAAAAAAA");
    expect(sumText(0xffffffff)).toBe("PPPPPPPP");
  });

  test.each([
    ["arm64", arm64TrialImage, 0x140],
    ["armhf", armhfTrialImage, 0x100],
    ["riscv64", riscv64TrialImage, 0x1000],
  ] as const)(
    "of %s has its page table, aligned, behind its code, and the turns in it",
    (_arch, image, table) => {
      const bytes = image(10);
      expect(bytes.slice(table).some((byte) => byte !== 0)).toBe(true);
      expect(bytes.slice(table - 4, table).every((byte) => byte === 0)).toBe(true);
      expect(image(10)).not.toEqual(image(11));
      expect(image(0x10000)).not.toEqual(image(0x20000));
    },
  );

  test("of arm64 is an Image kernel that fits its header", () => {
    const image = new DataView(arm64TrialImage().buffer);
    expect(image.getUint32(56, true)).toBe(0x644d5241);
    expect(image.byteLength).toBeLessThanOrEqual(image.getUint32(16, true));
  });

  test("an emulator that is not there is said to be not there", async () => {
    const result = await tryAccelerator("tcg", "amd64", "/nonexistent/qemu-system-x86_64");
    expect(result).toMatchObject({ usable: false, reason: expect.stringContaining("not installed") });
  });

  test("an architecture without a trial is never run under KVM", async () => {
    expect(await tryAccelerator("kvm", "s390x", "/nonexistent")).toMatchObject({ usable: false });
    expect(await tryAccelerator("tcg", "s390x", "/nonexistent")).toMatchObject({ usable: true });
  });
});
