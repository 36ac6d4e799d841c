import { describe, expect, it } from "vitest";
import { installerWishes } from "../../../src/commands/create.ts";
import { requireInstallerWishes } from "../../../src/guest/installer-wishes.ts";
import type { CreateOptions } from "../../../src/guest/plan.ts";

const options: CreateOptions = {
  name: "g",
  memoryBytes: 2 ** 30,
  cpus: 1,
  bootBytes: undefined,
  share: "auto",
  accel: "auto",
  network: { kind: "user" },
  sshKeyFile: undefined,
  keep: false,
  tries: undefined,
  bootTimeout: undefined,
  suite: "trixie",
  arch: undefined,
  guestKernelArch: "auto",
  secondStage: "auto",
  diskBytes: 2 ** 32,
  kernelPackage: undefined,
  mirror: undefined,
  securityMirror: undefined,
  security: true,
  updates: true,
};
const wishes = { netboot: undefined, preseedFile: undefined, interactive: false };
const worker = { role: "obs-worker", obsRepo: "a:1", obsSrc: "a:2", instances: 1, jobs: 1 } as const;

describe("what goes with --installer", () => {
  it.each<
    [
      what: string,
      change: Partial<CreateOptions>,
      interactive: boolean,
      terminal: boolean,
      flag: string | undefined,
    ]
  >([
    ["nothing else", {}, false, false, undefined],
    ["its own kernel's architecture", { guestKernelArch: "native" }, false, false, undefined],
    ["another architecture", { guestKernelArch: "arm64" }, false, false, "--guest-kernel-arch"],
    ["--second-stage", { secondStage: "host" }, false, false, "--second-stage"],
    ["a role", { worker }, false, false, "--role"],
    ["a person at a terminal", {}, true, true, undefined],
    ["a person without one", {}, true, false, "--interactive"],
  ])("%s", (_what, change, interactive, terminal, flag) => {
    const act = (): void =>
      requireInstallerWishes({ ...options, ...change }, { ...wishes, interactive }, terminal);
    if (flag === undefined) expect(act).not.toThrow();
    else
      expect(act).toThrow(expect.objectContaining({ code: "USAGE", message: expect.stringContaining(flag) }));
  });

  it.each([
    ["--netboot", { netboot: "x" }],
    ["--preseed", { preseed: "x" }],
    ["--interactive", { interactive: true }],
  ])("%s is nothing without it", (flag, given) => {
    const act = (): unknown => installerWishes({ installer: false, interactive: false, ...given });
    expect(act).toThrow(expect.objectContaining({ code: "USAGE", message: expect.stringContaining(flag) }));
  });
});
