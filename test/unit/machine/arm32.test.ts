import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Arm32, judgePrograms, measureArm32El0, type ProgramStart } from "../../../src/machine/arm32.ts";
import { armhfProgram, EXIT_BASH, EXIT_RAN, EXIT_SHELL } from "../../../src/machine/arm32-program.ts";
import { type RunResult, run } from "../../../src/process.ts";

const said = (able: boolean | undefined): Arm32 => ({
  able,
  found:
    able === undefined ? "lscpu does not tell" : `lscpu says op-modes ${able ? "32-bit, 64-bit" : "64-bit"}`,
});

describe("judgePrograms", () => {
  test.each<[ProgramStart, boolean | undefined, boolean | undefined, string]>([
    ["ran", true, true, "one ran"],
    ["ran", undefined, true, "one ran"],
    ["ran", false, false, "one ran, but lscpu says op-modes 64-bit: it was emulated"],
    [
      "refused",
      true,
      false,
      "this kernel starts none (no CONFIG_COMPAT), though lscpu says op-modes 32-bit, 64-bit",
    ],
    ["refused", undefined, false, "this kernel starts none"],
    ["refused", false, false, "this kernel starts none"],
    [undefined, true, true, "lscpu says op-modes 32-bit, 64-bit"],
    [undefined, undefined, undefined, "lscpu does not tell"],
    [undefined, false, false, "lscpu says op-modes 64-bit"],
  ])("the program: %s, lscpu: %s", (program, lscpu, able, found) => {
    expect(judgePrograms(program, said(lscpu))).toEqual({ able, found });
  });
});

describe("measureArm32El0", () => {
  const ended = (result: Partial<RunResult>): RunResult => ({
    ...{ command: "", exitCode: 0, stdout: "", stderr: "", timedOut: false, missing: false },
    ...result,
  });
  const MODES = "CPU op-mode(s):                  32-bit, 64-bit\n";

  test.each<[string, Partial<RunResult>, string, boolean | undefined, RegExp]>([
    ["a processor that has them", { exitCode: EXIT_RAN }, MODES, true, /^one ran$/],
    ["a kernel that has none, and dash", { exitCode: EXIT_SHELL }, "", false, /^this kernel starts none$/],
    ["a kernel that has none, and bash", { exitCode: EXIT_BASH }, "", false, /^this kernel starts none$/],
    ["a temporary folder without execution", { exitCode: -1, missing: true }, MODES, true, /^lscpu says/],
    ["a program that is busy", { exitCode: -1 }, MODES, true, /^lscpu says/],
    ["any other exit code", { exitCode: 1 }, "", undefined, /does not tell/],
  ])("%s", async (_what, result, lscpu, able, found) => {
    let file = "";
    let mode = 0;
    const answer = await measureArm32El0(async (program) => {
      if (program === "lscpu") return ended({ stdout: lscpu });
      file = program;
      mode = statSync(program).mode & 0o777;
      expect(readFileSync(program)).toEqual(Buffer.from(armhfProgram()));
      return ended(result);
    });
    expect(answer).toEqual({ able, found: expect.stringMatching(found) });
    expect(mode).toBe(0o700);
    expect(existsSync(file)).toBe(false);
  });

  // An entry of binfmt_misc for ARM, as qemu-user-static makes it, changes nothing here.
  test.skipIf(process.arch === "arm64" || process.arch === "arm")(
    "no other processor runs them (skipped on ARM)",
    async () => expect(await measureArm32El0()).toMatchObject({ able: false }),
  );
});

describe("the program for armhf", () => {
  let dir: string;
  let file: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), "bootshare-test-"));
    file = join(dir, "program");
    writeFileSync(file, armhfProgram(), { mode: 0o700 });
  });
  afterEach(() => rmSync(dir, { recursive: true }));

  test("is an ELF file for ARM, with padding that no emulator's entry in binfmt_misc takes", () => {
    const bytes = Buffer.from(armhfProgram());
    expect(bytes.subarray(0, 7).toString("latin1")).toBe("\x7fELF\x01\x01\x01");
    expect(bytes.readUInt16LE(18)).toBe(40);
    // The mask asks for zeros from byte 8 to byte 15.
    expect(bytes.subarray(8, 16).toString("latin1")).toBe("\nexit 9\n");
    expect(bytes.length).toBe(96);
  });

  const emulator = "/usr/bin/qemu-arm-static";
  test.skipIf(!existsSync(emulator))(`exits as it should (skipped without ${emulator})`, async () => {
    expect((await run(emulator, [file])).exitCode).toBe(EXIT_RAN);
  });

  test.each([
    ["dash", EXIT_SHELL],
    ["bash", EXIT_SHELL],
  ])("does nothing in %s but to end it", async (shell, exitCode) => {
    const result = await run(shell, [file], { cwd: dir });
    if (!result.missing) expect([exitCode, EXIT_BASH]).toContain(result.exitCode);
  });
});
