import { describe, expect, it } from "vitest";
import { type ExportFacts, exportRefusal, rootUuidIn } from "../../../src/guest/export-source.ts";

const EXPORTABLE: ExportFacts = {
  name: "g1",
  state: "shut off",
  saved: false,
  ephemeral: false,
  adopted: false,
  everGood: true,
  rootByUuid: true,
  otherDisks: [],
  otherFolders: [],
  snapshots: [],
  ownDisk: true,
};

describe("a guest that is exported", () => {
  it("is off and was good", () => {
    expect(exportRefusal(EXPORTABLE)).toBeUndefined();
  });

  it.each<[string, Partial<ExportFacts>, string, string]>([
    [
      "GUEST_RUNNING",
      { state: "running" },
      "The guest g1 is running, and only one that is off can be exported.",
      "Stop it with 'bootshare stop g1'.",
    ],
    [
      "GUEST_SAVED",
      { saved: true },
      "The guest g1 is saved: a part of what it has on its disk is in that file.",
      "Let it finish: 'bootshare start g1', then 'bootshare stop g1'.",
    ],
    [
      "EXPORT_ADOPTED",
      { adopted: true, state: "running" },
      "The guest g1 was adopted, and its disk was never bootshare's.",
      "Give it back as it was: bootshare adopt g1 --undo",
    ],
    [
      "EXPORT_EPHEMERAL",
      { ephemeral: true, state: "running" },
      "The guest g1 is there for one command, and goes away with it.",
      "Export the guest that it was made from.",
    ],
    [
      "EXPORT_NEVER_GOOD",
      { everGood: false },
      "No boot of the guest g1 was ever good, so nothing is known to boot its copy.",
      "Start it with 'bootshare start g1 --wait', and stop it when it is good.",
    ],
    [
      "EXPORT_ROOT_UNKNOWN",
      { rootByUuid: false },
      "The domain of the guest g1 does not name its root by UUID (root=UUID=…).",
      "Say it so with 'virsh edit g1', and start it once.",
    ],
    [
      "EXPORT_OTHER_DISK",
      { otherDisks: ["/dev/vg/data"] },
      "The guest g1 has another disk than bootshare's (/dev/vg/data), which its copy would write to.",
      "Detach it with 'virsh edit', or mark it as read-only; after an external snapshot, commit that first.",
    ],
    [
      "EXPORT_OTHER_DISK",
      { ownDisk: false },
      "The guest g1 has another disk than bootshare's (and not that one), which its copy would write to.",
      "Detach it with 'virsh edit', or mark it as read-only; after an external snapshot, commit that first.",
    ],
    [
      "EXPORT_OTHER_FOLDER",
      { otherFolders: ["data"] },
      "The guest g1 shares a folder with the host (data), which its copy would write to.",
      "Take it out with 'virsh edit', and put it back into the domain afterwards.",
    ],
    [
      "EXPORT_SNAPSHOTS",
      { snapshots: ["before", "after"] },
      "The guest g1 has snapshots (before, after), which an export does not keep.",
      "Delete them with 'virsh snapshot-delete'.",
    ],
  ])("is refused: %s, %o", (code, facts, message, hint) => {
    expect(exportRefusal({ ...EXPORTABLE, ...facts })).toMatchObject({ code, message, hint, exitCode: 4 });
  });
});

it.each([
  ["root=UUID=620fb59c-f3a0-4911-896a-1be198aa85a1 ro console=ttyS0", "620fb59c-f3a0-4911-896a-1be198aa85a1"],
  ["ro root=UUID=1A2B-3C4D", "1A2B-3C4D"],
  ["root=/dev/vda1 ro", undefined],
  ["xroot=UUID=1 root=LABEL=a", undefined],
  ["", undefined],
  [undefined, undefined],
])("of %j the root is %j", (cmdline, uuid) => {
  expect(rootUuidIn(cmdline)).toBe(uuid);
});
