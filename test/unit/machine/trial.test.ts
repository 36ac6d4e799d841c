import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { emulatorOf } from "../../../src/machine/shape.ts";
import {
  judgeKvm,
  judgeTcg,
  type TrialRun,
  tryAccelerator,
  whatQemuSaid,
} from "../../../src/machine/trial.ts";
import { amd64TrialImage, loopSum } from "../../../src/machine/trial-image.ts";

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

  const qemu = emulatorOf("amd64");
  test.skipIf(!existsSync(qemu))(
    `runs under TCG (skipped where ${qemu} is not installed)`,
    { timeout: 60_000 },
    async () => {
      expect(await tryAccelerator("tcg", "amd64", qemu)).toEqual({
        accel: "tcg",
        usable: true,
        reason: "TCG ran a guest.",
      });
    },
  );

  test("an emulator that is not there is said to be not there", async () => {
    const result = await tryAccelerator("tcg", "amd64", "/nonexistent/qemu-system-x86_64");
    expect(result).toMatchObject({ usable: false, reason: expect.stringContaining("not installed") });
  });

  test("an architecture without a trial is never run under KVM", async () => {
    expect(await tryAccelerator("kvm", "riscv64", "/nonexistent")).toMatchObject({ usable: false });
    expect(await tryAccelerator("tcg", "riscv64", "/nonexistent")).toMatchObject({ usable: true });
  });
});
