/**
 * Reads what bootshare needs from a domain's XML. The hook, which runs as root, uses it too, so it imports little, and
 * what it reads is judged: a member of the group libvirt can define any domain with any text in it.
 */
import {
  DOMParser,
  type Document,
  type Node as DomNode,
  type Element,
  onWarningStopParsing,
} from "@xmldom/xmldom";
import { messageOf, UserError } from "../errors.ts";
import { DEBIAN_ARCHES, type DebianArch, isDebianArch, libvirtArch } from "../kernel/arch.ts";
import type { Bus } from "../kernel/features.ts";
import { METADATA_NAMESPACE, SHARE_TAG, UUID_PATTERN } from "../paths.ts";
import type { Transport } from "../share/transport.ts";
import { printable } from "../text.ts";
import { QEMU_NAMESPACE, readQemuArgs } from "./qemu-args.ts";

/** Our element in a domain's metadata. The file names of a guest are never in it. */
export interface GuestMetadata {
  /** The guest that the domain was made as. Another UUID than the domain's own marks a copy. */
  readonly uuid: string;
  readonly schema: number;
  /** Of the programs in the guest. */
  readonly arch?: DebianArch;
  /** Of its kernels, where it is another. */
  readonly kernelArch?: DebianArch;
  /** Debian's code name of the release. A short word, but not known to be one of Debian's. */
  readonly suite?: string;
  readonly transport?: Transport;
  readonly role?: string;
}

export interface NetworkFacts {
  readonly kind: "user" | "network" | "bridge" | "other";
  /** Of the network or the bridge. Not trusted. */
  readonly name?: string;
  /** Lower case. */
  readonly mac?: string;
}

/** What a domain's XML says. Strings are as they stand there: show them through `printable()` only. */
export interface DomainFacts {
  readonly uuid: string;
  readonly name: string;
  /** The XML has no metadata of bootshare's: not a guest, leave it alone. */
  readonly foreign: boolean;
  readonly metadata: GuestMetadata | undefined;
  /**
   * The UUID in the metadata where it is not the domain's: virt-clone, or a person, copied the guest's definition, and
   * its disk, share and kernel are still the other guest's.
   */
  readonly copyOf: string | undefined;
  /**
   * The architecture of the machine, and so of the kernels that it runs. libvirt has one name for armhf and armel, so the
   * metadata decides where it agrees with `<type arch='…'>`. Reading it throws `ARCH_UNKNOWN` for a (foreign) domain of an architecture that Debian has not.
   */
  readonly arch: DebianArch;
  /** The architecture of the programs in the guest, as the metadata has it; that of the machine where it says nothing. */
  readonly userland: DebianArch | undefined;
  /** Whether KVM or emulation; anything else libvirt can run is "other". */
  readonly accel: "kvm" | "tcg" | "other";
  /** The machine type, for example `pc-q35-7.2`. */
  readonly machine: string | undefined;
  readonly kernel: string | undefined;
  readonly initrd: string | undefined;
  readonly cmdline: string | undefined;
  /** libvirt's default, "restart", where the XML says nothing. */
  readonly onReboot: string;
  /** Of the file system with our tag; undefined where there is none. */
  readonly transport: Transport | undefined;
  /** Where that file system's folder is on the host. */
  readonly shareDir: string | undefined;
  /** How the first disk is attached; undefined for no disk, or one that is not virtio. */
  readonly diskBus: "virtio-pci" | "virtio-mmio" | "virtio-ccw" | undefined;
  /** What the first disk, our file system, the first network interface and the channels are on, as far as it is virtio. */
  readonly bus: Bus | "mixed" | undefined;
  /** false: ARM's virt is laid out below 4 GiB (`-machine highmem=off`). */
  readonly highmem: boolean;
  /** virtio-mmio devices are not of the legacy kind (`-global virtio-mmio.force-legacy=false`). */
  readonly modernMmio: boolean;
  /** The first network interface. */
  readonly network: NetworkFacts | undefined;
  readonly memoryMiB: number;
  readonly cpus: number;
}

/** Longest XML that is read, in characters. libvirt's of a big domain is some tens of thousands. */
const MAX_XML = 1024 * 1024;
/** Deepest nesting. libvirt's own is below 12; libxml2 refuses more than 256. */
const MAX_DEPTH = 64;

