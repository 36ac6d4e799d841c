import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["test/unit/**/*.test.ts", "test/golden/**/*.test.ts"] } },
      {
        test: {
          name: "vm",
          include: ["test/vm/**/*.test.ts"],
          // Guests are emulated and the machine is small: one file at a time, and patience.
          fileParallelism: false,
          testTimeout: 900_000,
          hookTimeout: 1_200_000,
          globalSetup: ["test/vm/setup.ts"],
        },
      },
    ],
  },
});
