/**
 * The definition of a new guest's domain. A pure function of the spec; golden files in test/golden/ show what comes out.
 * Source: https://libvirt.org/formatdomain.html, held against libvirt 9.0.
 */
import { EXIT, UserError } from "../errors.ts";
import type { Cpu, MachineShape } from "../machine/shape.ts";
import { METADATA_NAMESPACE, REPORT_PORT, SHARE_TAG, UUID_PATTERN } from "../paths.ts";
import type { Transport } from "../share/transport.ts";
import { printable } from "../text.ts";
import { HIGHMEM_OFF, MODERN_MMIO, QEMU_NAMESPACE } from "./qemu-args.ts";
import { element, printXml, type XmlElement } from "./xml.ts";

export type NetworkSpec =
  /** QEMU's own network stack (slirp): no rights needed, nobody can reach the guest. */
  | { readonly kind: "user" }
  /** One of libvirt's networks. */
  | { readonly kind: "network"; readonly name: string }
  /** A bridge of the host. */
  | { readonly kind: "bridge"; readonly name: string };

/** What a guest's domain is made from. Paths are absolute, and of the host. */
export interface DomainSpec {
  readonly uuid: string;
  readonly name: string;
  readonly description?: string;
  readonly shape: MachineShape;
  readonly memoryMiB: number;
  readonly cpus: number;
  /** Files that the hook writes before each start. */
  readonly kernel: string;
  readonly initrd: string;
  /** The root disk, a qcow2 image. */
  readonly disk: string;
  readonly serialLog: string;
  /** The file behind the report port. */
  readonly report: string;
  /** The folder that is the guest's /boot. */
  readonly share: string;
  readonly transport: Transport;
  /** What the kernel and the initrd find the root file system by: see {@link isRootSpec}. */
  readonly root: string;
  /** Further words of the kernel's command line. */
  readonly cmdlineExtra?: readonly string[];
  /** `52:54:00:…`, lower case. The guest finds its network interface by it. */
  readonly mac: string;
  readonly network: NetworkSpec;
  /** Debian's code name of the release in the guest. */
  readonly suite: string;
  /** What the guest is for, where that is more than being a guest. */
  readonly role?: string;
}

/**
 * The domain's XML.
 *
 * @throws {UserError} `DOMAIN_SPEC_INVALID` for a value that libvirt or the guest's kernel would misread, `TEXT_NOT_XML`,
 *   `MACHINE_TOO_LARGE`
 */
export function domainXml(spec: DomainSpec): string {
  check(spec);
  return printXml(
    domainElement(spec, {
      about: [
        spec.description === undefined ? undefined : element("description", {}, spec.description),
        element("metadata", {}, metadata(spec)),
      ],
      memoryBacking: memoryBacking(spec.transport),
      cmdline: cmdline(spec),
      devices: devices(spec),
    }),
  );
}

/** A machine whose kernel the host boots. */
export interface Machine
  extends Pick<DomainSpec, "name" | "uuid" | "memoryMiB" | "cpus" | "shape" | "kernel" | "initrd"> {
  /** Of a guest: how its /boot is shared. */
  readonly transport?: Transport;
}

export interface MachineParts {
  readonly about?: readonly (XmlElement | undefined)[];
  readonly memoryBacking?: XmlElement | undefined;
  readonly cmdline: string;
  readonly devices: readonly (XmlElement | undefined)[];
}

/** What every domain of ours is, around its devices. */
export function domainElement(
  machine: Machine,
  { about = [], memoryBacking, cmdline, devices }: MachineParts,
): XmlElement {
  const { shape, name, uuid, memoryMiB, cpus, kernel, initrd } = machine;
  const extra = commandLine(machine);
  return element(
    "domain",
    {
      type: shape.accel === "kvm" ? "kvm" : "qemu",
      "xmlns:qemu": extra === undefined ? undefined : QEMU_NAMESPACE,
    },
    element("name", {}, name),
    element("uuid", {}, uuid),
    ...about,
    element("memory", { unit: "MiB" }, String(memoryMiB)),
    memoryBacking,
    element("vcpu", {}, String(cpus)),
    element(
      "os",
      {},
      element("type", { arch: shape.libvirtArch, machine: shape.machine }, "hvm"),
      element("kernel", {}, kernel),
      element("initrd", {}, initrd),
      element("cmdline", {}, cmdline),
    ),
    features(shape),
    cpu(shape.cpu),
    element("clock", { offset: "utc" }, ...shape.timers.map((timer) => element("timer", { ...timer }))),
    // A reset in QEMU would start the old kernel again, which is still in its memory. So the machine goes, and the
    // reconciler starts it with the kernel that the hook chooses then. The same for a crash: nothing is kept of it.
    element("on_poweroff", {}, "destroy"),
    element("on_reboot", {}, "destroy"),
    element("on_crash", {}, "destroy"),
    element("devices", {}, ...devices),
    extra,
  );
}

