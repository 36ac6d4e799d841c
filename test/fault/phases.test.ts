// The hook's phases after a start: they must never fail, for that would do harm to a guest that runs.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readState } from "../../src/boot/log.ts";
import { FaultGuest, OLD, UUID } from "./guest.ts";
import { callHook, callHookWith, type Fault, type Step, stepsOf } from "./hook.ts";
import { ReliabilityTable } from "./table.ts";

const faults: readonly Fault[] = ["KILL", "ENOSPC"];
const table = new ReliabilityTable("phases", ["phase", "killed", "ENOSPC"]);

interface Phase {
  readonly phase: string;
  /** What an undisturbed call leaves behind. */
  readonly done: (guest: FaultGuest) => boolean;
}

const phases: readonly Phase[] = [
  { phase: "started begin", done: ({ paths }) => readState(paths).current?.started !== undefined },
  {
    phase: "release end",
    done: ({ paths, root }) =>
      readState(paths).current?.released !== undefined && existsSync(join(root, "released", UUID)),
  },
  { phase: "restore begin", done: ({ paths }) => existsSync(paths.restoring) },
];

describe.each(phases)("the phase $phase", ({ phase, done }) => {
  let template: FaultGuest;
  let steps: Step[];
  beforeAll(async () => {
    template = new FaultGuest();
    template.install(OLD);
    template.prepare();
    const guest = template.copy();
    steps = (await stepsOf(guest, phase)).filter(({ what }) => !what.startsWith("read "));
    expect(done(guest)).toBe(true);
    guest.remove();
    expect(steps.length).toBeGreaterThan(3);
  });
  afterAll(() => template.remove());

  it.each(faults)(
    "disturbed by %s at each step harms nothing, and a second call does its work",
    async (fault) => {
      for (const step of steps) {
        const { guest, exit, stderr } = await callHookWith(template, fault, step, phase);
        const at = `${fault} at: ${step.what}`;
        if (fault !== "KILL") expect({ exit, stderr }, at).toEqual({ exit: 0, stderr: "" });
        expect(readState(guest.paths).attempts, at).toHaveLength(1);
        expect(await callHook(guest, phase), at).toMatchObject({ exit: 0, stderr: "" });
        expect(done(guest), at).toBe(true);
        guest.remove();
      }
      const column = fault === "KILL" ? "killed" : fault;
      table.saw(phase, column, fault === "KILL" ? "nothing is lost" : "let pass; nothing is lost");
    },
  );
});

it("docs/reliability.md says what was seen", () => table.expectInDocument());
