/** An export removes the guest's folder, which may hold another domain's disk by now. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { appendEvents } from "../../../src/boot/log.ts";
import { exportGuest } from "../../../src/guest/export.ts";
import { guestPathsOf } from "../../../src/paths.ts";

let root: string;
vi.mock("../../../src/mode.ts", async (original) =>
  (await import("../mode-in.ts")).modeIn(original, () => root),
);

const GUEST = "3b241101-e2bb-4255-8caf-4136c566a962";
const COPY = "22222222-2222-4333-8444-555555555555";
/** What the copy's domain names. */
let copyDisk: string;
let defined: string[];
/** Called when the disk is made. */
let onMade: () => void;

vi.mock("../../../src/libvirt/virsh.ts", () => ({
  domainStatuses: async () =>
    [
      [GUEST, "w1"],
      [COPY, "w2"],
    ].map(([uuid, name]) => ({ uuid, name, state: "shut off", reason: "", saved: false })),
  dumpXml: async (uuid: string) =>
    uuid === COPY
      ? `<domain><devices><disk><source file='${copyDisk}'/></disk></devices></domain>`
      : readFileSync(
          join(import.meta.dirname, "../../golden/domain-amd64-kvm-9p-user.xml"),
          "utf8",
        ).replaceAll("/var/lib/bootshare", root),
  snapshotNames: async () => [],
  defineDomain: async (xml: string) => void defined.push(xml),
}));
vi.mock("../../../src/guest/run-once.ts", () => ({ runOnce: async () => {} }));
vi.mock("../../../src/provision/export/export-disk.ts", () => ({
  prepareExport: async () => ({ raw: "/raw", loader: { kind: "own" } }),
  takeExport: async () => {
    const made = join(root, "made");
    writeFileSync(made, "a disk");
    onMade();
    return made;
  },
}));

const theirs = (): string => join(guestPathsOf(GUEST).dir, "disk-clone.qcow2");
const exportIt = async (copy: boolean): Promise<unknown> =>
  await exportGuest(
    "w1",
    { file: join(root, "out", "w1.qcow2"), copy, bootTimeout: 1 },
    () => {},
    new AbortController().signal,
  );

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "bootshare-export-"));
  const paths = guestPathsOf(GUEST);
  const id = "0".repeat(32);
  for (const folder of [paths.share, join(paths.pairs, id), join(root, "out")])
    mkdirSync(folder, { recursive: true });
  for (const file of [paths.disk, join(paths.pairs, id, "vmlinuz"), join(paths.pairs, id, "initrd.img")])
    writeFileSync(file, "bytes");
  const pair = { id, release: "6.1.0-1-amd64", kernel: "vmlinuz", initrd: "initrd.img" };
  appendEvents(paths, [{ e: "cloned", from: COPY, pair }]);
  writeFileSync(theirs(), "their disk");
  copyDisk = "/srv/disk-clone.qcow2";
  defined = [];
  onMade = () => {};
});
afterEach(() => rmSync(root, { recursive: true }));

const refused = {
  code: "FOLDER_IN_USE",
  message: expect.stringContaining("the domain w2 names files in it"),
};

it("is refused before anything is made", async () => {
  copyDisk = theirs();
  const made = vi.fn();
  onMade = made;
  await expect(exportIt(false)).rejects.toMatchObject(refused);
  expect([made.mock.calls, defined, existsSync(theirs())]).toEqual([[], [], true]);
});

it("is refused when that came while its copy was made, and leaves nothing", async () => {
  onMade = () => {
    copyDisk = theirs();
  };
  await expect(exportIt(false)).rejects.toMatchObject(refused);
  expect([defined, existsSync(theirs()), readdirSync(join(root, "out"))]).toEqual([[], true, []]);
});

it("removes the folder where nobody names it", async () => {
  await exportIt(false);
  expect([defined.length, existsSync(guestPathsOf(GUEST).dir)]).toEqual([1, false]);
});

it("makes a copy, which removes nothing, all the same", async () => {
  copyDisk = theirs();
  await exportIt(true);
  expect([defined, existsSync(theirs())]).toEqual([[], true]);
});
