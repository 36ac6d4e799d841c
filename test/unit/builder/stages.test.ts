import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { STAGES, type Stage, StageReader } from "../../../src/builder/stages.ts";

const RULE = `+${"-".repeat(78)}+`;
const heading = (title: string): string[] => ["", RULE, `| ${title.padEnd(77)}|`, RULE, ""];

/** The headings of sbuild 0.85 in their order, with what else it prints of the kind. */
const LOG = [
  "sbuild (Debian sbuild) 0.85.0 (04 January 2023) on builder",
  `+${"=".repeat(78)}+`,
  "| hello 2.10-3 (amd64)                         Wed, 25 Nov 2026 22:00:00 +0000 |",
  `+${"=".repeat(78)}+`,
  ...heading("Chroot Setup Commands"),
  ...heading("Fetch source files"),
  ...heading("Check architectures"),
  ...heading("Install core build dependencies (apt-based resolver)"),
  ...heading("Install package build dependencies"),
  ...heading("Build environment"),
  ...heading("Build"),
  "Status: failed",
  "make: done",
  ...heading("Buildinfo"),
  ...heading("Package contents"),
  ...heading("Post Build"),
  ...heading("Cleanup"),
  ...heading("Summary"),
  "Build Architecture: amd64",
  "Fail-Stage: build",
  "Status: attempted",
];

function read(lines: readonly string[]): { stages: Stage[]; reader: StageReader } {
  const reader = new StageReader();
  const stages = lines.flatMap((line) => reader.push(line) ?? []);
  return { stages, reader };
}

describe("StageReader", () => {
  it("finds the stages of a log", () => {
    const { stages, reader } = read(LOG);
    expect(stages).toEqual(["source", "dependencies", "build", "post-build", "summary"]);
    expect(reader.summary).toEqual({ status: "attempted", failStage: "build" });
  });

  it("takes a package's own output for what it is", () => {
    const { stages, reader } = read([
      ...heading("Build"),
      "| Summary |",
      "Status: successful",
      RULE,
      "| Summary",
    ]);
    expect(stages).toEqual(["build"]);
    expect(reader.summary.status).toBeUndefined();
  });

  it("never goes back", () => {
    expect(read([...heading("Build"), ...heading("Fetch source files"), ...heading("Build")]).stages).toEqual(
      ["build"],
    );
  });

  it("goes forward only, whatever is printed", () => {
    const line = fc.oneof(
      fc.constantFrom(...LOG),
      fc.string({ unit: "binary", maxLength: 60 }),
      fc.string().map((title) => `| ${title} |`),
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 200 }), (lines) => {
        const order = read(lines).stages.map((stage) => STAGES.indexOf(stage));
        expect(order).toEqual([...new Set(order)].sort((a, b) => a - b));
      }),
    );
  });
});
