/** Changes single values in a domain's XML and keeps everything else, known or not, as it stands. */
import { type Document, type Element, XMLSerializer } from "@xmldom/xmldom";
import type { Layout } from "../kernel/features.ts";
import { attribute, childOf, childrenOf, parseXml } from "./domain-parse.ts";
import { QEMU_NAMESPACE, withQemuArgs } from "./qemu-args.ts";

/**
 * Names kernel and initrd in a domain's `<os>`.
 *
 * @param xml of a domain, as `virsh dumpxml --inactive` prints it
 * @param paths absolute, of the host
 * @throws {UserError} `DOMAIN_XML_INVALID`
 */
export function setKernelPaths(
  xml: string,
  paths: { readonly kernel: string; readonly initrd: string },
): string {
  return edit(xml, (domain, document) => {
    const os = childOf(domain, "os") ?? append(document, domain, "os");
    setText(document, os, "kernel", paths.kernel);
    setText(document, os, "initrd", paths.initrd);
  });
}

/** Says what libvirt does when the guest reboots: bootshare's guests have "destroy". @throws as {@link setKernelPaths} */
export function setOnReboot(xml: string, action: "destroy" | "restart"): string {
  return edit(xml, (domain, document) => setText(document, domain, "on_reboot", action));
}

/**
 * Moves a domain into another layout (kernel/features.ts), for a kernel that needs it. Every virtio device goes along, a
 * person's own too: a kernel that needs the other bus would not see it where it is. Addresses on PCI are libvirt's to choose,
 * at the definition. Everything else stays: UUID, MAC address, memory, devices that are not virtio, and other arguments of
 * QEMU's. The guest's interfaces and disks get new names, which is why it finds them by MAC address and UUID. Memory stays
 * too: with `highmem` off QEMU starts no machine that has more than 3 GiB.
 *
 * @param xml of a domain that is off, as `virsh dumpxml --inactive` prints it
 * @throws as {@link setKernelPaths}
 */
export function setLayout(xml: string, layout: Layout): string {
  return edit(xml, (domain, document) => {
    const devices = childOf(domain, "devices") ?? append(document, domain, "devices");
    if (layout.bus === "mmio") addSerialBus(document, devices);
    for (const device of childrenOf(devices).filter(isVirtio)) moveDevice(document, device, layout);
    if (layout.bus === "mmio") dropUnusedPorts(devices);
    const virtiofs = childrenOf(devices, "filesystem").some(
      (one) => attribute(childOf(one, "driver"), "type") === "virtiofs",
    );
    const modernMmio = layout.bus === "mmio" && virtiofs;
    setQemuArgs(document, domain, (args) => withQemuArgs(args, { highmem: layout.highmem, modernMmio }));
  });
}

/** libvirt adds the channels' controller by itself, but on PCI. */
export function addSerialBus(document: Document, devices: Element): void {
  if (childOf(devices, "channel") === undefined) return;
  const there = childrenOf(devices, "controller").some((one) => attribute(one, "type") === "virtio-serial");
  if (there) return;
  const made = document.createElement("controller");
  made.setAttribute("type", "virtio-serial");
  made.setAttribute("index", "0");
  devices.insertBefore(made, childOf(devices, "channel") ?? null);
}

/** Whether a device has an address of its own on the virtio bus. Channels do not: their controller has. */
function isVirtio(device: Element): boolean {
  const type = attribute(device, "type") ?? "";
  const model = attribute(device, "model") ?? "";
  switch (device.nodeName) {
    case "disk":
      return attribute(childOf(device, "target"), "bus") === "virtio";
    case "interface":
      return (attribute(childOf(device, "model"), "type") ?? "").startsWith("virtio");
    case "filesystem":
      return true;
    case "controller":
      return type === "virtio-serial" || (type === "scsi" && model.startsWith("virtio"));
    case "input":
      return attribute(device, "bus") === "virtio";
    case "rng":
    case "memballoon":
    case "vsock":
    case "crypto":
      return model.startsWith("virtio");
    default:
      return false;
  }
}

