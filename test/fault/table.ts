/**
 * docs/reliability.md is written by the tests: each of its marked sections by one test file, which fails when what it saw is
 * not what the section says. UPDATE_RELIABILITY=1 writes the sections anew.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";

const FILE = join(import.meta.dirname, "../../docs/reliability.md");

/** Rows that gather while tests run: what was done to a thing, and what came of it. */
export class ReliabilityTable {
  readonly #section: string;
  readonly #columns: readonly string[];
  readonly #rows = new Map<string, Map<string, string>>();

  /**
   * @param section name in the marks `<!-- seen: NAME -->` and `<!-- end: NAME -->`
   * @param columns headings; the first is that of the rows' names
   */
  constructor(section: string, columns: readonly string[]) {
    this.#section = section;
    this.#columns = columns;
  }

  /** Notes what came of it. Seen twice with different ends, both are said. */
  saw(row: string, column: string, what: string): void {
    const cells = this.#rows.get(row) ?? new Map<string, string>();
    this.#rows.set(row, cells);
    const before = cells.get(column)?.split(" or ") ?? [];
    if (!before.includes(what)) cells.set(column, [...before, what].join(" or "));
  }

  /** Fails when the section of the document says something else. */
  expectInDocument(): void {
    const lines = [
      this.#columns,
      this.#columns.map(() => "---"),
      ...[...this.#rows].map(([row, cells]) => [
        row,
        ...this.#columns.slice(1).map((column) => cells.get(column) ?? "–"),
      ]),
    ];
    const rows = lines.map((cells) => `| ${cells.join(" | ")} |\n`);
    const document = readFileSync(FILE, "utf8");
    const begin = `<!-- seen: ${this.#section} -->\n`;
    const from = document.indexOf(begin) + begin.length;
    const to = document.indexOf(`<!-- end: ${this.#section} -->`);
    if (from < begin.length || to < from) throw new Error(`${FILE} has no section ${this.#section}`);
    if (process.env["UPDATE_RELIABILITY"] === "1")
      writeFileSync(FILE, document.slice(0, from) + rows.join("") + document.slice(to));
    // File systems list the files of a folder, and programs remove them, in any order.
    else expect(document.slice(from, to).match(/.+\n/g)?.sort()).toEqual(rows.sort());
  }
}
