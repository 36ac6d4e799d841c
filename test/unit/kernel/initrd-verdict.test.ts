import { describe, expect, it, test } from "vitest";
import { configOf } from "../../../src/kernel/config.ts";
import { CpioReader } from "../../../src/kernel/cpio.ts";
import type { DomainMachine } from "../../../src/kernel/features.ts";
import { InitrdContents } from "../../../src/kernel/initrd-contents.ts";
import { INITRD_PROBLEMS, type InitrdFacts } from "../../../src/kernel/initrd-facts.ts";
import { describeInitrd, judgeInitrd } from "../../../src/kernel/initrd-verdict.ts";
import { AMD64 } from "../machines.ts";
import { debianConfig } from "./debian-configs.ts";
import { cpio, RELEASE, type TreeOptions, tree } from "./initrds.ts";

/** The facts of an initrd that holds these files and is not packed. */
function factsOf(options: TreeOptions = {}): InitrdFacts {
  const contents = new InitrdContents();
  const reader = new CpioReader(contents);
  const bytes = cpio(tree(options));
  reader.feed(bytes);
  return { formats: ["cpio"], archives: reader.archives, bytes: bytes.length, ...contents.facts() };
}

const config = debianConfig(RELEASE);
/** A kernel of which all that matters is a module, as Debian 12's. */
const modular = debianConfig("6.1.0-50-amd64");
const onMmio: DomainMachine = { ...AMD64, arch: "armhf", bus: "mmio", diskBus: "virtio-mmio" };
const owner = { release: RELEASE, config };

