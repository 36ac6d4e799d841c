/** The definitions of a guest that is exported: of its last boot under bootshare, and of the ordinary domain that it becomes. Pure. */
import type { Element } from "@xmldom/xmldom";
import { METADATA_NAMESPACE, REPORT_PORT, SHARE_TAG } from "../paths.ts";
import { attribute, childOf, childrenOf } from "./domain-parse.ts";
import { append, edit, remove, setText } from "./domain-update.ts";

/** A disk image that takes the place of the guest's. */
export interface NewDisk {
  /** Path of the guest's, as its domain names it. */
  readonly old: string;
  readonly file: string;
  readonly format: "raw" | "qcow2";
}

/** A kernel that the domain names. Paths of the host. */
export interface NamedKernel {
  readonly kernel: string;
  readonly initrd: string;
}

/**
 * What boots: a named kernel, a loader that bootshare put on the disk, or one that was there before: somebody else's, which may not
 * come up on a machine that has a serial port alone.
 */
export type Boots = NamedKernel | "loader" | "own loader";

export interface FinishingDomain {
  readonly name: string;
  readonly uuid: string;
  readonly disk: NewDisk;
  readonly boots: NamedKernel;
  readonly serialLog: string;
}

/**
 * A domain like the guest's that is there for one boot: with the copy of its disk, without its share and its reports, and of
 * no account to bootshare's hook.
 *
 * @param xml of the guest, as `virsh dumpxml --inactive` prints it
 * @throws {UserError} `DOMAIN_XML_INVALID`
 */
export function finishingDomainXml(
  xml: string,
  { name, uuid, disk, boots, serialLog }: FinishingDomain,
): string {
  return edit(xml, (domain, document) => {
    setText(document, domain, "name", name);
    setText(document, domain, "uuid", uuid);
    for (const one of childrenOf(domain, "genid")) remove(one);
    dropOurs(domain);
    setDisk(domain, disk);
    const os = childOf(domain, "os") ?? append(document, domain, "os");
    setText(document, os, "kernel", boots.kernel);
    setText(document, os, "initrd", boots.initrd);
    for (const log of serialLogs(domain)) log.setAttribute("file", serialLog);
  });
}

/**
 * The guest's domain without bootshare. UUID, name, network, devices, and all that a person changed stay.
 *
 * @param xml of the guest, as `virsh dumpxml --inactive --security-info` prints it
 * @throws {UserError} `DOMAIN_XML_INVALID`
 */
export function ordinaryDomainXml(xml: string, disk: NewDisk, boots: Boots): string {
  return edit(xml, (domain, document) => {
    dropOurs(domain);
    setDisk(domain, disk);
    const os = childOf(domain, "os") ?? append(document, domain, "os");
    if (typeof boots === "string") {
      for (const name of ["kernel", "initrd", "cmdline"]) for (const one of childrenOf(os, name)) remove(one);
      if (childOf(os, "boot") === undefined) append(document, os, "boot").setAttribute("dev", "hd");
    } else {
      setText(document, os, "kernel", boots.kernel);
      setText(document, os, "initrd", boots.initrd);
    }
    // A reboot needs nobody's help any more.
    setText(document, domain, "on_reboot", typeof boots === "string" ? "restart" : "destroy");
    for (const log of serialLogs(domain)) remove(log);
    const devices = childOf(domain, "devices") ?? append(document, domain, "devices");
    if (boots === "own loader" && childOf(devices, "video") === undefined)
      append(document, append(document, devices, "video"), "model").setAttribute("type", "vga");
  });
}

/** Takes out what only bootshare needs: its metadata, the share, and the port that boots are reported on. */
function dropOurs(domain: Element): void {
  const metadata = childOf(domain, "metadata");
  for (const one of childrenOf(metadata)) if (one.namespaceURI === METADATA_NAMESPACE) remove(one);
  if (metadata !== undefined && childrenOf(metadata).length === 0) remove(metadata);
  const devices = childOf(domain, "devices");
  for (const share of childrenOf(devices, "filesystem")) {
    if (attribute(childOf(share, "target"), "dir") === SHARE_TAG) remove(share);
  }
  for (const channel of childrenOf(devices, "channel")) {
    if (attribute(childOf(channel, "target"), "name") === REPORT_PORT) remove(channel);
  }
  const shared = childrenOf(devices, "filesystem").some(
    (one) => attribute(childOf(one, "driver"), "type") === "virtiofs",
  );
  // Memory was shared for virtiofs alone, where nobody asked for more than that.
  const backing = childOf(domain, "memoryBacking");
  const asMade = childrenOf(backing).every(({ nodeName }) => nodeName === "source" || nodeName === "access");
  if (!shared && asMade && backing !== undefined) remove(backing);
}

function setDisk(domain: Element, { old, file, format }: NewDisk): void {
  for (const disk of childrenOf(childOf(domain, "devices"), "disk")) {
    const source = childOf(disk, "source");
    if (source === undefined || attribute(source, "file") !== old) continue;
    source.setAttribute("file", file);
    // That libvirt leaves the owner alone was for what it stood on.
    for (const label of childrenOf(source, "seclabel")) remove(label);
    childOf(disk, "driver")?.setAttribute("type", format);
  }
}

function serialLogs(domain: Element): Element[] {
  const devices = childOf(domain, "devices");
  return [...childrenOf(devices, "serial"), ...childrenOf(devices, "console")].flatMap(
    (port) => childOf(port, "log") ?? [],
  );
}
