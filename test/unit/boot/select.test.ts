import { describe, expect, it } from "vitest";
import type { Pair } from "../../../src/boot/events.ts";
import { select } from "../../../src/boot/select.ts";
import type { Catalogue, KernelPair, LinkedPair } from "../../../src/kernel/catalogue.ts";
import { configOf, type KernelConfig } from "../../../src/kernel/config.ts";
import { type DomainMachine, type Layout, MMIO, PCI } from "../../../src/kernel/features.ts";
import { debianConfig } from "../kernel/debian-configs.ts";
import { pair } from "./events.ts";

const lpae = debianConfig("6.12.107+deb13-armmp-lpae");
/** No LPAE: virtio-mmio, or PCI below 4 GiB. */
const low = debianConfig("6.12.107+deb13-armmp");
/** PCI alone. */
const pciOnly: KernelConfig = { ...lpae, VIRTIO_MMIO: "n" };
const neither: KernelConfig = { ...low, VIRTIO_MMIO: "n", PCI_HOST_GENERIC: "n" };
/** Would want another layout, and have no driver for /boot there. */
const shareless: KernelConfig = { ...low, "9P_FS": "n", VIRTIO_FS: "n" };

const onPci: DomainMachine = {
  arch: "armhf",
  bus: "pci",
  highmem: true,
  modernMmio: false,
  transport: "9p",
  diskBus: "virtio-pci",
};
const onMmio: DomainMachine = { ...onPci, bus: "mmio", diskBus: "virtio-mmio" };

type Kernels = Readonly<Record<string, KernelConfig | undefined>>;
interface Row {
  readonly machine?: DomainMachine | undefined;
  /** Newest first. */
  readonly share: Kernels;
  readonly links?: string;
  readonly pin?: string;
  readonly pinPair?: string;
  /** Releases that have no tries left. */
  readonly bad?: readonly string[];
  readonly good?: readonly [release: string, config: KernelConfig | undefined];
  /** As `RELEASE by SOURCE`. */
  readonly candidates: readonly string[];
  readonly skipped?: readonly string[];
  readonly reshape?: readonly [candidate: string, layout: Layout];
}

function kernelPair(release: string, config: KernelConfig | undefined): KernelPair & { initrd: string } {
  return {
    release,
    kernel: `vmlinuz-${release}`,
    initrd: `initrd.img-${release}`,
    kernelSize: 1,
    initrdSize: 1,
    files: `files of ${release}`,
    complete: true,
    writing: false,
    reasons: [],
    ...(config === undefined ? {} : { config }),
  };
}

function catalogueOf({ share, links }: Row): Catalogue {
  const linked: LinkedPair | undefined = links === undefined ? undefined : kernelPair(links, share[links]);
  const kernels = Object.entries(share).map(([release, config]) => kernelPair(release, config));
  return { kernels, links: {}, linked };
}

function goodPair([release, config]: readonly [string, KernelConfig | undefined]): Pair {
  return { ...pair(release), ...(config === undefined ? {} : { config }) };
}

