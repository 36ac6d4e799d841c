import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { kvmResult, obstacleOf, type Probe, type TrialKey } from "../../../src/machine/choose.ts";
import type { TrialResult } from "../../../src/machine/trial.ts";

const good: TrialResult = {
  accel: "kvm",
  usable: true,
  reason: "KVM ran a guest in 0.1 of the time of emulation.",
  ratio: 0.1,
};
const bad: TrialResult = { accel: "kvm", usable: false, reason: 'KVM does not run a guest: QEMU said "no".' };

let dir: string;
let file: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "bootshare-test-"));
  file = join(dir, "state", "trials.json");
});
afterEach(() => rmSync(dir, { recursive: true }));

interface Fake {
  readonly probe: Probe;
  trials: number;
}

function fake(result: TrialResult, key: Partial<TrialKey> = {}, obstacle?: string): Fake {
  const made: Fake = {
    trials: 0,
    probe: {
      key: async (arch) => ({
        arch,
        kernel: "6.12.0",
        qemu: "QEMU emulator version 7.2.22",
        cpu: "A CPU",
        ...key,
      }),
      kvmObstacle: async () => obstacle,
      tryAccelerator: async () => {
        made.trials++;
        return result;
      },
    },
  };
  return made;
}

const ask = async ({ probe }: Fake) =>
  await kvmResult("amd64", { trialsFile: file, qemuBinary: "/usr/bin/qemu-system-x86_64", probe });

describe("kvmResult", () => {
  test("is what the trial showed", async () => {
    expect(await ask(fake(good))).toEqual(good);
  });

  test("an obstacle needs no trial, and is not remembered", async () => {
    const machine = fake(good, {}, "This machine has no /dev/kvm.");
    expect(await ask(machine)).toMatchObject({
      usable: false,
      reason: expect.stringContaining("no /dev/kvm"),
    });
    expect(machine.trials).toBe(0);
    expect((await ask(fake(good))).usable).toBe(true);
  });

  test("a result is kept, and not tried again", async () => {
    await ask(fake(bad));
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({
      schema: 2,
      trials: [{ key: { arch: "amd64", kernel: "6.12.0" }, result: bad }],
    });
    const again = fake(good);
    expect((await ask(again)).usable).toBe(false);
    expect(again.trials).toBe(0);
  });

  test.each<[string, Partial<TrialKey>]>([
    ["kernel", { kernel: "6.12.1" }],
    ["QEMU", { qemu: "QEMU emulator version 10.0" }],
    ["processor", { cpu: "Another CPU" }],
  ])("another %s is tried anew, and replaces the result", async (_what, key) => {
    await ask(fake(bad));
    const changed = fake(good, key);
    expect((await ask(changed)).usable).toBe(true);
    expect(changed.trials).toBe(1);
    expect(JSON.parse(readFileSync(file, "utf8")).trials).toHaveLength(1);
  });

  test.each(["", "not JSON", '{"schema":1,"trials":[]}', '{"schema":2,"trials":[{}]}'])(
    "a file that holds %j counts as empty",
    async (content) => {
      await ask(fake(bad));
      writeFileSync(file, content);
      const machine = fake(good);
      expect((await ask(machine)).usable).toBe(true);
      expect(machine.trials).toBe(1);
    },
  );

  test("a place that cannot be written is no obstacle", async () => {
    writeFileSync(join(dir, "state"), "a file where a folder should be");
    expect((await ask(fake(good))).usable).toBe(true);
  });
});

describe("obstacleOf", () => {
  const device = (mode: number) => ({ mode: 0o020000 | mode });
  test.each([
    ["amd64", "amd64", device(0o660), undefined],
    ["amd64", "amd64", device(0o666), undefined],
    ["i386", "amd64", device(0o660), undefined],
    ["amd64", "amd64", device(0o600), /Only root/],
    ["amd64", "amd64", { errno: "ENOENT" }, /no \/dev\/kvm/],
    ["amd64", "amd64", { errno: "EACCES" }, /may not open/],
    ["amd64", "amd64", { errno: "EIO" }, /EIO/],
    ["arm64", "amd64", device(0o660), /does not run arm64/],
    ["amd64", "arm64", device(0o660), /does not run amd64/],
    ["arm64", "arm64", device(0o660), undefined],
    ["armhf", "arm64", device(0o660), undefined],
    ["armel", "arm64", device(0o660), undefined],
    ["armhf", "arm64", { errno: "ENOENT" }, /no \/dev\/kvm/],
    ["armhf", "armhf", device(0o660), /does not run armhf/],
    ["riscv64", "riscv64", device(0o660), undefined],
    ["s390x", "s390x", device(0o660), /does not run s390x/],
    ["ppc64el", "ppc64el", device(0o660), /does not run ppc64el/],
    ["amd64", "mips", device(0o660), /does not run/],
  ] as const)("%s on %s, %j", (arch, host, found, expected) => {
    const obstacle = obstacleOf(arch, host, found);
    if (expected === undefined) expect(obstacle).toBeUndefined();
    else expect(obstacle).toMatch(expected);
  });
});