/**
 * The kernel's command line.
 *
 * - `root=`, a UUID where bootshare made the disk, because interfaces and disks get new names when they move between buses; `ro`
 *   so that the initrd checks the file system before systemd mounts it for writing.
 * - One `console=`: the last one named is /dev/console, and there is only one.
 * - `panic=10`: ten seconds after a panic the kernel resets the machine, which ends the domain, and the reconciler takes
 *   over. initramfs-tools reads it too: it reboots where it would wait for a person in a shell.
 * - `no_timer_check` on an emulated PC: at its beginning the kernel counts ten ticks in a time that it measures by spinning, and
 *   panics where they do not come ("IO-APIC + timer doesn't work!"). Under emulation, on a busy host, they sometimes do not; under
 *   KVM it does not look (Documentation/admin-guide/kernel-parameters.txt; arch/x86/kernel/kvm.c).
 * - `norandmaps` under emulation: QEMU keeps the code that it translated by the address that it runs at, so a program whose addresses
 *   are random is translated anew each time that it starts. Without, a shell script that starts programs takes half the time
 *   (measured with QEMU 7.2, amd64). A guest takes it back by `kernel.randomize_va_space = 2` in its sysctl.d.
 * - No `quiet`: when a boot hangs, the serial log is all there is to see how far it came.
 */
export function cmdline(spec: Pick<DomainSpec, "root" | "shape" | "cmdlineExtra">): string {
  const words = [`root=${spec.root}`, "ro", `console=${spec.shape.console}`, "panic=10"];
  return [...words, ...emulationWords(spec.shape), ...(spec.cmdlineExtra ?? [])].join(" ");
}

/** Of these, what is there because the machine is emulated. */
export function emulationWords({ kernelArch, accel }: MachineShape): string[] {
  if (accel !== "tcg") return [];
  return kernelArch === "amd64" || kernelArch === "i386" ? ["norandmaps", "no_timer_check"] : ["norandmaps"];
}

/** Longest name of a root file system that is taken, in characters. */
const MAX_ROOT_SPEC = 200;

/**
 * Whether a text names a root file system as fstab(5) does, and as initramfs-tools takes it after `root=`: by UUID, label or
 * device. It may come from a guest, and ends up in its kernel's command line: nothing that could be another word of that.
 */
export function isRootSpec(text: string): boolean {
  if (text.length > MAX_ROOT_SPEC) return false;
  return /^(?:(?:UUID|LABEL|PARTUUID|PARTLABEL)=[A-Za-z0-9_.:+-]+|\/dev(?:\/[A-Za-z0-9_:+=-][A-Za-z0-9_.:+=-]*)+)$/.test(
    text,
  );
}

/** Who the guest is. No paths: a member of the group libvirt may change this, and a hook that runs as root reads it. */
function metadata({ uuid, transport, shape, suite, role }: DomainSpec): XmlElement {
  return element(
    "bootshare:guest",
    { "xmlns:bootshare": METADATA_NAMESPACE, uuid, schema: "1" },
    element("bootshare:transport", {}, transport),
    element("bootshare:arch", {}, shape.arch),
    shape.kernelArch === shape.arch ? undefined : element("bootshare:kernel-arch", {}, shape.kernelArch),
    element("bootshare:suite", {}, suite),
    role === undefined ? undefined : element("bootshare:role", {}, role),
  );
}

/** virtiofsd is another process and works on the guest's memory: it must be shareable. */
function memoryBacking(transport: Transport): XmlElement | undefined {
  if (transport !== "virtiofs") return undefined;
  return element(
    "memoryBacking",
    {},
    element("source", { type: "memfd" }),
    element("access", { mode: "shared" }),
  );
}