describe("judgeInitrd", () => {
  const good: [string, TreeOptions, DomainMachine][] = [
    ["of initramfs-tools", {}, AMD64],
    ["of dracut", { maker: "dracut" }, AMD64],
    ["whose modules are in lib/modules", { lib: "lib" }, AMD64],
    ["of an archiver that puts ./ in front", { lib: "./usr/lib" }, AMD64],
    ["without modules.dep", { withoutLists: ["modules.dep", "modules.softdep"] }, AMD64],
    ["on virtio-mmio, without virtio_pci", { without: [/virtio_pci/] }, onMmio],
    [
      "where the rest is built in",
      { without: [/ext4|jbd2|crc|mbcache/], builtIn: ["kernel/fs/ext4/ext4.ko"] },
      AMD64,
    ],
    ["of a machine with no virtio disk", { without: [/virtio_(blk|pci)/] }, { ...AMD64, diskBus: undefined }],
    [
      "whose crc32c is another",
      { without: [/crc32c/], builtIn: ["kernel/arch/x86/crypto/crc32c-intel.ko"] },
      AMD64,
    ],
    [
      "whose crc32c is in a module of another name",
      {
        without: [/crc32c/],
        builtIn: ["kernel/arch/arm/crypto/crc32-arm-ce.ko"],
        aliases: "alias crypto-crc32c crc32_arm_ce\n",
      },
      AMD64,
    ],
  ];
  test.each(good)("takes one %s", (_what, options, machine) => {
    expect(judgeInitrd(factsOf(options), { release: RELEASE, config: modular }, machine)).toEqual({
      ok: true,
      notes: [],
    });
  });

  it("takes what the kernel's configuration says is built in", () => {
    expect(judgeInitrd(factsOf({ without: [/virtio_pci/] }), owner, AMD64)).toEqual({ ok: true, notes: [] });
  });

  const bad: [string, TreeOptions, DomainMachine, string][] = [
    ["no disk", { without: [/virtio_blk/] }, AMD64, "has no driver for the root disk (virtio_blk)"],
    ["no PCI", { without: [/virtio_pci/] }, AMD64, "has no driver for the root disk's bus (virtio_pci)"],
    ["no virtio-mmio", { without: [/mmio/] }, onMmio, "has no driver for the root disk's bus (virtio_mmio)"],
    ["no ext4", { without: [/ext4/] }, AMD64, "has no driver for the root file system (ext4)"],
    [
      // Seen in an initrd that was made under user-mode emulation for Debian 13 on armhf.
      "nothing but virtio_mmio",
      { without: [/^(?!.*virtio_mmio)/] },
      onMmio,
      "has no driver for the root disk (virtio_blk)",
    ],
    [
      "ext4 without what it needs",
      { without: [/mbcache|jbd2/] },
      AMD64,
      "has ext4 for the root file system, but not what that needs: jbd2, mbcache",
    ],
    [
      "ext4 without the checksum that it asks the kernel's crypto for",
      { without: [/crc32c/] },
      AMD64,
      "has ext4 for the root file system, but not what that needs: crc32c",
    ],
    [
      "virtio_pci without its other half",
      { without: [/modern_dev/] },
      AMD64,
      "has virtio_pci for the root disk's bus, but not what that needs: virtio_pci_modern_dev",
    ],
    [
      "modules for another kernel",
      { release: "6.1.0-9-amd64" },
      AMD64,
      `has no driver for the root disk's bus (virtio_pci): its modules are for 6.1.0-9-amd64, not for ${RELEASE}`,
    ],
    [
      "no modules",
      { without: [/./], withoutLists: ["modules.dep", "modules.builtin", "modules.softdep"] },
      AMD64,
      "has no driver for the root disk's bus (virtio_pci)",
    ],
    ["no /init", { init: false }, AMD64, "holds no /init, so nothing in it would be started"],
  ];
  test.each(bad)("refuses one with %s", (_what, options, machine, reason) => {
    expect(judgeInitrd(factsOf(options), { release: RELEASE, config: modular }, machine)).toEqual({
      ok: false,
      reason,
    });
  });

  it("refuses, for a kernel without a configuration, what the initrd itself says is not built in", () => {
    const facts = factsOf({ without: [/virtio_blk/] });
    expect(judgeInitrd(facts, { release: RELEASE }, AMD64)).toEqual({
      ok: false,
      reason: "has no driver for the root disk (virtio_blk)",
    });
  });

  it("does not refuse what it does not know", () => {
    const lists = ["modules.dep", "modules.builtin", "modules.softdep"];
    expect(
      judgeInitrd(factsOf({ without: [/./], withoutLists: lists }), { release: RELEASE }, AMD64),
    ).toMatchObject({
      ok: true,
      notes: expect.arrayContaining(["It is not known whether the kernel has virtio_blk for the root disk."]),
    });
    expect(judgeInitrd(factsOf({ release: "6.9.0-mine" }), { release: "mine" }, AMD64)).toEqual({
      ok: true,
      notes: ["It holds modules for 6.9.0-mine, and none for mine."],
    });
  });

  it("notes what the guest will need from its root disk", () => {
    const facts = factsOf({ without: [/9p|virtio_net|virtio_console/] });
    expect(judgeInitrd(facts, { release: RELEASE, config: modular }, AMD64)).toEqual({
      ok: true,
      notes: [
        "It has no 9p that works for /boot: that must be on the root disk.",
        "It has no 9pnet_virtio that works for /boot: that must be on the root disk.",
        "It has no virtio_net that works for the network: that must be on the root disk.",
        "It has no virtio_console that works for the boot report: that must be on the root disk.",
      ],
    });
    const virtiofs: DomainMachine = { ...AMD64, transport: "virtiofs" };
    expect(
      judgeInitrd(factsOf({ without: [/virtiofs/] }), { release: RELEASE, config: modular }, virtiofs),
    ).toEqual({
      ok: true,
      notes: ["It has no virtiofs that works for /boot: that must be on the root disk."],
    });
  });

  it("wants the driver of virt's PCI host where that is a module", () => {
    const arm: DomainMachine = { ...AMD64, arch: "arm64" };
    const setting = { ...configOf({}), ...debianConfig("6.1.0-50-arm64"), PCI_HOST_GENERIC: "m" } as const;
    expect(judgeInitrd(factsOf(), { release: RELEASE, config: setting }, arm)).toEqual({
      ok: false,
      reason: "has no driver for the PCI host (pci_host_generic)",
    });
  });

  it("says so of what was not looked at", () => {
    const notes = (more: Partial<InitrdFacts>) =>
      judgeInitrd({ ...factsOf({ init: false }), ...more }, owner, AMD64);
    expect(notes({ notUnpacked: "lzma" })).toEqual({
      ok: true,
      notes: ["Its part that is packed by lzma was not looked into: xz is not installed."],
    });
    expect(notes({ notUnpacked: "lzop" })).toEqual({
      ok: true,
      notes: [
        "Its part that is packed by lzop was not looked into: lzop is none of the programs that bootshare uses.",
      ],
    });
    expect(notes({ unseenAfter: "gzip" })).toEqual({
      ok: true,
      notes: ["What follows its part that is packed by gzip was not looked at further."],
    });
  });

  it("has a sentence for each problem", () => {
    const reasons = INITRD_PROBLEMS.map((problem) =>
      judgeInitrd({ ...factsOf(), problem }, owner, undefined),
    );
    expect(reasons).toMatchSnapshot();
  });

  it("shows nothing of a guest's that acts", () => {
    const facts = factsOf({ release: "6.1\x1b[2J" });
    expect(judgeInitrd(facts, owner, AMD64)).toMatchObject({
      reason: expect.stringContaining("6.1\\x1b[2J"),
    });
  });

  it("asks for no driver where there is no machine", () => {
    expect(judgeInitrd(factsOf({ without: [/./] }), owner, undefined)).toEqual({ ok: true, notes: [] });
  });
});

test("describeInitrd", () => {
  expect(describeInitrd(factsOf({ without: [/9p|virtiofs|mmio/] }), RELEASE)).toBe(
    "Its initrd (cpio; 1 archive, 1 MB unpacked), made by initramfs-tools, holds virtio_blk, virtio_pci, ext4, virtio_net, virtio_console.",
  );
  expect(describeInitrd(factsOf({ maker: "dracut" }), "other")).toBe(
    "Its initrd (cpio; 1 archive, 1 MB unpacked), made by dracut, holds no driver for other.",
  );
});
