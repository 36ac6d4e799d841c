/**
 * What is known of an initrd's content: the few facts that decide whether it brings a guest to its root file system. They are
 * made by a program without rights (preflight.ts) from bytes of the guest's.
 */
import type { InitrdFormat } from "./initrd.ts";

/** The drivers that are asked for, as the kernel calls the modules (with `_`). */
export const DRIVERS = [
  "virtio_blk",
  "virtio_pci",
  "virtio_mmio",
  "pci_host_generic",
  "ext4",
  "9p",
  "9pnet_virtio",
  "virtiofs",
  "virtio_net",
  "virtio_console",
] as const;
export type Driver = (typeof DRIVERS)[number];

/** Why a kernel does not unpack an initrd to its end, or why it is not looked at to its end. */
export const INITRD_PROBLEMS = [
  "cut-short",
  "no-entry",
  "old-format",
  "misaligned",
  "bad-checksum",
  "name-too-long",
  "too-many-entries",
  "too-many-modules",
  "unknown-format",
  "junk",
  "damaged",
  "too-large",
  "too-long",
] as const;
export type InitrdProblem = (typeof INITRD_PROBLEMS)[number];

export const INITRD_MAKERS = ["initramfs-tools", "dracut", "unknown"] as const;

/** What a part of an initrd may be packed by. */
export type Compression = Exclude<InitrdFormat, "cpio">;
export const COMPRESSIONS: readonly Compression[] = ["gzip", "xz", "zstd", "lz4", "lzma", "lzop", "bzip2"];

/** Most parts of an initrd. Usual are one to four. */
export const MAX_PARTS = 64;
/** Most releases that an initrd is told to have modules for. */
export const MAX_RELEASES = 4;
/** Most names of missing dependencies that are told of a driver. */
export const MAX_MISSING = 16;
/** Longest name of a module and of a release, in characters. Linux has 55 and 64. */
export const MAX_MODULE_NAME = 64;

export interface DriverFacts {
  readonly state: "present" | "built-in" | "absent";
  /** What it needs that is neither in the initrd nor built in. Not trusted. */
  readonly missing: readonly string[];
}

/** Of the modules for one kernel. */
export interface ReleaseFacts {
  /** Not trusted. */
  readonly release: string;
  /** The initrd lists what is built into the kernel: what it neither has nor lists, there is not. */
  readonly listsBuiltIn: boolean;
  readonly drivers: Readonly<Record<Driver, DriverFacts>>;
}

export interface InitrdFacts {
  /** How its parts are packed, in their order. */
  readonly formats: readonly InitrdFormat[];
  /** Archives that are complete. */
  readonly archives: number;
  /** Bytes that were unpacked. */
  readonly bytes: number;
  /** There is a first process to start. */
  readonly init: boolean;
  readonly madeBy: (typeof INITRD_MAKERS)[number];
  readonly releases: readonly ReleaseFacts[];
  readonly problem?: InitrdProblem | undefined;
  /** A part is packed so, and this machine has no program for it: it and what follows is not known. */
  readonly notUnpacked?: Compression | undefined;
  /** Something follows a part that is packed so, and was not looked at. */
  readonly unseenAfter?: Compression | undefined;
}