function features({ features: names, gic }: MachineShape): XmlElement | undefined {
  if (names.length === 0 && gic === undefined) return undefined;
  return element(
    "features",
    {},
    ...names.map((name) => element(name)),
    gic === undefined ? undefined : element("gic", { version: String(gic) }),
  );
}

/**
 * What libvirt has no element for. libvirt marks a domain with such arguments as tainted (`custom-argv`), which changes
 * nothing else.
 */
function qemuArgs({
  shape,
  transport,
}: Pick<DomainSpec, "shape"> & { readonly transport?: Transport }): readonly string[] {
  return [
    ...(shape.highmem ? [] : HIGHMEM_OFF),
    ...(shape.bus === "mmio" && transport === "virtiofs" ? MODERN_MMIO : []),
  ];
}

function commandLine(spec: Parameters<typeof qemuArgs>[0]): XmlElement | undefined {
  const args = qemuArgs(spec);
  if (args.length === 0) return undefined;
  return element("qemu:commandline", {}, ...args.map((value) => element("qemu:arg", { value })));
}

function cpu(wanted: Cpu): XmlElement | undefined {
  if (wanted.mode === "default") return undefined;
  if (wanted.mode !== "custom") return element("cpu", { mode: wanted.mode });
  return element("cpu", { mode: "custom", match: "exact" }, element("model", {}, wanted.model));
}

/**
 * Where a virtio device is. On PCI and channel I/O libvirt chooses the addresses; virtio-mmio must be said at each device,
 * since it takes PCI where the machine has it.
 */
export function address({ shape }: Pick<DomainSpec, "shape">): XmlElement | undefined {
  return shape.bus === "mmio" ? element("address", { type: "virtio-mmio" }) : undefined;
}

function devices(spec: DomainSpec): XmlElement[] {
  const all: (XmlElement | undefined)[] = [
    element("emulator", {}, spec.shape.emulator),
    element(
      "disk",
      { type: "file", device: "disk" },
      // The cache mode is left to QEMU: its default (writeback) honours the guest's flushes and works on every file
      // system. Blocks that the guest's fstrim discards, or fills with zeroes, are given back to the host.
      element("driver", { name: "qemu", type: "qcow2", discard: "unmap", detect_zeroes: "unmap" }),
      element("source", { file: spec.disk }),
      element("target", { dev: "vda", bus: "virtio" }),
      address(spec),
    ),
    // Without this libvirt adds a USB controller, on PCI. s390x has none.
    spec.shape.bus === "ccw" ? undefined : element("controller", { type: "usb", model: "none" }),
    // The channels' bus. libvirt adds it by itself, but not where it would have to be.
    spec.shape.bus === "mmio"
      ? element("controller", { type: "virtio-serial", index: "0" }, address(spec))
      : undefined,
    filesystem(spec),
    networkInterface(spec),
    element(
      "serial",
      { type: "pty" },
      // Written by virtlogd, which keeps it from growing without end.
      element("log", { file: spec.serialLog, append: "on" }),
      element("target", { port: "0" }),
    ),
    element("console", { type: "pty" }, element("target", { type: "serial", port: "0" })),
    // A file, because a pty that nobody reads can block the writer in the guest.
    element(
      "channel",
      { type: "file" },
      element("source", { path: spec.report, append: "on" }),
      element("target", { type: "virtio", name: REPORT_PORT }),
    ),
    element(
      "channel",
      { type: "unix" },
      element("target", { type: "virtio", name: "org.qemu.guest_agent.0" }),
    ),
    watchdog(spec.shape),
    // Memory that the guest has freed goes back to the host by itself; nobody inflates the balloon.
    element("memballoon", { model: "virtio", freePageReporting: "on" }, address(spec)),
    element(
      "rng",
      { model: "virtio" },
      element("backend", { model: "random" }, "/dev/urandom"),
      address(spec),
    ),
  ];
  return all.filter((one) => one !== undefined);
}

/**
 * systemd in the guest feeds it (in-guest/etc/systemd/system.conf.d/bootshare.conf); when the guest hangs, the machine is
 * reset, which ends the domain like any reset. i6300esb is a device of conventional PCI: with a place on the machine's own
 * bus libvirt adds no bridges for it.
 */