const rows: [string, Row][] = [
  [
    "what fits is ordered: pin, links, highest, last good",
    {
      share: { "v3-a": lpae, "v2-a": lpae, "v1-a": lpae },
      pin: "v1-a",
      links: "v2-a",
      good: ["v0-a", lpae],
      candidates: ["v1-a by pin", "v2-a by links", "v3-a by highest", "v0-a by good"],
    },
  ],
  [
    "the links name a kernel for another layout: until it has that, the highest that fits",
    {
      share: { "v3-a": low, "v2-a": lpae, "v1-a": lpae },
      links: "v3-a",
      good: ["v1-a", lpae],
      candidates: ["v2-a by highest", "v1-a by good"],
      skipped: ["v3-a"],
      reshape: ["v3-a by links", MMIO],
    },
  ],
  [
    "a pinned kernel for another layout",
    {
      share: { "v2-a": lpae, "v1-a": low },
      pin: "v1-a",
      links: "v2-a",
      candidates: ["v2-a by links"],
      skipped: ["v1-a"],
      reshape: ["v1-a by pin", MMIO],
    },
  ],
  [
    "a newer kernel for another layout is no reason to change anything while the links name one that fits",
    {
      share: { "v2-a": low, "v1-a": lpae },
      links: "v1-a",
      candidates: ["v1-a by links"],
      skipped: ["v2-a"],
    },
  ],
  [
    "a kernel that fits no machine is passed over, and the next one is looked at",
    {
      share: { "v3-a": neither, "v2-a": low, "v1-a": lpae },
      links: "v3-a",
      candidates: ["v1-a by highest"],
      skipped: ["v3-a", "v2-a"],
      reshape: ["v2-a by highest", MMIO],
    },
  ],
  [
    "nothing fits any machine",
    { share: { "v2-a": neither, "v1-a": neither }, candidates: [], skipped: ["v2-a", "v1-a"] },
  ],
  [
    "another layout would not be enough",
    {
      share: { "v2-a": shareless, "v1-a": lpae },
      links: "v2-a",
      candidates: ["v1-a by highest"],
      skipped: ["v2-a"],
    },
  ],
  [
    "the last good pair needs the layout that the machine had before, and the share is empty",
    {
      machine: onMmio,
      share: {},
      good: ["v1-a", pciOnly],
      candidates: [],
      skipped: ["v1-a"],
      reshape: ["v1-a by good", PCI],
    },
  ],
  [
    "the last good pair does not fit, and what is in the share does",
    {
      machine: onMmio,
      share: { "v2-a": low },
      links: "v2-a",
      good: ["v1-a", pciOnly],
      candidates: ["v2-a by links"],
      skipped: ["v1-a"],
    },
  ],
  [
    "a pinned pair of which the copy alone is left",
    {
      machine: onMmio,
      share: { "v2-a": low },
      pin: "v1-a",
      good: ["v1-a", pciOnly],
      candidates: ["v2-a by highest"],
      skipped: ["v1-a", "v1-a"],
      reshape: ["v1-a by good", PCI],
    },
  ],
  [
    "the same kernel in the share and in the store is named once",
    { share: { "v1-a": neither }, good: ["v1-a", neither], candidates: [], skipped: ["v1-a"] },
  ],
  [
    "without a configuration nothing is known against a kernel",
    {
      share: { "v2-a": undefined },
      good: ["v1-a", undefined],
      candidates: ["v2-a by highest", "v1-a by good"],
    },
  ],
  [
    "a configuration that says of everything that it is not there",
    { share: { "v1-a": configOf({}) }, candidates: [], skipped: ["v1-a"] },
  ],
  [
    "without a machine everything fits",
    { machine: undefined, share: { "v1-a": neither }, candidates: ["v1-a by highest"] },
  ],
  [
    "in the place of a bad kernel comes the last good pair, before what is only next in line",
    {
      share: { "v3-a": lpae, "v2-a": lpae },
      links: "v2-a",
      bad: ["v2-a"],
      good: ["v1-a", lpae],
      candidates: ["v1-a by good", "v3-a by highest", "v2-a by links, last resort"],
      skipped: ["v2-a"],
    },
  ],
  [
    "a bad pin",
    {
      share: { "v3-a": lpae, "v2-a": lpae },
      pin: "v2-a",
      links: "v3-a",
      bad: ["v2-a"],
      good: ["v1-a", lpae],
      candidates: ["v1-a by good", "v3-a by links", "v2-a by pin, last resort"],
      skipped: ["v2-a"],
    },
  ],
  [
    "a bad kernel that the links do not name costs nothing",
    {
      share: { "v3-a": lpae, "v2-a": lpae },
      links: "v2-a",
      bad: ["v3-a"],
      good: ["v1-a", lpae],
      candidates: ["v2-a by links", "v1-a by good", "v3-a by highest, last resort"],
      skipped: ["v3-a"],
    },
  ],
  [
    "nothing was ever good: the best of the bad is better than no start",
    {
      share: { "v2-a": lpae, "v1-a": lpae },
      links: "v2-a",
      bad: ["v2-a", "v1-a"],
      candidates: ["v2-a by links, last resort"],
      skipped: ["v2-a"],
    },
  ],
  [
    "a pair of the host's store that is pinned, whatever is in the share",
    {
      share: { "v2-a": lpae, "v1-a": lpae },
      pin: "v1-a",
      pinPair: "v1-a",
      links: "v2-a",
      good: ["v2-a", lpae],
      candidates: ["v1-a by pin", "v2-a by links", "v2-a by good"],
    },
  ],
];

describe("select, on a machine", () => {
  it.each(rows)("%s", (_what, row) => {
    const machine = "machine" in row ? row.machine : onPci;
    const good = row.good === undefined ? undefined : goodPair(row.good);
    const found = select({
      catalogue: catalogueOf(row),
      pin: row.pin,
      pinPair: row.pinPair === undefined ? undefined : pair(row.pinPair),
      good,
      bad: (files) => (row.bad?.some((release) => files === `files of ${release}`) ? "it is bad" : undefined),
      machine,
    });
    const name = (one: { release: string; source: string; lastResort?: boolean }): string =>
      `${one.release} by ${one.source}${one.lastResort === true ? ", last resort" : ""}`;
    expect(found.candidates.map(name)).toEqual(row.candidates);
    expect(found.skipped.map(({ release }) => release)).toEqual(row.skipped ?? []);
    const { reshape } = found;
    expect(reshape === undefined ? undefined : [name(reshape.candidate), reshape.layout]).toEqual(
      row.reshape,
    );
  });

  it("says why it passes over, why it takes the next, and what is not known of that", () => {
    const share = { "v3-a": low, "v2-a": undefined };
    const found = select({
      catalogue: catalogueOf({ share, links: "v3-a", candidates: [] }),
      pin: undefined,
      good: undefined,
      machine: onPci,
    });
    const reason =
      "needs devices on virtio-mmio, and the machine has them on PCI: it has no LPAE, so it cannot reach PCI devices above 4 GiB";
    expect(found.skipped).toEqual([{ release: "v3-a", reason }]);
    expect(found.reshape?.reason).toBe(reason);
    expect(found.candidates[0]).toMatchObject({
      why: "it has the highest version of the complete pairs that fit the machine",
      notes: ["No configuration of v2-a was found to look at."],
    });
  });
});
