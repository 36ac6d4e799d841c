/** Domains as the hook meets them, for tests that need one. */
import type { DomainMachine } from "../../src/kernel/features.ts";

export const AMD64: DomainMachine = {
  arch: "amd64",
  bus: "pci",
  highmem: true,
  modernMmio: false,
  transport: "9p",
  diskBus: "virtio-pci",
};
