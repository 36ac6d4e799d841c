/**
 * Reads a kernel's configuration, the file `/boot/config-RELEASE` that Debian's kernel packages have beside the image, for
 * the few options that decide whether a kernel sees the machine. Format: the kernel's Documentation/kbuild/kconfig.rst
 * (`CONFIG_X=y`, `CONFIG_X=m`, `# CONFIG_X is not set`).
 */

/**
 * The options that are read, without `CONFIG_`. One that the kernel's version does not have reads as `n`, as it does for
 * the kernel itself.
 */
export const CONFIG_OPTIONS = [
  // The initrd, which has the drivers that are modules.
  "BLK_DEV_INITRD",
  // The buses. On QEMU's `virt` the PCI host is the generic one; x86 and pseries have their own in PCI.
  "PCI",
  "PCI_HOST_GENERIC",
  "VIRTIO_PCI",
  "VIRTIO_MMIO",
  /** The kernel's name for "a guest on s390": it is virtio-ccw (drivers/s390/virtio/Makefile). */
  "S390_GUEST",
  // 32-bit ARM: physical addresses beyond 4 GiB; the processors that `virt` can have.
  "ARM_LPAE",
  "CPU_V7",
  // Programs of the 32-bit sibling.
  "COMPAT",
  "IA32_EMULATION",
  // Devices and file systems.
  "VIRTIO_BLK",
  "EXT4_FS",
  "VIRTIO_NET",
  "VIRTIO_CONSOLE",
  "HW_RANDOM_VIRTIO",
  "NET_9P",
  "NET_9P_VIRTIO",
  "9P_FS",
  "VIRTIO_FS",
  // The serial port that is the guest's console.
  "SERIAL_8250_CONSOLE",
  "SERIAL_AMBA_PL011_CONSOLE",
  "HVC_CONSOLE",
  "SCLP_VT220_CONSOLE",
] as const;
export type ConfigOption = (typeof CONFIG_OPTIONS)[number];

/** Built in, a module, or not there. */
export type ConfigValue = "y" | "m" | "n";
export type KernelConfig = Readonly<Record<ConfigOption, ConfigValue>>;

export type ConfigResult =
  | { readonly ok: true; readonly config: KernelConfig }
  /** A phrase that follows the file's name: "is cut short". Safe to show. */
  | { readonly ok: false; readonly reason: string };

/** Largest file that is read, in bytes (4 MiB). Debian's largest, arm64's, has 0.34 MB. */
export const CONFIG_MAX_BYTES = 4 * 1024 * 1024;

const CONFIG_STEM = "config-";

/** The file name of the configuration of a release, in /boot. */
export function configName(release: string): string {
  return `${CONFIG_STEM}${release}`;
}

/** Whether a file name is that of a configuration. */
export function isConfigName(name: string): boolean {
  return name.startsWith(CONFIG_STEM);
}

const KNOWN: ReadonlySet<string> = new Set(CONFIG_OPTIONS);
// Both kinds of line that set an option of two or three states; a value that is a number or text is none of ours.
const LINE = /^(?:CONFIG_([A-Z0-9_]{1,64})=([ym])|# CONFIG_([A-Z0-9_]{1,64}) is not set)$/gm;

/**
 * Reads the options that matter. Of an option that is set twice the last setting counts, as for kconfig.
 *
 * @param file the whole file. Not trusted: any bytes give a result, nothing throws, and time grows with the length alone
 */
export function parseKernelConfig(file: Uint8Array): ConfigResult {
  if (file.length > CONFIG_MAX_BYTES) {
    return refused(`is larger than ${CONFIG_MAX_BYTES / 1024 / 1024} MiB`);
  }
  const text = Buffer.from(file.buffer, file.byteOffset, file.length).toString("latin1");
  if (text === "") return refused("is empty");
  // kconfig ends every line. Without this a file that is half written would read as a kernel that lacks everything.
  if (!text.endsWith("\n")) return refused("is cut short: its last line does not end");
  const values: Record<string, ConfigValue> = {};
  let settings = 0;
  for (const [, set, value, unset] of text.matchAll(LINE)) {
    settings++;
    const name = set ?? unset ?? "";
    if (KNOWN.has(name)) values[name] = value === "y" || value === "m" ? value : "n";
  }
  if (settings === 0) return refused("sets no option");
  return { ok: true, config: configOf(values) };
}

/** A configuration that has these settings, and `n` for every other option. */
export function configOf(settings: Readonly<Partial<Record<ConfigOption, ConfigValue>>>): KernelConfig {
  const entries = CONFIG_OPTIONS.map((name): [ConfigOption, ConfigValue] => [name, settings[name] ?? "n"]);
  return Object.fromEntries(entries) as Record<ConfigOption, ConfigValue>;
}

function refused(reason: string): ConfigResult {
  return { ok: false, reason };
}
