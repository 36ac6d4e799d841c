import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { UserError } from "../../../../src/errors.ts";
import { type AdoptionRecord, type Standing, standing } from "../../../../src/guest/adopt/record.ts";
import { sharedDisk, whyNotAdopt } from "../../../../src/guest/adopt/refusals.ts";
import { sameDefinition } from "../../../../src/guest/adopt/undo.ts";
import { adoptionFacts } from "../../../../src/libvirt/domain-adopt.ts";
import { parseDomain } from "../../../../src/libvirt/domain-parse.ts";

const handMade = readFileSync(join(import.meta.dirname, "../../../golden/adopt/hand-made-amd64.xml"), "utf8");

interface Facts {
  readonly state?: string;
  readonly saved?: boolean;
  readonly standing?: Standing["kind"];
}

function refusal(
  xml: string,
  { state = "shut off", saved = false, standing: kind = "stranger" }: Facts = {},
): unknown {
  try {
    return whyNotAdopt({ domain: parseDomain(xml), more: adoptionFacts(xml), state, saved, standing: kind });
  } catch (error) {
    return error;
  }
}

function shown(error: unknown): string[] {
  if (!(error instanceof UserError)) throw error;
  return [error.code, error.message, error.hint ?? "", String(error.exitCode)];
}

const share = /<filesystem[\s\S]*<\/filesystem>\n/;
const no = "The domain amd64-vm cannot be adopted:";
const rows: [what: string, from: string | RegExp, to: string, facts: Facts, expected: string[]][] = [
  [
    "one that runs",
    "",
    "",
    { state: "running" },
    [
      "GUEST_RUNNING",
      `${no} it is running, and its /boot must not change meanwhile.`,
      "Shut it down first: virsh shutdown amd64-vm",
      "4",
    ],
  ],
  [
    "one with a managed save",
    "",
    "",
    { saved: true },
    [
      "GUEST_SAVED",
      `${no} it has a managed save, whose memory needs the machine as it is.`,
      "Start it and shut it down, or drop what was saved: virsh managedsave-remove amd64-vm",
      "4",
    ],
  ],
  [
    "a guest of bootshare's",
    "",
    "",
    { standing: "guest" },
    [
      "ADOPT_OWN_GUEST",
      `${no} bootshare made it, and it is a guest already.`,
      "See 'bootshare status amd64-vm'.",
      "4",
    ],
  ],
  [
    "one that was defined anew behind our back",
    "",
    "",
    { standing: "redefined" },
    [
      "ADOPT_REDEFINED",
      `${no} it was adopted before, and somebody has defined it anew since.`,
      "Its /boot of that time is still there. 'bootshare adopt amd64-vm --undo' says what is where.",
      "4",
    ],
  ],
  [
    "one whose folder is another's",
    "",
    "",
    { standing: "folder" },
    [
      "ADOPT_FOLDER_TAKEN",
      `${no} a guest's folder has its UUID 5d5ba1aa-9f58-4ac1-8f43-6a1e3ad9b6c0, and its metadata does not say that it is that guest.`,
      "Put the bootshare element back into its metadata ('virsh edit'), or move that folder away.",
      "4",
    ],
  ],
  [
    "one of Xen's",
    "<domain type='qemu'>",
    "<domain type='xen'>",
    {},
    [
      "ADOPT_NOT_QEMU",
      `${no} it is of type xen.`,
      "bootshare's guests run on QEMU, with KVM or without.",
      "4",
    ],
  ],
  [
    "an architecture that Debian has not",
    "arch='x86_64'",
    "arch='m68k'",
    {},
    ["ARCH_UNKNOWN", "The domain amd64-vm is of an architecture that Debian has not.", "", "1"],
  ],
  [
    "a firmware that boots from the disk",
    /<kernel>.*<\/kernel>\n/,
    "",
    {},
    [
      "ADOPT_NO_DIRECT_BOOT",
      `${no} it boots by firmware or a loader from its disk, and not a <kernel> that the host names.`,
      "Only a domain whose /boot is a folder of the host can be adopted.",
      "4",
    ],
  ],
  [
    "no shared folder",
    share,
    "",
    {},
    [
      "ADOPT_NO_SHARE",
      `${no} it shares no folder with the tag virtio-boot.`,
      "Give it one, and mount it as /boot in the guest: <filesystem type='mount' accessmode='mapped'> with <target dir='virtio-boot'/>.",
      "4",
    ],
  ],
  [
    "a folder of another tag",
    "<target dir='virtio-boot'/>",
    "<target dir='data&#10;x'/>",
    {},
    [
      "ADOPT_NO_SHARE",
      `${no} it shares no folder with the tag virtio-boot; it shares data\\nx.`,
      "Give it one, and mount it as /boot in the guest: <filesystem type='mount' accessmode='mapped'> with <target dir='virtio-boot'/>.",
      "4",
    ],
  ],
  [
    "two folders of the tag",
    "</devices>",
    "<filesystem><source dir='/x'/><target dir='virtio-boot'/></filesystem></devices>",
    {},
    [
      "ADOPT_TWO_SHARES",
      `${no} it has 2 shared folders with the tag virtio-boot.`,
      "Leave the one that is its /boot: virsh edit.",
      "4",
    ],
  ],
  [
    "a transport that is unknown",
    "accessmode='mapped'>",
    "accessmode='mapped'><driver type='mtp'/>",
    {},
    [
      "ADOPT_SHARE_KIND",
      `${no} its folder is shared in a way that bootshare does not know.`,
      "It knows 9p (mapped) and virtiofs.",
      "4",
    ],
  ],
  [
    "9p that is not mapped",
    " accessmode='mapped'",
    "",
    {},
    [
      "ADOPT_NOT_MAPPED",
      `${no} its folder is shared by 9p in the mode passthrough, in which dpkg fails (Debian bug 864718) and links would be the host's.`,
      "Share it with accessmode='mapped', let the guest write its /boot anew there, and try again.",
      "4",
    ],
  ],
  [
    "a share that cannot be written to",
    "<target dir='virtio-boot'/>",
    "<target dir='virtio-boot'/><readonly/>",
    {},
    [
      "ADOPT_SHARE_READ_ONLY",
      `${no} its folder is shared read-only, so apt in it can install no kernel.`,
      "Remove <readonly/> of that file system: virsh edit.",
      "4",
    ],
  ],
];