/**
 * Parses XML as libvirt writes it into a document: no document type, so no entities but XML's five.
 *
 * @throws {UserError} `DOMAIN_XML_INVALID`
 */
export function parseXml(xml: string): Document {
  if (xml.length > MAX_XML) throw invalid(`it is longer than ${MAX_XML} characters`);
  // libvirt drops the document type and its entities, and never writes one.
  if (/<!(DOCTYPE|ENTITY|ELEMENT|ATTLIST|NOTATION)/i.test(xml))
    throw invalid("it has a document type declaration");
  if (depthOf(xml) > MAX_DEPTH) throw invalid(`its elements are nested more than ${MAX_DEPTH} deep`);
  try {
    // XML 1.0 line ends: xmldom's default takes U+0085 and U+2028 for line ends too, which would change text.
    const normalizeLineEndings = (text: string): string => text.replace(/\r\n?/g, "\n");
    return new DOMParser({
      onError: onWarningStopParsing,
      locator: false,
      normalizeLineEndings,
    }).parseFromString(xml, "text/xml");
  } catch (error) {
    throw invalid(printable(messageOf(error).split("\n")[0] ?? "", 160));
  }
}

/** The greatest number of tags open at once, or more: found before parsing, for the parser recurses and keeps a stack. */
function depthOf(xml: string): number {
  let depth = 0;
  let deepest = 0;
  for (const [tag] of xml.matchAll(/<[^<>]*>/g)) {
    if (tag.startsWith("</")) depth--;
    else if (!/^<[?!]|\/>$/.test(tag)) depth++;
    if (depth > deepest) deepest = depth;
  }
  return deepest;
}

/**
 * Reads a domain's XML (`virsh dumpxml`, or a hook's standard input).
 *
 * @param xml not trusted
 * @throws {UserError} `DOMAIN_XML_INVALID`, `METADATA_INVALID`, `ARCH_UNKNOWN`
 */
export function parseDomain(xml: string): DomainFacts {
  const root = parseXml(xml).documentElement;
  if (root === null || root.nodeName !== "domain") throw invalid("its root element is not <domain>");
  const uuid = textOf(root, "uuid")?.trim().toLowerCase() ?? "";
  if (!UUID_PATTERN.test(uuid)) throw invalid("its <uuid> is not a UUID");
  const name = textOf(root, "name");
  if (name === undefined || name === "") throw invalid("it has no <name>");

  const guest = childrenOf(childOf(root, "metadata")).find(
    (child) => child.namespaceURI === METADATA_NAMESPACE && child.localName === "guest",
  );
  const metadata = guest === undefined ? undefined : parseMetadata(guest, name);
  const os = childOf(root, "os");
  const devices = childOf(root, "devices");
  const share = childrenOf(devices, "filesystem").find(
    (fs) => attribute(childOf(fs, "target"), "dir") === SHARE_TAG,
  );
  const type = childOf(os, "type");
  const arch = archOf(attribute(type, "arch") ?? "", metadata);
  if (arch === undefined && metadata !== undefined) throw archUnknown(name);
  return {
    uuid,
    name,
    foreign: metadata === undefined,
    metadata,
    copyOf: metadata === undefined || metadata.uuid === uuid ? undefined : metadata.uuid,
    get arch() {
      if (arch === undefined) throw archUnknown(name);
      return arch;
    },
    userland: metadata?.arch ?? arch,
    accel: accelOf(attribute(root, "type")),
    machine: attribute(type, "machine"),
    kernel: textOf(os, "kernel"),
    initrd: textOf(os, "initrd"),
    cmdline: textOf(os, "cmdline"),
    onReboot: textOf(root, "on_reboot")?.trim() ?? "restart",
    transport: share === undefined ? undefined : transportOf(share),
    shareDir: attribute(childOf(share, "source"), "dir"),
    diskBus: diskBusOf(devices, arch),
    bus: busOf(devices, share, arch),
    ...readQemuArgs(qemuArgsOf(root)),
    network: networkOf(childOf(devices, "interface")),
    memoryMiB: memoryOf(childOf(root, "memory")),
    cpus: Number.parseInt(textOf(root, "vcpu") ?? "1", 10) || 1,
  };
}

