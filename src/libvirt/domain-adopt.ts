/**
 * Taking over a domain that somebody else made: what its XML says that matters for it, and what becomes of that XML. Pure.
 * What bootshare does not need to change stays: disks, network, machine, names, and every element that it does not know.
 */
import type { Document, Element } from "@xmldom/xmldom";
import type { DebianArch } from "../kernel/arch.ts";
import { METADATA_NAMESPACE, REPORT_PORT, SHARE_TAG } from "../paths.ts";
import type { Transport } from "../share/transport.ts";
import { attribute, childOf, childrenOf, parseXml } from "./domain-parse.ts";
import { addSerialBus, edit, remove, setText } from "./domain-update.ts";

/** What a domain's XML says beside what `parseDomain` reads. Strings are not trusted. */
export interface AdoptionFacts {
  /** `<domain type='…'>`. */
  readonly type: string | undefined;
  /** Tags of all its shared folders. */
  readonly tags: readonly string[];
  /** Of the one with our tag: `mapped`, `passthrough` (libvirt's default), `squash`; `readonly`. */
  readonly accessMode: string | undefined;
  readonly readOnly: boolean;
  /** Files and block devices of the disks that it can write to and nobody else may, as the XML names them. */
  readonly disks: readonly string[];
  /** Its first serial port is a PTY, whose output libvirt can also write into a file. */
  readonly serialPty: boolean;
}

/** @param xml not trusted @throws {UserError} `DOMAIN_XML_INVALID` */
export function adoptionFacts(xml: string): AdoptionFacts {
  const domain = parseXml(xml).documentElement ?? undefined;
  const devices = childOf(domain, "devices");
  const shares = childrenOf(devices, "filesystem");
  const tagOf = (share: Element): string => attribute(childOf(share, "target"), "dir") ?? "";
  const share = shares.find((one) => tagOf(one) === SHARE_TAG);
  return {
    type: attribute(domain, "type"),
    tags: shares.map(tagOf),
    accessMode: share === undefined ? undefined : (attribute(share, "accessmode") ?? "passthrough"),
    readOnly: childOf(share, "readonly") !== undefined,
    disks: childrenOf(devices, "disk").flatMap((disk) => {
      if (childOf(disk, "readonly") !== undefined || childOf(disk, "shareable") !== undefined) return [];
      const source = childOf(disk, "source");
      const path = attribute(source, "file") ?? attribute(source, "dev");
      return path === undefined ? [] : [path];
    }),
    serialPty: attribute(childOf(devices, "serial"), "type") === "pty",
  };
}

/** What an adopted domain is given. Paths are absolute, and of the host. */
export interface Adoption {
  readonly uuid: string;
  readonly transport: Transport;
  /** Of its kernels. */
  readonly arch: DebianArch;
  readonly kernel: string;
  readonly initrd: string;
  readonly share: string;
  readonly report: string;
  readonly serialLog: string;
}

/** Seconds after which a kernel that panicked resets the machine: domain-create.ts says why. */
const PANIC = "panic=10";

/**
 * The XML of a domain that becomes a guest.
 *
 * @param xml of a domain that is off and was found fit, as `virsh dumpxml --inactive` prints it
 * @throws {UserError} `DOMAIN_XML_INVALID`
 */
export function adoptXml(xml: string, adoption: Adoption): string {
  return edit(xml, (domain, document) => {
    setMetadata(document, domain, adoption);
    const os = childOf(domain, "os") ?? put(document, domain, "os");
    setText(document, os, "kernel", adoption.kernel);
    // A domain of somebody's that booted without an initrd gets one, as every kernel of Debian's needs it.
    if (childOf(os, "initrd") === undefined) put(document, os, "initrd", childOf(os, "kernel"));
    setText(document, os, "initrd", adoption.initrd);
    setPanic(document, os);
    for (const name of ["on_reboot", "on_crash"]) {
      if (childOf(domain, name) === undefined) put(document, domain, name);
      setText(document, domain, name, "destroy");
    }
    const devices = childOf(domain, "devices") ?? put(document, domain, "devices");
    for (const share of childrenOf(devices, "filesystem")) {
      if (attribute(childOf(share, "target"), "dir") === SHARE_TAG)
        childOf(share, "source")?.setAttribute("dir", adoption.share);
    }
    logSerial(document, devices, adoption.serialLog);
    addReport(document, devices, adoption.report);
  });
}

