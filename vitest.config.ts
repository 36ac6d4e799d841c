import { basename } from "node:path";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** What takes longest begins first, so that no core waits for it at the end. Files that are not named keep their order. */
const LONGEST = ["virtiofs", "build-hello", "rollback", "ninep", "import", "armhf", "session", "obs-worker"];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const index = LONGEST.indexOf(basename(moduleId, ".test.ts"));
      return index < 0 ? LONGEST.length : index;
    };
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}

/** Guests are emulated and the machine is small: one file at a time, and patience. */
const withGuests = {
  fileParallelism: false,
  testTimeout: 1_500_000,
  hookTimeout: 1_200_000,
  globalSetup: ["test/vm/setup.ts"],
};

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          name: "unit",
          include: ["test/unit/**/*.test.ts", "test/golden/**/*.test.ts"],
          // None takes long, and none says anything by how long it takes: a busy machine is no failure.
          testTimeout: 60_000,
        },
      },
      {
        // One after the other: each watches folders from outside, and measures time and memory.
        test: {
          name: "hostile",
          include: ["test/hostile/**/*.test.ts"],
          globalSetup: ["test/hostile/setup.ts"],
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      {
        // Hundreds of calls of the hook each, and one table in docs/ that they all write.
        test: {
          name: "fault",
          include: ["test/fault/**/*.test.ts"],
          fileParallelism: false,
          testTimeout: 600_000,
          hookTimeout: 60_000,
        },
      },
      { test: { ...withGuests, name: "vm", include: ["test/vm/**/*.test.ts"] } },
      {
        // Each file has guests that no other touches, and leaves libvirt alone: one for each core. One of them kills the
        // service again and again: nobody else may notice.
        test: {
          ...withGuests,
          name: "vm-parallel",
          include: ["test/vm-parallel/**/*.test.ts"],
          fileParallelism: true,
          maxWorkers: 2,
        },
      },
      {
        test: {
          ...withGuests,
          name: "soak",
          include: ["test/soak/**/*.test.ts"],
          testTimeout: 6 * 3_600_000,
        },
      },
      {
        // A real OBS on this machine's loopback interface, and builds in emulated guests: minutes each.
        test: {
          ...withGuests,
          name: "obs",
          include: ["test/obs/**/*.test.ts"],
          testTimeout: 3_600_000,
          hookTimeout: 1_800_000,
        },
      },
      { test: { ...withGuests, name: "long", include: ["test/long/**/*.test.ts"], testTimeout: 2_700_000 } },
    ],
  },
});
