/**
 * The arguments of QEMU's that bootshare writes into a domain, because libvirt has no element for them, and reading them
 * back (`<qemu:commandline>`: https://libvirt.org/drvqemu.html#pass-through-of-arbitrary-qemu-commands).
 */

export const QEMU_NAMESPACE = "http://libvirt.org/schemas/domain/qemu/1.0";

/** Everything of ARM's virt below 4 GiB. QEMU joins it with the `-machine` that libvirt writes. */
export const HIGHMEM_OFF: readonly [string, string] = ["-machine", "highmem=off"];
/** virtio-mmio as virtio 1.0 has it, which virtiofs needs; QEMU's default is the legacy kind. */
export const MODERN_MMIO: readonly [string, string] = ["-global", "virtio-mmio.force-legacy=false"];

/** What the arguments say. */
export interface QemuArgs {
  readonly highmem: boolean;
  readonly modernMmio: boolean;
}

/** Reads the arguments, in order: as for QEMU, what is said last counts. */
export function readQemuArgs(args: readonly string[]): QemuArgs {
  let highmem = true;
  let modernMmio = false;
  for (const [option, value] of pairs(args)) {
    for (const [key, setting] of settingsIn(option, value)) {
      if (key === "highmem") highmem = setting;
      else modernMmio = !setting;
    }
  }
  return { highmem, modernMmio };
}

/** The same arguments, less what {@link readQemuArgs} reads, and with it again where it is wanted. */
export function withQemuArgs(args: readonly string[], wanted: QemuArgs): string[] {
  const kept: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const option = args[i] ?? "";
    const value = args[i + 1];
    if (value === undefined || settingsIn(option, value).length === 0) {
      kept.push(option);
      continue;
    }
    i++;
    const others = value.split(",").filter((part) => settingsIn(option, part).length === 0);
    if (others.length > 0) kept.push(option, others.join(","));
  }
  return [...kept, ...(wanted.highmem ? [] : HIGHMEM_OFF), ...(wanted.modernMmio ? MODERN_MMIO : [])];
}

function pairs(args: readonly string[]): [string, string][] {
  return args.slice(0, -1).map((option, i): [string, string] => [option, args[i + 1] ?? ""]);
}

/** The settings that are ours in one option's value. QEMU takes on, yes, true, y for a switch, and their opposites. */
function settingsIn(option: string, value: string): ["highmem" | "force-legacy", boolean][] {
  const machine = /^--?(machine|M)$/.test(option);
  if (!machine && !/^--?global$/.test(option)) return [];
  const found: ["highmem" | "force-legacy", boolean][] = [];
  for (const part of value.split(",")) {
    const [key, text] = part.split("=", 2);
    if (text === undefined || !/^(on|off|yes|no|true|false|y|n)$/.test(text)) continue;
    const setting = /^(on|yes|true|y)$/.test(text);
    if (machine && key === "highmem") found.push(["highmem", setting]);
    if (!machine && key === "virtio-mmio.force-legacy") found.push(["force-legacy", setting]);
  }
  return found;
}