describe("whyNotAdopt", () => {
  test("a hand-made domain can be adopted, and what was left of an adoption is no hindrance", () => {
    expect(refusal(handMade)).toBeUndefined();
    expect(refusal(handMade, { standing: "leftover" })).toBeUndefined();
  });

  test("so can one by virtiofs, whose access mode is another", () => {
    const virtiofs = handMade.replace(
      "accessmode='mapped'>",
      "accessmode='passthrough'><driver type='virtiofs'/>",
    );
    expect(refusal(virtiofs)).toBeUndefined();
  });

  test.each(rows)("%s is refused", (_what, from, to, facts, expected) => {
    const xml = handMade.replace(from, to);
    if (from !== "") expect(xml).not.toBe(handMade);
    expect(shown(refusal(xml, facts))).toEqual(expected);
  });
});

describe("sharedDisk", () => {
  test("a copy that writes to the other's disk is refused", () => {
    expect(shown(sharedDisk("b", "a", ["/x.img", "/a.img"], ["/a.img"]))).toEqual([
      "ADOPT_SAME_DISK",
      "The domain b cannot be adopted: it is a copy of a, and has that guest's own disk /a.img.",
      "Give it a disk of its own: virt-clone makes one.",
      "4",
    ]);
    expect(sharedDisk("b", "a", ["/b.img"], ["/a.img"])).toBeUndefined();
  });

  test("disks that several may write to, or none, do not count", () => {
    const disk = (extra: string): string =>
      handMade.replace("<target dev='vda'", `${extra}<target dev='vda'`);
    expect(adoptionFacts(handMade).disks).toEqual(["/srv/amd64-vm.img"]);
    expect(adoptionFacts(disk("<shareable/>")).disks).toEqual([]);
    expect(adoptionFacts(disk("<readonly/>")).disks).toEqual([]);
  });
});

test("sameDefinition passes over the order in which libvirt prints controllers, and nothing else", () => {
  const [one, other] = ["<controller type='a'/>", "<controller type='b'/>"];
  expect(sameDefinition(`${one}\n${other}\n`, `${other}\n${one}\n`)).toBe(true);
  expect(sameDefinition(`${one}\n${other}\n`, `${one}\n${one}\n`)).toBe(false);
});

describe("standing", () => {
  const record = (phase: AdoptionRecord["phase"]): AdoptionRecord => ({
    schema: 1,
    name: "n",
    since: "2026-01-01T00:00:00.000Z",
    phase,
    share: "/srv/n-boot",
    names: [],
    hook: false,
  });
  const ours = { foreign: false, copyOf: undefined };
  const foreign = { foreign: true, copyOf: undefined };
  const copy = { foreign: false, copyOf: "11111111-9f58-4ac1-8f43-6a1e3ad9b6c0" };
  test.each([
    ["a domain of somebody's", foreign, false, undefined, "stranger"],
    ["a copy of a guest", copy, false, undefined, "stranger"],
    ["a guest", ours, true, undefined, "guest"],
    ["a guest whose folder is gone", ours, false, undefined, "guest"],
    ["a folder of no guest", foreign, true, undefined, "folder"],
    ["killed before the domain was changed", foreign, true, "copied", "leftover"],
    ["the same of a copy", copy, true, "copied", "leftover"],
    ["killed right after the domain was changed", ours, true, "copied", "adopted"],
    ["adopted", ours, true, "adopted", "adopted"],
    ["killed while its /boot was copied back", ours, true, "undoing", "adopted"],
    ["killed after the domain was put back", foreign, true, "undoing", "leftover"],
    ["put back by hand", foreign, true, "adopted", "redefined"],
  ] as const)("%s", (_what, domain, folder, phase, expected) => {
    expect(standing(domain, folder, phase === undefined ? undefined : record(phase)).kind).toBe(expected);
  });
});
