/** The definition of a clone's domain, made from that of the guest that it is a clone of. Pure. */
import type { Element } from "@xmldom/xmldom";
import { UserError } from "../errors.ts";
import { METADATA_NAMESPACE } from "../paths.ts";
import { printable } from "../text.ts";
import { attribute, childOf, childrenOf, parseXml } from "./domain-parse.ts";
import { append, edit, remove, setText } from "./domain-update.ts";

export interface CloneSpec {
  readonly uuid: string;
  readonly name: string;
  /** `52:54:00:…`, of the first network interface. Further ones get theirs from libvirt. */
  readonly mac: string;
  /** The folders of the two guests: every path in the one becomes the same path in the other. Absolute. */
  readonly from: string;
  readonly to: string;
  /** The root disk of the clone, in `to`. */
  readonly disk: string;
  readonly memoryMiB?: number | undefined;
  readonly cpus?: number | undefined;
  /** Takes the place of what the metadata says that the guest is for. */
  readonly role?: string | undefined;
  /** What is on the disk need not outlive the machine: QEMU leaves out every flush. */
  readonly unsafe?: boolean | undefined;
  /** See {@link setDiskOwned}; not in session mode, where libvirt gives files to nobody. */
  readonly owned: boolean;
}

/** A machine id (machine-id(5)) in the words of the kernel's command line. PID 1 takes it and writes it down. */
export function machineIdWord(uuid: string): string {
  return `systemd.machine_id=${machineIdOf(uuid)}`;
}

/** A clone's machine id: the UUID of its domain, as systemd itself takes it for a virtual machine's. */
export function machineIdOf(uuid: string): string {
  return uuid.replaceAll("-", "");
}

/**
 * @param xml of the domain of a guest, as `virsh dumpxml --inactive` prints it
 * @returns that of the clone. What a person changed about the guest, devices and all, the clone has too
 * @throws {UserError} `CLONE_OTHER_DISK`, `DOMAIN_XML_INVALID`
 */
export function cloneDomainXml(xml: string, spec: CloneSpec): string {
  const moved = edit(xml, (domain, document) => {
    movePaths(domain, `${spec.from}/`, `${spec.to}/`);
    setText(document, domain, "name", spec.name);
    setText(document, domain, "uuid", spec.uuid);
    const guest = childrenOf(childOf(domain, "metadata")).find(
      (one) => one.namespaceURI === METADATA_NAMESPACE && one.localName === "guest",
    );
    if (guest === undefined) throw new Error("the domain has no metadata of bootshare's");
    guest.setAttribute("uuid", spec.uuid);
    if (spec.role !== undefined) {
      const there = childrenOf(guest).find((one) => one.localName === "role");
      const role = there ?? document.createElementNS(METADATA_NAMESPACE, `${guest.prefix}:role`);
      role.textContent = spec.role;
      if (there === undefined) guest.appendChild(role);
    }
    // Made by libvirt anew, and different for every machine.
    for (const one of childrenOf(domain, "genid")) remove(one);
    const os = childOf(domain, "os") ?? append(document, domain, "os");
    const words = (childOf(os, "cmdline")?.textContent ?? "").split(/\s+/).filter((word) => word !== "");
    const kept = words.filter((word) => !word.startsWith("systemd.machine_id="));
    setText(document, os, "cmdline", [...kept, machineIdWord(spec.uuid)].join(" "));
    if (spec.memoryMiB !== undefined) {
      for (const name of ["memory", "currentMemory"]) {
        const memory = childOf(domain, name);
        if (memory === undefined) continue;
        memory.setAttribute("unit", "MiB");
        memory.textContent = String(spec.memoryMiB);
      }
    }
    if (spec.cpus !== undefined) {
      childOf(domain, "vcpu")?.removeAttribute("current");
      setText(document, domain, "vcpu", String(spec.cpus));
    }
    const devices = childOf(domain, "devices");
    childrenOf(devices, "interface").forEach((card, index) => {
      const mac = childOf(card, "mac");
      if (mac === undefined) return;
      if (index === 0) mac.setAttribute("address", spec.mac);
      else remove(mac);
    });
    const disks = childrenOf(devices, "disk").filter((disk) => !isReadOnly(disk));
    for (const disk of disks) {
      if (attribute(childOf(disk, "source"), "file") !== spec.disk) throw otherDisk(disk);
      if (spec.unsafe === true) childOf(disk, "driver")?.setAttribute("cache", "unsafe");
    }
  });
  return spec.owned ? setDiskOwned(moved, spec.disk) : moved;
}

/**
 * Tells libvirt to leave the owner of a disk, and of what it stands on, as it is. Else it gives a base to QEMU's user at the
 * first start of any guest on it, and never takes it back: one QEMU that was taken over could write what all others read.
 *
 * @param disk path of the image, as the domain names it
 */
export function setDiskOwned(xml: string, disk: string): string {
  return edit(xml, (domain, document) => {
    for (const source of sourcesOf(domain, disk)) {
      for (const label of childrenOf(source, "seclabel")) if (isDac(label)) remove(label);
      const label = append(document, source, "seclabel");
      label.setAttribute("model", "dac");
      label.setAttribute("relabel", "no");
    }
  });
}

/** Whether a domain is as {@link setDiskOwned} makes it. @throws {UserError} `DOMAIN_XML_INVALID` */
export function isDiskOwned(xml: string, disk: string): boolean {
  const domain = parseXml(xml).documentElement ?? undefined;
  return sourcesOf(domain, disk).every((source) =>
    childrenOf(source, "seclabel").some((label) => isDac(label) && attribute(label, "relabel") === "no"),
  );
}

function sourcesOf(domain: Element | undefined, disk: string): Element[] {
  return childrenOf(childOf(domain, "devices"), "disk").flatMap((one) => {
    const source = childOf(one, "source");
    return source !== undefined && attribute(source, "file") === disk ? [source] : [];
  });
}

function isDac(label: Element): boolean {
  return attribute(label, "model") === "dac";
}

/** Replaces the beginning of every path, wherever it stands. */
function movePaths(element: Element, from: string, to: string): void {
  for (const { name, value } of [...element.attributes]) {
    if (value.startsWith(from)) element.setAttribute(name, to + value.slice(from.length));
  }
  const children = childrenOf(element);
  for (const child of children) movePaths(child, from, to);
  const text = element.textContent ?? "";
  if (children.length === 0 && text.startsWith(from)) element.textContent = to + text.slice(from.length);
}

/** Several guests may read the same image: a CD, say. */
function isReadOnly(disk: Element): boolean {
  const device = attribute(disk, "device") ?? "disk";
  return (
    device === "cdrom" || childOf(disk, "readonly") !== undefined || childOf(disk, "shareable") !== undefined
  );
}

function otherDisk(disk: Element): UserError {
  const source = childOf(disk, "source");
  const path = attribute(source, "file") ?? attribute(source, "dev") ?? "without a file";
  const target = attribute(childOf(disk, "target"), "dev") ?? "?";
  return new UserError(
    "CLONE_OTHER_DISK",
    `The guest has another disk than bootshare's, ${printable(target)} (${printable(path)}), and two guests must not write to one disk.`,
    {
      hint: "Detach it, or mark it as read-only, with 'virsh edit'; after an external snapshot, commit that first.",
    },
  );
}