function parseMetadata(guest: Element, name: string): GuestMetadata {
  const uuid = attribute(guest, "uuid") ?? "";
  if (!UUID_PATTERN.test(uuid)) throw badMetadata(name, "does not name a UUID");
  const schema = attribute(guest, "schema") ?? "";
  if (!/^[1-9][0-9]{0,5}$/.test(schema)) throw badMetadata(name, "has no schema number");
  if (schema !== "1") throw badMetadata(name, `is of schema ${schema}, which a later bootshare wrote`);
  const word = (localName: string): string | undefined => {
    const child = childrenOf(guest).find(
      (e) => e.namespaceURI === METADATA_NAMESPACE && e.localName === localName,
    );
    const text = child?.textContent?.trim();
    if (text === undefined) return undefined;
    if (!/^[a-z0-9][a-z0-9.+_-]{0,63}$/i.test(text))
      throw badMetadata(name, `holds no plain word as ${localName}`);
    return text;
  };
  const [arch, suite, transport, role] = [word("arch"), word("suite"), word("transport"), word("role")];
  const kernelArch = word("kernel-arch");
  if (!isArchOrNone(arch) || !isArchOrNone(kernelArch))
    throw badMetadata(name, "names an architecture that Debian has not");
  if (transport !== undefined && !isTransport(transport))
    throw badMetadata(name, "names a transport that is unknown");
  return {
    uuid,
    schema: 1,
    ...(arch === undefined ? {} : { arch }),
    ...(kernelArch === undefined ? {} : { kernelArch }),
    ...(suite === undefined ? {} : { suite }),
    ...(transport === undefined ? {} : { transport }),
    ...(role === undefined ? {} : { role }),
  };
}

function isArchOrNone(text: string | undefined): text is DebianArch | undefined {
  return text === undefined || isDebianArch(text);
}

function isTransport(text: string): text is Transport {
  return text === "9p" || text === "virtiofs";
}

function archOf(name: string, metadata: GuestMetadata | undefined): DebianArch | undefined {
  for (const said of [metadata?.kernelArch, metadata?.arch]) {
    if (said !== undefined && libvirtArch(said) === name) return said;
  }
  return DEBIAN_ARCHES.find((arch) => libvirtArch(arch) === name);
}

function accelOf(type: string | undefined): DomainFacts["accel"] {
  if (type === "kvm") return "kvm";
  return type === "qemu" ? "tcg" : "other";
}

function transportOf(filesystem: Element): Transport | undefined {
  const driver = attribute(childOf(filesystem, "driver"), "type") ?? "path";
  if (driver === "virtiofs") return "virtiofs";
  return driver === "path" || driver === "handle" ? "9p" : undefined;
}

function diskBusOf(devices: Element | undefined, arch: DebianArch | undefined): DomainFacts["diskBus"] {
  const disk = firstDisk(devices);
  if (disk === undefined || attribute(childOf(disk, "target"), "bus") !== "virtio") return undefined;
  const bus = deviceBus(disk, arch);
  return bus === undefined ? undefined : `virtio-${bus}`;
}

function firstDisk(devices: Element | undefined): Element | undefined {
  return childrenOf(devices, "disk").find((d) => (attribute(d, "device") ?? "disk") === "disk");
}

/**
 * What a virtio device is on. libvirt writes the address when it defines the domain; before that, this is what the device
 * will get: channel I/O on s390x, PCI on the machines of all others here.
 */
function deviceBus(device: Element, arch: DebianArch | undefined): Bus | undefined {
  const type = attribute(childOf(device, "address"), "type") ?? (arch === "s390x" ? "ccw" : "pci");
  if (type === "pci" || type === "ccw") return type;
  return type === "virtio-mmio" ? "mmio" : undefined;
}

