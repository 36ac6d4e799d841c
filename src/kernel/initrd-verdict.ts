/** What an initrd's content means for a guest: whether it brings it to its root file system, and what it lacks. Pure. */
import { printable } from "../text.ts";
import type { ConfigOption, KernelConfig } from "./config.ts";
import type { DomainMachine } from "./features.ts";
import {
  DRIVERS,
  type Driver,
  type InitrdFacts,
  type InitrdProblem,
  type ReleaseFacts,
} from "./initrd-facts.ts";
import { INITRD_MAX_UNPACKED_BYTES } from "./limits.ts";

export type InitrdVerdict =
  /** `notes`: sentences on what is not known of it, or will be missed. Printable. */
  | { readonly ok: true; readonly notes: readonly string[] }
  /** A phrase that follows the file's name: "ends before …". Printable. */
  | { readonly ok: false; readonly reason: string };

const PROBLEMS: Readonly<Record<InitrdProblem, string>> = {
  "cut-short": "is cut short: it ends before its trailer",
  "no-entry": "is damaged: something in its archive is no entry",
  "old-format": 'holds a cpio archive of the old format; the kernel needs "newc"',
  misaligned: "holds an archive that does not begin at a multiple of four bytes",
  "bad-checksum": "is damaged: a file in it has another checksum than it should",
  "name-too-long": "holds a name of more than 4096 bytes",
  "too-many-entries": "holds more files than any initrd has",
  "too-many-modules": "holds more modules than any kernel has",
  "unknown-format": "holds something that is neither an archive nor packed by anything that the kernel knows",
  junk: "holds something behind the end of its packed archive that is none",
  damaged: "is damaged or cut short: it cannot be unpacked",
  "too-large": `unpacks to more than ${INITRD_MAX_UNPACKED_BYTES / 1024 ** 3} GiB`,
  "too-long": "takes too long to unpack",
};

/** Where the kernel's configuration says how a driver is there. */
const OPTIONS: Readonly<Record<Driver, ConfigOption>> = {
  virtio_blk: "VIRTIO_BLK",
  virtio_pci: "VIRTIO_PCI",
  virtio_mmio: "VIRTIO_MMIO",
  pci_host_generic: "PCI_HOST_GENERIC",
  ext4: "EXT4_FS",
  "9p": "9P_FS",
  "9pnet_virtio": "NET_9P_VIRTIO",
  virtiofs: "VIRTIO_FS",
  virtio_net: "VIRTIO_NET",
  virtio_console: "VIRTIO_CONSOLE",
};

/** What of a machine must be found, and by which driver. */
type Need = readonly [what: string, driver: Driver];

export interface InitrdOwner {
  readonly release: string;
  /** Undefined where it is not known. */
  readonly config?: KernelConfig | undefined;
}

/**
 * Judges an initrd. The root disk, its bus and the root file system must be found with what is in it or built into the
 * kernel; what else the guest needs it can also load from its root disk, so that is a note. What is not known counts as there.
 *
 * @param machine undefined where there is none to fit (`inspect`): then only the initrd itself is judged
 */
export function judgeInitrd(
  facts: InitrdFacts,
  { release, config }: InitrdOwner,
  machine: DomainMachine | undefined,
): InitrdVerdict {
  if (facts.problem !== undefined) return { ok: false, reason: PROBLEMS[facts.problem] };
  const { notUnpacked, unseenAfter } = facts;
  if (notUnpacked !== undefined) {
    return noted(
      `Its part that is packed by ${notUnpacked} was not looked into: ${missingProgram(notUnpacked)}.`,
    );
  }
  if (unseenAfter !== undefined) {
    return noted(`What follows its part that is packed by ${unseenAfter} was not looked at further.`);
  }
  if (!facts.init) return { ok: false, reason: "holds no /init, so nothing in it would be started" };
  if (machine === undefined) return { ok: true, notes: [] };

  const own = facts.releases.find((one) => one.release === release);
  const [other] = facts.releases;
  if (own === undefined && other !== undefined && config === undefined) {
    // The release is from a file's name, and need not be what the kernel calls itself.
    return noted(`It holds modules for ${printable(other.release)}, and none for ${printable(release)}.`);
  }
  const stateOf = (driver: Driver): State => driverState(driver, own, config);
  for (const [what, driver] of needsToBoot(machine, config)) {
    const { kind, missing } = stateOf(driver);
    if (kind === "absent") return { ok: false, reason: absent(what, driver, facts, release) };
    if (missing.length > 0) {
      const names = missing.map((name) => printable(name)).join(", ");
      return { ok: false, reason: `has ${driver} for ${what}, but not what that needs: ${names}` };
    }
  }
  const unknown = needsToBoot(machine, config).filter(([, driver]) => stateOf(driver).kind === "unknown");
  const lacking = needsLater(machine).filter(([, driver]) => {
    const { kind, missing } = stateOf(driver);
    return kind === "absent" || missing.length > 0;
  });
  return {
    ok: true,
    notes: [
      ...unknown.map(([what, driver]) => `It is not known whether the kernel has ${driver} for ${what}.`),
      ...lacking.map(
        ([what, driver]) => `It has no ${driver} that works for ${what}: that must be on the root disk.`,
      ),
    ],
  };
}

