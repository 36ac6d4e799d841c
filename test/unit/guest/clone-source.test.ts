import { describe, expect, it } from "vitest";
import { type SourceFacts, sourceRefusal } from "../../../src/guest/clone-source.ts";

const CLONABLE: SourceFacts = {
  name: "w1",
  state: "shut off",
  saved: false,
  ephemeral: false,
  everGood: true,
  worker: false,
  foreign: false,
  snapshots: [],
};

describe("the source of a clone", () => {
  it("is a guest that is off and was good", () => {
    expect(sourceRefusal(CLONABLE)).toBeUndefined();
  });

  it.each<[string, Partial<SourceFacts>, string, string]>([
    [
      "SOURCE_RUNNING",
      { state: "running" },
      "The guest w1 is running, and only one that is off can be cloned.",
      "Stop it with 'bootshare stop w1'.",
    ],
    [
      "SOURCE_RUNNING",
      { state: "paused" },
      "The guest w1 is paused, and only one that is off can be cloned.",
      "Stop it with 'bootshare stop w1'.",
    ],
    [
      "SOURCE_SAVED",
      { saved: true },
      "The guest w1 is saved: a part of what it has on its disk is in that file.",
      "Let it finish: 'bootshare start w1', then 'bootshare stop w1'.",
    ],
    [
      "SOURCE_SNAPSHOTS",
      { snapshots: ["before-upgrade", "a\u001b[2J"] },
      "The guest w1 has snapshots (before-upgrade, a\\x1b[2J), which would be lost when its disk becomes what clones stand on.",
      "Delete each with 'virsh snapshot-delete w1 --snapshotname SNAPSHOT', or clone another guest.",
    ],
    [
      "SOURCE_SNAPSHOTS",
      { snapshots: ["1", "2", "3", "4", "5"] },
      "The guest w1 has snapshots (1, 2, 3 and 2 more), which would be lost when its disk becomes what clones stand on.",
      "Delete each with 'virsh snapshot-delete w1 --snapshotname SNAPSHOT', or clone another guest.",
    ],
    [
      "SOURCE_NEVER_GOOD",
      { everGood: false },
      "No boot of the guest w1 was ever good, so nothing is known to boot a clone of it.",
      "Start it with 'bootshare start w1 --wait', and stop it when it is good.",
    ],
    [
      "SOURCE_EPHEMERAL",
      { ephemeral: true, state: "running", everGood: false },
      "The guest w1 is there for one command, and goes away with it.",
      "Clone the guest that it was made from.",
    ],
    [
      "SOURCE_WORKER",
      { worker: true, state: "running" },
      "The guest w1 is a build worker, and a clone would register under its name.",
      "Make another one with 'bootshare create --role'.",
    ],
    [
      "SOURCE_FOREIGN",
      { foreign: true, state: "running" },
      "The guest w1 was imported, adopted or made by Debian's installer, and has no part that would give a clone a host name, keys and an id of its own.",
      "Clone one that 'bootshare create' made without --installer, or make another one in the same way.",
    ],
  ])("is refused: %s, %o", (code, facts, message, hint) => {
    expect(sourceRefusal({ ...CLONABLE, ...facts })).toMatchObject({ code, message, hint, exitCode: 4 });
  });
});
