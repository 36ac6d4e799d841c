/** Which files of the host a domain uses. Pure. */
import type { Element } from "@xmldom/xmldom";
import { childrenOf, parseXml } from "./domain-parse.ts";

/** What is written there is what a guest says: nothing of a domain's is lost with it. And texts, which name nothing. */
const PASSED_OVER: ReadonlySet<string> = new Set([
  ...["serial", "console", "channel", "parallel"],
  ...["metadata", "title", "description"],
]);

/**
 * All absolute paths that a domain's XML names: disks and what they stand on, kernel, initrd, firmware's variables, shared
 * folders, whatever libvirt may know beside. Not those of its character devices.
 *
 * @param xml not trusted @throws {UserError} `DOMAIN_XML_INVALID`
 */
export function pathsIn(xml: string): string[] {
  const root = parseXml(xml).documentElement;
  return root === null ? [] : [...new Set(pathsOf(root))];
}

function pathsOf(element: Element): string[] {
  if (PASSED_OVER.has(element.nodeName)) return [];
  const children = childrenOf(element);
  const texts = [...element.attributes].map(({ value }) => value);
  if (children.length === 0) texts.push((element.textContent ?? "").trim());
  return [...texts.filter((text) => text.startsWith("/")), ...children.flatMap(pathsOf)];
}
