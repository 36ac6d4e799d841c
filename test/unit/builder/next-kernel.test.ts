import { describe, expect, it } from "vitest";
import type { Candidate, Selection } from "../../../src/boot/select.ts";
import { isExpected, isWaiting, nextOf, passedOver } from "../../../src/builder/next-kernel.ts";
import { PCI } from "../../../src/kernel/features.ts";
import { pair } from "../boot/events.ts";

const NEW = "6.12.2-amd64";
const OLD = "6.12.1-amd64";

function shared(release: string, source: "pin" | "links" | "entries" | "highest"): Candidate {
  const files = { files: `files of ${release}`, kernel: "vmlinuz", initrd: "initrd.img" };
  return { release, source, why: "", notes: [], arches: undefined, config: undefined, ...files };
}
function kept(release: string, source: "pin" | "good" | "provided" = "good"): Candidate {
  return { release, source, why: "", notes: [], pair: pair(release) };
}
const selection = (candidates: Candidate[], skipped: Selection["skipped"] = []): Selection => ({
  candidates,
  skipped,
  reshape: undefined,
});
/** The bytes of OLD and NEW were both booted from the share at some time. */
const known = {
  pairsOfFiles: new Map([OLD, NEW].map((release) => [`files of ${release}`, pair(release).id])),
};

describe("what boots next", () => {
  it.each<[string, Selection, boolean]>([
    ["is what runs", selection([shared(OLD, "links"), kept(OLD)]), false],
    ["is new", selection([shared(NEW, "links"), shared(OLD, "highest")]), true],
    ["was never booted", selection([shared("7", "links")]), true],
    ["is the stored pair that runs", selection([kept(OLD)]), false],
    ["is another stored pair", selection([kept(NEW, "pin")]), true],
    ["is nothing", selection([]), false],
    [
      "wants the machine changed",
      {
        ...selection([shared(OLD, "links")]),
        reshape: { candidate: shared(NEW, "links"), layout: PCI, reason: "" },
      },
      true,
    ],
  ])("%s", (_, given, expected) => {
    expect(isWaiting(nextOf(given), { pair: pair(OLD) }, known)).toBe(expected);
  });
});

describe("the boot after that", () => {
  const expected = nextOf(selection([shared(NEW, "links")]));
  if (expected === undefined) throw new Error("nothing boots next");
  it.each([
    ["is it", pair(NEW), "links", true],
    ["is the last good pair", pair(OLD), "good", false],
    ["is an older one of the share", pair(OLD), "highest", false],
    [
      "is of that release with an initrd that was made anew since",
      { ...pair("x"), release: NEW },
      "links",
      true,
    ],
    ["is a stored pair of that release with other bytes", { ...pair("x"), release: NEW }, "good", false],
  ] as const)("%s", (_, booted, source, verdict) => {
    expect(isExpected(expected, { pair: booted, source }, known)).toBe(verdict);
  });
});

describe("a kernel that is passed over", () => {
  const bad = { release: NEW, reason: "it is bad: it was not good in 2 tries" };
  const cut = { release: NEW, reason: "its initrd is cut short" };
  const older = { release: "6.12.0-amd64", reason: "it has no initrd" };
  const links = { release: "(links)", reason: "there is no link" };
  it.each<[string, Selection, string | undefined, string | undefined]>([
    ["what the links name is booted", selection([shared(OLD, "links")], [bad]), OLD, undefined],
    ["a pin is meant", selection([shared(OLD, "pin")], [bad]), NEW, undefined],
    ["what the links name is bad", selection([kept(OLD)], [bad]), NEW, NEW],
    ["and is cut short", selection([shared(OLD, "highest")], [cut]), NEW, NEW],
    ["a higher one without links", selection([shared(OLD, "highest")], [cut]), undefined, NEW],
    ["an older one that is left over", selection([shared(OLD, "highest")], [older]), undefined, undefined],
    ["the same release, by another initrd", selection([kept(NEW)], [cut]), undefined, NEW],
    ["the links lead nowhere", selection([kept(OLD)], [links]), undefined, "(links)"],
    [
      "links of no use where the highest boots",
      selection([shared(OLD, "highest")], [links]),
      undefined,
      undefined,
    ],
    ["nothing can be booted", selection([], [older]), undefined, "6.12.0-amd64"],
    ["the first boot of all", selection([kept(OLD, "provided")]), undefined, undefined],
  ])("%s", (_, given, linked, expected) => {
    expect(passedOver(given, linked)?.release).toBe(expected);
  });

  it("is shown escaped", () => {
    const given = selection([kept(OLD)], [{ release: "9\u001b[2J", reason: "it is\nbad" }]);
    expect(passedOver(given, undefined)).toEqual({ release: "9\\x1b[2J", reason: "it is\\nbad" });
  });
});