function watchdog({ watchdog: model }: MachineShape): XmlElement | undefined {
  if (model === undefined) return undefined;
  const place = { type: "pci", domain: "0x0000", bus: "0x00", slot: "0x10", function: "0x0" };
  return element(
    "watchdog",
    { model, action: "reset" },
    model === "i6300esb" ? element("address", place) : undefined,
  );
}

/**
 * 9p in mapped mode, because with accessmode none dpkg fails (Debian bug 864718): owners and modes are in extended
 * attributes, and links are plain files. virtiofs has only passthrough; libvirt finds virtiofsd by itself.
 */
function filesystem(spec: DomainSpec): XmlElement {
  const { transport, share } = spec;
  const places = [element("source", { dir: share }), element("target", { dir: SHARE_TAG }), address(spec)];
  return transport === "9p"
    ? element("filesystem", { type: "mount", accessmode: "mapped" }, ...places)
    : element(
        "filesystem",
        { type: "mount", accessmode: "passthrough" },
        element("driver", { type: "virtiofs" }),
        ...places,
      );
}

export function networkInterface(spec: Pick<DomainSpec, "network" | "mac" | "shape">): XmlElement {
  const { network, mac, shape } = spec;
  const source = network.kind === "user" ? undefined : element("source", { [network.kind]: network.name });
  return element(
    "interface",
    { type: network.kind },
    element("mac", { address: mac }),
    source,
    element("model", { type: "virtio" }),
    // Nothing boots from the network, and the ROM that could is in a package of its own (ipxe-qemu). PCI alone has ROMs.
    shape.bus === "pci" ? element("rom", { enabled: "no" }) : undefined,
    address(spec),
  );
}

function check(spec: DomainSpec): void {
  const { uuid, root, mac, memoryMiB, cpus } = spec;
  if (!UUID_PATTERN.test(uuid)) throw invalid("UUID", uuid);
  // libvirt refuses a slash; a line break would break every list of domains.
  if (!/^[^/\p{C}\p{Zl}\p{Zp}]{1,200}$/u.test(spec.name) || spec.name.trim() !== spec.name)
    throw invalid("name", spec.name);
  if (!isRootSpec(root)) throw invalid("root file system", root);
  if (!/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/.test(mac)) throw invalid("MAC address", mac);
  if (!Number.isInteger(memoryMiB) || memoryMiB < 64) throw invalid("memory in MiB", String(memoryMiB));
  if (!Number.isInteger(cpus) || cpus < 1) throw invalid("number of processors", String(cpus));
  checkMachineSize(spec.shape, cpus, memoryMiB);
  for (const word of spec.cmdlineExtra ?? []) {
    if (!/^[\x21-\x7e]+$/.test(word)) throw invalid("word of the kernel's command line", word);
  }
  const { kernel, initrd, disk, serialLog, report, share } = spec;
  for (const path of [kernel, initrd, disk, serialLog, report, share]) {
    if (!/^\/[^\p{Cc}]+$/u.test(path)) throw invalid("absolute path", path);
  }
}

/** @throws {UserError} `MACHINE_TOO_LARGE` */
export function checkMachineSize(shape: MachineShape, cpus: number, memoryMiB: number): void {
  const { maxCpus, maxMemoryMiB, kernelArch } = shape;
  if (maxCpus !== undefined && cpus > maxCpus) {
    throw tooMuch(`${cpus} processors`, `${maxCpus} processors`, kernelArch);
  }
  if (maxMemoryMiB !== undefined && memoryMiB > maxMemoryMiB) {
    throw tooMuch(`${memoryMiB} MiB of memory`, `${maxMemoryMiB} MiB`, kernelArch);
  }
}

function invalid(what: string, value: string): UserError {
  return new UserError("DOMAIN_SPEC_INVALID", `"${printable(value)}" cannot be a guest's ${what}.`, {
    hint: "Choose another value.",
  });
}

function tooMuch(asked: string, limit: string, kernelArch: string): UserError {
  return new UserError(
    "MACHINE_TOO_LARGE",
    `A machine for this ${kernelArch} kernel has at most ${limit}, not ${asked}.`,
    { exitCode: EXIT.usage, hint: "Choose less; docs/architectures.md says where the limit comes from." },
  );
}
