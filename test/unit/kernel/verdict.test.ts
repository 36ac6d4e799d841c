import { describe, expect, it } from "vitest";
import type { ConfigOption, KernelConfig } from "../../../src/kernel/config.ts";
import { type DomainMachine, MMIO, PCI, PCI_LOW } from "../../../src/kernel/features.ts";
import { judge, type Verdict } from "../../../src/kernel/verdict.ts";
import { debianConfig } from "./debian-configs.ts";

const lpae = debianConfig("6.12.107+deb13-armmp-lpae");
const armmp = debianConfig("6.12.107+deb13-armmp");
const without = (config: KernelConfig, ...options: ConfigOption[]): KernelConfig => ({
  ...config,
  ...Object.fromEntries(options.map((option) => [option, "n"])),
});
const onPci: DomainMachine = {
  arch: "armhf",
  bus: "pci",
  highmem: true,
  modernMmio: false,
  transport: "9p",
  diskBus: "virtio-pci",
  memoryMiB: 3072,
};

const NO_LPAE = "it has no LPAE, so it cannot reach PCI devices above 4 GiB";
const needsMmio = `needs devices on virtio-mmio, and the machine has them on PCI: ${NO_LPAE}`;
const needsLow = `needs devices on PCI below 4 GiB (highmem=off), and the machine has them on PCI: ${NO_LPAE}, and it has no virtio-mmio (VIRTIO_MMIO)`;
const rows: [string, KernelConfig | undefined, DomainMachine | undefined, Verdict][] = [
  ["it fits", lpae, onPci, { kind: "fits", notes: [] }],
  [
    "nothing is known of it",
    undefined,
    onPci,
    { kind: "fits", notes: ["No configuration of 6.12 was found to look at."] },
  ],
  ["there is no machine", undefined, undefined, { kind: "fits", notes: [] }],
  ["no LPAE on PCI", armmp, onPci, { kind: "reshape", layout: MMIO, reason: needsMmio }],
  [
    "no LPAE on PCI, with virtiofs: modern virtio-mmio comes with the layout",
    armmp,
    { ...onPci, transport: "virtiofs" },
    { kind: "reshape", layout: MMIO, reason: needsMmio },
  ],
  [
    "neither LPAE nor virtio-mmio",
    without(armmp, "VIRTIO_MMIO"),
    onPci,
    { kind: "reshape", layout: PCI_LOW, reason: needsLow },
  ],
  [
    "the same with more memory than that layout has room for",
    without(armmp, "VIRTIO_MMIO"),
    { ...onPci, memoryMiB: 3073 },
    {
      kind: "unfit",
      reason:
        "needs devices on PCI below 4 GiB (highmem=off), which has room for 3072 MiB of memory, and the machine has 3073 MiB",
    },
  ],
  [
    "PCI alone on virtio-mmio",
    without(lpae, "VIRTIO_MMIO"),
    { ...onPci, bus: "mmio" },
    {
      kind: "reshape",
      layout: PCI,
      reason:
        "needs devices on PCI, and the machine has them on virtio-mmio: it has LPAE and drives the machine's PCI host",
    },
  ],
  [
    "neither bus",
    without(armmp, "VIRTIO_MMIO", "PCI_HOST_GENERIC"),
    onPci,
    {
      kind: "unfit",
      reason:
        "fits no machine here: it has no driver for virt's PCI host (PCI_HOST_GENERIC), and no virtio-mmio (VIRTIO_MMIO) either",
    },
  ],
  [
    "another way of sharing /boot: that is not changed",
    without(lpae, "9P_FS"),
    onPci,
    { kind: "unfit", reason: "cannot mount /boot, which is shared by 9p (9P_FS, NET_9P_VIRTIO)" },
  ],
  [
    "another layout, and then no driver for the disk",
    without(armmp, "VIRTIO_BLK"),
    onPci,
    { kind: "unfit", reason: "has no driver for the root disk (VIRTIO_BLK)" },
  ],
];

describe("judge", () => {
  it.each(rows)("%s", (_what, config, machine, verdict) => {
    expect(judge({ release: "6.12", config }, machine)).toEqual(verdict);
  });
});
