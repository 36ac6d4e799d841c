import { describe, expect, it } from "vitest";
import { planLines } from "../../../src/commands/create.ts";
import { type CreatePlan, summaryOf } from "../../../src/guest/plan.ts";
import { guestKernelArch, type HostFacts } from "../../../src/machine/guest-kernel.ts";
import { machineShape } from "../../../src/machine/shape.ts";
import { TRANSPORTS } from "../../../src/share/transports.ts";

/** An armhf guest on a host with these facts. */
function planOn(host: HostFacts, stage: CreatePlan["stage"]): CreatePlan {
  const kernel = guestKernelArch("armhf", host, "auto");
  const { accel, kernelArch } = kernel;
  return {
    name: "arm1",
    suite: "trixie",
    kernel,
    kernelPackage: kernelArch === "armhf" ? "linux-image-armmp-lpae" : "linux-image-arm64:arm64",
    shape: machineShape("armhf", accel, { kernelArch, gic: host.gic }),
    gic: host.gic,
    transport: TRANSPORTS["9p"],
    transportReason: "it was asked for",
    stage,
    bootBytes: 1024 ** 3,
    worker: undefined,
  };
}

const ARM: HostFacts = {
  arch: "arm64",
  kvm: { usable: true, reason: "KVM ran the trial guest." },
  arm32El1: true,
  arm32El0: true,
  gic: 3,
};
const hosts: [string, HostFacts, CreatePlan["stage"]][] = [
  ["an arm64 host with 32-bit EL1", ARM, "native"],
  ["an arm64 host with 32-bit EL0 alone", { ...ARM, arm32El1: false }, "native"],
  [
    "an amd64 host",
    {
      arch: "amd64",
      kvm: { usable: true, reason: "KVM works." },
      arm32El1: undefined,
      arm32El0: undefined,
    },
    "qemu-user",
  ],
];

describe("what --dry-run says of an armhf guest", () => {
  it.each(hosts)("on %s", (_what, host, stage) => {
    const plan = planOn(host, stage);
    expect([summaryOf(plan), "", ...planLines(plan)].join("\n")).toMatchSnapshot();
  });
});
