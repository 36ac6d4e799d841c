// The hook, before a start, is killed or meets a disk error at each of its steps.
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { appendEvents, readState } from "../../src/boot/log.ts";
import { UserError } from "../../src/errors.ts";
import { FaultGuest, NAME, NEW, OLD, OLDER } from "./guest.ts";
import { callHook, callHookWith, type Fault, knowInitrds, type Step, stepsOf } from "./hook.ts";
import { ReliabilityTable } from "./table.ts";

interface Scenario {
  readonly name: string;
  /** Name of its section in docs/reliability.md. */
  readonly section: string;
  readonly make: (guest: FaultGuest) => void;
  /** Size of its disk, where it has one of its own. */
  readonly diskMiB?: number;
  /** What an undisturbed start boots. */
  readonly boots: string;
  /** The last good pair before it, and the one before that. */
  readonly good?: string;
  readonly goodBefore?: string;
  /** The initrd has not been looked into yet. */
  readonly looks?: true;
  /** Consoles of bad boots that are kept afterwards. */
  readonly consoles?: readonly string[];
  readonly faults: readonly Fault[];
  /** Whether the start after a killed one is the hook's too: else it is made in this process, which takes less time. */
  readonly again?: "hook";
}

function upgrade(guest: FaultGuest): void {
  guest.install(OLD);
  guest.bootToGood();
  guest.install(NEW);
}

const PANIC = "Kernel panic - not syncing: VFS: Unable to mount root fs\n";

const scenarios: readonly Scenario[] = [
  {
    name: "a first boot",
    section: "first-boot",
    make: (guest) => guest.install(NEW),
    boots: `${NEW} by links`,
    faults: ["KILL", "ENOSPC"],
    looks: true,
    again: "hook",
  },
  {
    name: "an upgrade",
    section: "upgrade",
    make: upgrade,
    boots: `${NEW} by links`,
    good: OLD,
    faults: ["KILL", "ENOSPC", "EDQUOT", "EROFS", "EIO"],
    again: "hook",
  },
  {
    name: "a return to the last good pair, after a boot that was bad",
    section: "return",
    make: (guest) => {
      upgrade(guest);
      guest.prepare();
      appendEvents(guest.paths, [{ e: "started" }, { e: "released" }]);
      writeFileSync(guest.paths.serialLog, PANIC);
      guest.emptyShare();
      guest.install(NEW);
      truncateSync(join(guest.paths.share, `vmlinuz-${NEW}`), 600);
    },
    boots: `${OLD} by good`,
    good: OLD,
    consoles: [PANIC],
    faults: ["KILL", "ENOSPC"],
  },
  {
    name: "an upgrade with a long record that ends torn, after a start that was killed",
    section: "torn",
    make: (guest) => {
      guest.install(OLDER);
      guest.bootToGood();
      upgrade(guest);
      writeFileSync(guest.paths.boots, `${"#".repeat(1023)}\n`.repeat(1025), { flag: "a" });
      writeFileSync(guest.paths.boots, '{"v":1,"t":"2026-01-0', { flag: "a" });
      for (const file of [guest.paths.runKernel, guest.paths.runInitrd]) writeFileSync(`${file}.new`, "half");
    },
    boots: `${NEW} by links`,
    good: OLD,
    goodBefore: OLDER,
    faults: ["KILL"],
  },
  {
    name: "an upgrade on a disk that is full",
    section: "full",
    diskMiB: 8,
    make: (guest) => {
      upgrade(guest);
      guest.fillDisk();
    },
    boots: `${OLD} by good`,
    good: OLD,
    faults: ["KILL"],
  },
];

/** A disk that is full has no part in removing or reading; Linux says EROFS when a file is opened or named, and not later. */
function applies(fault: Fault, { what }: Step): boolean {
  const [verb = ""] = what.split(" ");
  if (verb === "look") return fault === "KILL";
  if (fault === "EIO") return true;
  if (verb === "read") return false;
  if (fault === "KILL") return true;
  if (fault === "EROFS") return ["create", "make", "rename", "remove"].includes(verb);
  if (fault === "EDQUOT") return ["create", "make", "write"].includes(verb);
  return ["create", "make", "write", "sync", "rename"].includes(verb);
}