function setMetadata(document: Document, domain: Element, { uuid, transport, arch }: Adoption): void {
  const before = childrenOf(domain).findLast((one) =>
    ["name", "uuid", "genid", "title", "description"].includes(one.nodeName),
  );
  const metadata = childOf(domain, "metadata") ?? put(document, domain, "metadata", before);
  // That of the guest that it is a copy of.
  for (const old of childrenOf(metadata)) if (old.namespaceURI === METADATA_NAMESPACE) remove(old);
  const guest = document.createElementNS(METADATA_NAMESPACE, "bootshare:guest");
  guest.setAttribute("uuid", uuid);
  guest.setAttribute("schema", "1");
  place(document, metadata, guest);
  for (const [name, text] of [
    ["transport", transport],
    ["arch", arch],
  ] as const) {
    const word = document.createElementNS(METADATA_NAMESPACE, `bootshare:${name}`);
    word.textContent = text;
    place(document, guest, word);
  }
}

/** What the domain's owner says of panics stays. */
function setPanic(document: Document, os: Element): void {
  const old = childOf(os, "cmdline")?.textContent ?? "";
  if (/(^|\s)panic=/.test(old)) return;
  if (childOf(os, "cmdline") === undefined) put(document, os, "cmdline", childOf(os, "initrd"));
  setText(document, os, "cmdline", `${old} ${PANIC}`.trim());
}

/** libvirt shows a console that is the first serial port as a device of its own, with the same log. */
function logSerial(document: Document, devices: Element, file: string): void {
  const serial = childOf(devices, "serial");
  if (attribute(serial, "type") !== "pty") return;
  const console = childrenOf(devices, "console").find(
    (one) =>
      attribute(one, "type") === "pty" &&
      (attribute(childOf(one, "target"), "type") ?? "serial") === "serial",
  );
  for (const device of [serial, console]) {
    if (device === undefined) continue;
    const log = childOf(device, "log") ?? put(document, device, "log", childOf(device, "source"));
    log.setAttribute("file", file);
    log.setAttribute("append", "on");
  }
}

function addReport(document: Document, devices: Element, file: string): void {
  const there = childrenOf(devices, "channel").find(
    (one) => attribute(childOf(one, "target"), "name") === REPORT_PORT,
  );
  if (there !== undefined) {
    childOf(there, "source")?.setAttribute("path", file);
    return;
  }
  const last = childrenOf(devices).findLast((one) =>
    ["channel", "console", "serial", "filesystem", "disk"].includes(one.nodeName),
  );
  const channel = put(document, devices, "channel", last);
  channel.setAttribute("type", "file");
  const source = put(document, channel, "source");
  source.setAttribute("path", file);
  source.setAttribute("append", "on");
  const target = put(document, channel, "target");
  target.setAttribute("type", "virtio");
  target.setAttribute("name", REPORT_PORT);
  if (!onMmio(devices)) return;
  // libvirt would put their controller on PCI, which such a machine's kernel may not see.
  addSerialBus(document, devices);
  const bus = childrenOf(devices, "controller").find((one) => attribute(one, "type") === "virtio-serial");
  if (bus !== undefined && childOf(bus, "address") === undefined)
    put(document, bus, "address").setAttribute("type", "virtio-mmio");
}

/** The share is on virtio-mmio: then so are the others that matter. */
function onMmio(devices: Element): boolean {
  return childrenOf(devices, "filesystem").some(
    (one) =>
      attribute(childOf(one, "target"), "dir") === SHARE_TAG &&
      attribute(childOf(one, "address"), "type") === "virtio-mmio",
  );
}

/** Makes an element without a namespace. @param after the child that it follows; the last place where there is none */
function put(document: Document, parent: Element, name: string, after?: Element): Element {
  const made = document.createElement(name);
  place(document, parent, made, after);
  return made;
}

/** Puts an element on a line of its own, indented as libvirt indents, so that a diff shows it as one. */
function place(document: Document, parent: Element, child: Element, after?: Element): void {
  let depth = 0;
  for (let up = parent.parentNode; up !== null && up.nodeType === 1; up = up.parentNode) depth++;
  const indent = (levels: number): string => `\n${"  ".repeat(levels)}`;
  const space = document.createTextNode(indent(depth + 1));
  if (after !== undefined) {
    parent.insertBefore(space, after.nextSibling);
    parent.insertBefore(child, space.nextSibling);
    return;
  }
  // The line break before the parent's end tag stays the last thing in it.
  const end = parent.lastChild;
  const isBreak = end !== null && end.nodeType === 3 && (end.nodeValue ?? "").trim() === "";
  if (isBreak) {
    parent.insertBefore(space, end);
    parent.insertBefore(child, end);
    return;
  }
  parent.appendChild(space);
  parent.appendChild(child);
  parent.appendChild(document.createTextNode(indent(depth)));
}