function needsToBoot({ arch, diskBus }: DomainMachine, config: KernelConfig | undefined): Need[] {
  const rootFs: Need = ["the root file system", "ext4"];
  if (diskBus === undefined) return [rootFs];
  const needs: Need[] = [];
  if (diskBus === "virtio-pci") {
    const generic = arch === "arm64" || arch === "armhf" || arch === "armel" || arch === "riscv64";
    if (generic && config?.PCI_HOST_GENERIC === "m") needs.push(["the PCI host", "pci_host_generic"]);
    needs.push(["the root disk's bus", "virtio_pci"]);
  }
  // s390x has its bus always built in.
  if (diskBus === "virtio-mmio") needs.push(["the root disk's bus", "virtio_mmio"]);
  return [...needs, ["the root disk", "virtio_blk"], rootFs];
}

function needsLater({ transport }: DomainMachine): Need[] {
  const share: Record<NonNullable<DomainMachine["transport"]>, Driver[]> = {
    "9p": ["9p", "9pnet_virtio"],
    virtiofs: ["virtiofs"],
  };
  return [
    ...(transport === undefined ? [] : share[transport].map((driver): Need => ["/boot", driver])),
    ["the network", "virtio_net"],
    ["the boot report", "virtio_console"],
  ];
}

interface State {
  readonly kind: "there" | "absent" | "unknown";
  readonly missing: readonly string[];
}

function driverState(driver: Driver, own: ReleaseFacts | undefined, config: KernelConfig | undefined): State {
  const set = config?.[OPTIONS[driver]];
  const { state, missing } = own?.drivers[driver] ?? { state: "absent", missing: [] };
  if (set === "y" || state === "built-in") return { kind: "there", missing: [] };
  if (state === "present") return { kind: "there", missing };
  return { kind: set === undefined && own?.listsBuiltIn !== true ? "unknown" : "absent", missing: [] };
}

function absent(what: string, driver: Driver, { releases }: InitrdFacts, release: string): string {
  const lacks = `has no driver for ${what} (${driver})`;
  if (releases.length === 0 || releases.some((one) => one.release === release)) return lacks;
  const names = releases.map((one) => printable(one.release)).join(", ");
  return `${lacks}: its modules are for ${names}, not for ${printable(release)}`;
}

/** An initrd in a sentence, for a person: how it is packed, who made it, and what it has. Printable. */
export function describeInitrd(facts: InitrdFacts, release: string): string {
  const { formats, archives, bytes, madeBy, releases } = facts;
  const own = releases.find((one) => one.release === release)?.drivers;
  const drivers = DRIVERS.filter((driver) => own?.[driver].state === "present");
  const packed = [...new Set(formats)].join(", ");
  const size = `${archives} ${archives === 1 ? "archive" : "archives"}, ${Math.ceil(bytes / 1e6)} MB unpacked`;
  const maker = madeBy === "unknown" ? "" : ` made by ${madeBy},`;
  const has = drivers.length === 0 ? `no driver for ${printable(release)}` : drivers.join(", ");
  return `Its initrd (${packed}; ${size}),${maker} holds ${has}.`;
}

function missingProgram(format: string): string {
  if (format === "lzop") return "lzop is none of the programs that bootshare uses";
  return `${format === "lzma" ? "xz" : format} is not installed`;
}

function noted(note: string): InitrdVerdict {
  return { ok: true, notes: [note] };
}