/** How the table calls what is booted. */
const short = (staged: string): string => (staged.endsWith(" by good") ? "last good" : "new");

describe.each(scenarios)("the hook, killed or with a failing disk at each step of $name", (scenario) => {
  const columns = scenario.faults.map((fault) => (fault === "KILL" ? "killed" : fault));
  const table = new ReliabilityTable(scenario.section, ["step", ...columns]);
  let template: FaultGuest;
  let steps: Step[];
  beforeAll(async () => {
    template = new FaultGuest(scenario.diskMiB);
    if (scenario.looks !== true) await knowInitrds(template);
    scenario.make(template);
    const guest = template.copy();
    steps = await stepsOf(guest);
    expect(guest.staged()).toBe(scenario.boots);
    guest.expectTidy();
    guest.remove();
    expect(steps.length).toBeGreaterThan(25);
  });
  afterAll(() => template.remove());

  it.runIf(scenario.faults.includes("KILL"))("killed: the next start puts everything right", async () => {
    for (const step of steps.filter((one) => applies("KILL", one))) {
      const { guest } = await callHookWith(template, "KILL", step);
      if (scenario.good !== undefined) guest.expectGoodKept(scenario.good, scenario.goodBefore);
      const emptied = guest.copy();

      if (scenario.again === "hook")
        expect(await callHook(guest), step.what).toMatchObject({ exit: 0, stderr: "" });
      else expect(startOf(guest), step.what).toBe(scenario.boots);
      expect(guest.staged(), step.what).toBe(scenario.boots);
      expect(guest.keptConsoles(), step.what).toEqual(scenario.consoles ?? []);
      guest.expectTidy();
      guest.remove();

      emptied.emptyShare();
      expect(startOf(emptied), step.what).toBe(
        scenario.good === undefined ? "NOTHING_BOOTABLE" : `${scenario.good} by good`,
      );
      emptied.remove();
      table.saw(step.what, "killed", short(scenario.boots));
    }
  });

  for (const fault of scenario.faults.filter((one) => one !== "KILL")) {
    it(`${fault}: this start boots or says what to do, and the next is as if nothing had been`, async () => {
      for (const step of steps.filter((one) => applies(fault, one))) {
        const { exit, stderr, guest } = await callHookWith(template, fault, step);
        const at = `${fault} at: ${step.what}\n${stderr}`;
        if (scenario.good !== undefined) guest.expectGoodKept(scenario.good, scenario.goodBefore);
        if (exit === 0) {
          expect(stderr, at).toBe("");
          table.saw(step.what, fault, short(guest.staged()));
        } else {
          expect(exit, at).toBe(1);
          expect(stderr, at).toMatch(/^bootshare: [^\n]+\. [^\n]+\.\n$/);
          expect(stderr, at).not.toMatch(/\bE[A-Z]{2,}\b:|system error|^ {4}at /m);
          expect(stderr.includes(NAME) || stderr.includes(guest.paths.dir.slice(-36)), at).toBe(true);
          table.saw(step.what, fault, "refused");
        }
        expect(startOf(guest), at).toBe(scenario.boots);
        expect(guest.staged(), at).toBe(scenario.boots);
        guest.expectTidy();
        guest.remove();
      }
    });
  }

  it("docs/reliability.md says what was seen", () => table.expectInDocument());
});

/** What a start boots, or the code that it is refused with. */
function startOf(guest: FaultGuest): string {
  try {
    const started = guest.prepare();
    expect(readState(guest.paths).current?.pair.id).toBeDefined();
    return started;
  } catch (error) {
    if (error instanceof UserError) return error.code;
    throw error;
  }
}
