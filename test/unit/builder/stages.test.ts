import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isMachineFailure, STAGES, type Stage, StageReader } from "../../../src/builder/stages.ts";

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

describe("isMachineFailure", () => {
  const installing = [...heading("Chroot Setup Commands"), ...heading("Install package build dependencies")];
  const summary = (stage: string): string[] => [
    ...heading("Summary"),
    `Fail-Stage: ${stage}`,
    "Status: failed",
  ];
  const noRoom =
    " cannot copy extracted data for './usr/bin/x' to '/usr/bin/x.dpkg-new': failed to write (No space left on device)";

  it.each<readonly [what: string, lines: readonly string[], machine: boolean]>([
    ["a package that does not build", LOG, false],
    ["no lists of packages", summary("apt-get-update"), true],
    ["a resolver that cannot be set up", summary("resolver setup"), true],
    ["a chroot that cannot be unpacked", summary("create-session"), true],
    ["a source that does not unpack", summary("unpack"), false],
    [
      "dependencies that there are not",
      [
        ...installing,
        "E: Unable to correct problems, you have held broken packages.",
        ...summary("install-deps"),
      ],
      false,
    ],
    [
      "dependencies that the mirror does not hand out",
      [
        ...installing,
        "E: Failed to fetch http://mirror.example.org/x.deb  404  Not Found",
        ...summary("install-deps"),
      ],
      true,
    ],
    [
      "the same, some of them",
      [
        ...installing,
        "E: Unable to fetch some archives, maybe run apt-get update",
        ...summary("install-deps"),
      ],
      true,
    ],
    ["dependencies that have no room", [...installing, noRoom, ...summary("install-deps")], true],
    [
      "dependencies that have no room to be fetched to",
      [
        ...installing,
        "E: You don't have enough free space in /var/cache/apt/archives/.",
        ...summary("install-deps"),
      ],
      true,
    ],
    [
      "a package that prints the like while it is built",
      [
        ...installing,
        ...heading("Build"),
        "E: Failed to fetch http://x/y",
        noRoom,
        ...summary("install-deps"),
      ],
      false,
    ],
    [
      "a package that does not build, after the mirror had failed once",
      [...installing, "E: Failed to fetch http://x/y", ...heading("Build"), ...summary("build")],
      false,
    ],
    ["no summary at all", installing, false],
  ])("%s", (_what, lines, machine) => {
    const { reader } = read(lines);
    expect(isMachineFailure(reader.summary)).toBe(machine);
  });
});