function moveDevice(document: Document, device: Element, { bus }: Layout): void {
  const address = childOf(device, "address");
  const there = attribute(address, "type");
  if (bus === "mmio") {
    // What only PCI has: a ROM, and the models that say which virtio is spoken on it.
    for (const rom of childrenOf(device, "rom")) remove(rom);
    dropVariant(device, "model");
    dropVariant(childOf(device, "model"), "type");
    if (there === "virtio-mmio") return;
    const moved = document.createElement("address");
    moved.setAttribute("type", "virtio-mmio");
    if (address === undefined) device.appendChild(moved);
    else device.replaceChild(moved, address);
    return;
  }
  if (there !== "virtio-mmio") return;
  if (address !== undefined) remove(address);
  if (device.nodeName === "interface") append(document, device, "rom").setAttribute("enabled", "no");
}

/** `virtio-transitional` and `virtio-non-transitional` become `virtio`. */
function dropVariant(element: Element | undefined, name: string): void {
  if (/^virtio-(non-)?transitional$/.test(attribute(element, name) ?? ""))
    element?.setAttribute(name, "virtio");
}

/** Takes away the ports that libvirt added for devices that are no longer on PCI. */
function dropUnusedPorts(devices: Element): void {
  const used = new Set(
    childrenOf(devices).flatMap((device) => {
      const address = childOf(device, "address");
      return attribute(address, "type") === "pci" ? [Number(attribute(address, "bus") ?? 0)] : [];
    }),
  );
  for (const port of childrenOf(devices, "controller")) {
    const isPort = attribute(port, "type") === "pci" && attribute(port, "model") === "pcie-root-port";
    if (isPort && !used.has(Number(attribute(port, "index")))) remove(port);
  }
}

function setQemuArgs(
  document: Document,
  domain: Element,
  change: (args: readonly string[]) => readonly string[],
): void {
  const isOurs = (element: Element, name: string): boolean =>
    element.namespaceURI === QEMU_NAMESPACE && element.localName === name;
  const line = childrenOf(domain).find((one) => isOurs(one, "commandline"));
  const old = childrenOf(line).filter((one) => isOurs(one, "arg"));
  const args = old.map((one) => attribute(one, "value") ?? "");
  const wanted = change(args);
  if (wanted.join("\0") === args.join("\0")) return;
  for (const one of old) remove(one);
  if (wanted.length === 0) {
    // Environment variables for QEMU are elements of it too.
    if (line !== undefined && childrenOf(line).length === 0) remove(line);
    return;
  }
  const home = line ?? domain.appendChild(document.createElementNS(QEMU_NAMESPACE, "qemu:commandline"));
  // The schema wants arguments before environment variables.
  const env = home.firstChild;
  for (const value of wanted) {
    const made = document.createElementNS(QEMU_NAMESPACE, "qemu:arg");
    made.setAttribute("value", value);
    home.insertBefore(made, env);
  }
}

/** Takes an element out. */
export function remove(element: Element): void {
  // The spaces before it go too, so that no empty line stays.
  const space = element.previousSibling;
  const parent = element.parentNode;
  if (space !== null && space.nodeType === 3 && (space.nodeValue ?? "").trim() === "")
    parent?.removeChild(space);
  parent?.removeChild(element);
}

/** Parses a domain, lets `change` change it, and prints it. @throws {UserError} `DOMAIN_XML_INVALID` */
export function edit(xml: string, change: (domain: Element, document: Document) => void): string {
  const document = parseXml(xml);
  if (document.documentElement !== null) change(document.documentElement, document);
  return new XMLSerializer().serializeToString(document);
}

/** Gives an element's only child of this name a text, making it where it is not there. */
export function setText(document: Document, parent: Element, name: string, text: string): void {
  (childOf(parent, name) ?? append(document, parent, name)).textContent = text;
}

/** Adds a new last child. */
export function append(document: Document, parent: Element, name: string): Element {
  const made = document.createElement(name);
  parent.appendChild(made);
  return made;
}
