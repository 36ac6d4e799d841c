/** Changes single values in a domain's XML and keeps everything else, known or not, as it stands. */
import { type Document, type Element, XMLSerializer } from "@xmldom/xmldom";
import { childOf, parseXml } from "./domain-parse.ts";

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

function edit(xml: string, change: (domain: Element, document: Document) => void): string {
  const document = parseXml(xml);
  if (document.documentElement !== null) change(document.documentElement, document);
  return new XMLSerializer().serializeToString(document);
}

function setText(document: Document, parent: Element, name: string, text: string): void {
  (childOf(parent, name) ?? append(document, parent, name)).textContent = text;
}

function append(document: Document, parent: Element, name: string): Element {
  const made = document.createElement(name);
  parent.appendChild(made);
  return made;
}
