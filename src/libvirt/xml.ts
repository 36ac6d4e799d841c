/** Writes XML. Everything that is not a name of ours is escaped; what XML cannot hold is refused. */
import { UserError } from "../errors.ts";
import { printable } from "../text.ts";

/** An element, ready to be printed. */
export interface XmlElement {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string | undefined>>;
  readonly content: string | readonly XmlElement[];
}

type Child = XmlElement | undefined;

/**
 * An element with children or text. Attributes and children that are undefined are left out.
 *
 * @param name of the element, and the names of attributes: constants of the program, never input
 */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | undefined>> = {},
  ...content: readonly Child[] | readonly [string]
): XmlElement {
  const [first] = content;
  if (typeof first === "string") return { name, attributes, content: first };
  return { name, attributes, content: content.filter((child) => typeof child === "object") };
}

/** The document, indented by two spaces, with a line break at its end. @throws {UserError} `TEXT_NOT_XML` */
export function printXml(root: XmlElement): string {
  return print(root, "");
}

function print({ name, attributes, content }: XmlElement, indent: string): string {
  const pairs = Object.entries(attributes).map(([key, value]) =>
    value === undefined ? "" : ` ${key}="${escapeXml(value)}"`,
  );
  const open = `${indent}<${name}${pairs.join("")}`;
  if (typeof content === "string") return `${open}>${escapeXml(content)}</${name}>\n`;
  if (content.length === 0) return `${open}/>\n`;
  return `${open}>\n${content.map((child) => print(child, `${indent}  `)).join("")}${indent}</${name}>\n`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&apos;",
  // A parser makes spaces of these in an attribute, and of a bare CR a line feed, unless they are written so.
  "\t": "&#9;",
  "\n": "&#10;",
  "\r": "&#13;",
};

/**
 * Text as it stands in an attribute or an element.
 *
 * @throws {UserError} `TEXT_NOT_XML` for a character that XML 1.0 has no way to write (section 2.2: Char)
 */
export function escapeXml(text: string): string {
  if (/[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u.test(text)) {
    throw new UserError(
      "TEXT_NOT_XML",
      `"${printable(text)}" holds a character that libvirt's XML cannot hold.`,
      {
        hint: "Use text without control characters.",
      },
    );
  }
  return text.replace(/[&<>"'\t\n\r]/g, (char) => ENTITIES[char] ?? char);
}
