import { describe, expect, it } from "vitest";
import { upLines } from "../../../src/commands/skipped.ts";

const skipped = [{ release: "6.1.0-11-amd64", reason: "it is bad: it was not \u001b[2Jgood in 2 tries" }];

describe("what start --wait says", () => {
  it.each([
    ["links" as const, ["worker1 is up with 6.1.0-10-amd64."]],
    [
      "good" as const,
      [
        "worker1 is up with 6.1.0-10-amd64.",
        "6.1.0-11-amd64 was passed over: it is bad: it was not \\x1b[2Jgood in 2 tries",
      ],
    ],
  ])("of a kernel that was chosen by %s", (source, lines) => {
    expect(upLines("worker1", { source, skipped, reported: "6.1.0-10-amd64" })).toEqual(lines);
  });
});