function busOf(
  devices: Element | undefined,
  share: Element | undefined,
  arch: DebianArch | undefined,
): DomainFacts["bus"] {
  const disk = firstDisk(devices);
  const card = childOf(devices, "interface");
  const virtio = [
    attribute(childOf(disk, "target"), "bus") === "virtio" ? disk : undefined,
    share,
    attribute(childOf(card, "model"), "type")?.startsWith("virtio") === true ? card : undefined,
    ...childrenOf(devices, "controller").filter((one) => attribute(one, "type") === "virtio-serial"),
  ];
  const buses = new Set<Bus>();
  for (const device of virtio) {
    const bus = device === undefined ? undefined : deviceBus(device, arch);
    if (bus !== undefined) buses.add(bus);
  }
  const [first, ...others] = buses;
  return others.length === 0 ? first : "mixed";
}

/** The arguments in `<qemu:commandline>`, whatever prefix stands for its namespace. */
function qemuArgsOf(root: Element): string[] {
  const lines = childrenOf(root).filter(
    (e) => e.namespaceURI === QEMU_NAMESPACE && e.localName === "commandline",
  );
  return lines
    .flatMap((line) => childrenOf(line))
    .filter((e) => e.namespaceURI === QEMU_NAMESPACE && e.localName === "arg")
    .map((e) => attribute(e, "value") ?? "");
}

function networkOf(card: Element | undefined): NetworkFacts | undefined {
  if (card === undefined) return undefined;
  const type = attribute(card, "type");
  const kind = type === "user" || type === "network" || type === "bridge" ? type : "other";
  const name = attribute(childOf(card, "source"), kind);
  const mac = attribute(childOf(card, "mac"), "address")?.toLowerCase();
  return { kind, ...(name === undefined ? {} : { name }), ...(mac === undefined ? {} : { mac }) };
}

/** libvirt's units of memory, in bytes: https://libvirt.org/formatdomain.html#memory-allocation */
const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  bytes: 1,
  KB: 1e3,
  k: 2 ** 10,
  KiB: 2 ** 10,
  MB: 1e6,
  M: 2 ** 20,
  MiB: 2 ** 20,
  GB: 1e9,
  G: 2 ** 30,
  GiB: 2 ** 30,
  TB: 1e12,
  T: 2 ** 40,
  TiB: 2 ** 40,
};

/** MiB, rounded down; 0 where the XML does not say. */
function memoryOf(memory: Element | undefined): number {
  const unit = Object.hasOwn(UNITS, attribute(memory, "unit") ?? "KiB")
    ? UNITS[attribute(memory, "unit") ?? "KiB"]
    : 0;
  const amount = Number(memory?.textContent ?? 0) * (unit ?? 0);
  return Number.isFinite(amount) && amount > 0 ? Math.floor(amount / 2 ** 20) : 0;
}

/** The child elements, or those of a name in no namespace. */
export function childrenOf(parent: Element | undefined, name?: string): Element[] {
  const found: Element[] = [];
  for (let node = parent?.firstChild ?? null; node !== null; node = node.nextSibling) {
    if (isElement(node) && (name === undefined || node.nodeName === name)) found.push(node);
  }
  return found;
}

/** The first child element of a name. */
export function childOf(parent: Element | undefined, name: string): Element | undefined {
  return childrenOf(parent, name)[0];
}

function isElement(node: DomNode): node is Element {
  return node.nodeType === 1;
}

/** The text of the first child element of a name. */
function textOf(parent: Element | undefined, name: string): string | undefined {
  return childOf(parent, name)?.textContent ?? undefined;
}

/** An attribute's value; undefined where there is none. */
export function attribute(element: Element | undefined, name: string): string | undefined {
  return element?.getAttribute(name) ?? undefined;
}

function invalid(why: string): UserError {
  return new UserError("DOMAIN_XML_INVALID", `The domain's XML cannot be read: ${why}.`, {
    hint: "Look at it with 'virsh dumpxml'.",
  });
}

function badMetadata(name: string, why: string): UserError {
  return new UserError(
    "METADATA_INVALID",
    `The bootshare metadata of the domain ${printable(name)} ${why}.`,
    {
      hint: "Look at it with 'virsh dumpxml'; 'virsh edit' can change or remove the element.",
    },
  );
}

function archUnknown(name: string): UserError {
  return new UserError(
    "ARCH_UNKNOWN",
    `The domain ${printable(name)} is of an architecture that Debian has not.`,
  );
}
