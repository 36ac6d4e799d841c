import { describe, expect, it } from "vitest";
import { brief } from "../../../src/boot/brief.ts";
import type { Selection } from "../../../src/boot/select.ts";

const passedOver = (count: number): Selection => ({
  candidates: [],
  skipped: Array.from({ length: count }, (_, i) => ({ release: `${i}`, reason: "it is incomplete" })),
  reshape: undefined,
});

describe("brief", () => {
  it.each([0, 1, 12])("leaves %i that were passed over as they are", (count) => {
    expect(brief(passedOver(count))).toEqual(passedOver(count));
  });

  it.each([
    [13, "passed over, too: 1 more"],
    [4096, "passed over, too: 4084 more"],
  ])("keeps of %i the first and the last six, and counts the others", (count, reason) => {
    const { skipped } = brief(passedOver(count));
    const numbers = [0, 1, 2, 3, 4, 5, NaN, ...[6, 5, 4, 3, 2, 1].map((back) => count - back)];
    expect(skipped.map(({ release }) => Number(release === "(more)" ? NaN : release))).toEqual(numbers);
    expect(skipped[6]).toEqual({ release: "(more)", reason });
  });
});
