/**
 * For `vi.mock` of src/mode.ts: all state is in a folder of the test's, and the caller's own, whoever runs this.
 *
 * @param original what `vi.mock` gives
 * @param root asked each time: a test makes its folder later than its mocks
 */
export async function modeIn(
  original: <T>() => Promise<T>,
  root: () => string,
): Promise<typeof import("../../src/mode.ts")> {
  const real = await original<typeof import("../../src/mode.ts")>();
  return {
    ...real,
    workMode: () => ({ ...real.workMode(), name: "session", stateRoot: root(), folderMode: 0o700 }),
  };
}
