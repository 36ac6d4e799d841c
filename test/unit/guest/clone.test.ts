/** What a clone looks at before anything is made, with a libvirt that answers from here. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { appendEvents } from "../../../src/boot/log.ts";
import { cloneGuest } from "../../../src/guest/clone.ts";
import { guestPathsOf, statePaths } from "../../../src/paths.ts";

let root: string;
vi.mock("../../../src/mode.ts", async (original) =>
  (await import("../mode-in.ts")).modeIn(original, () => root),
);

const SOURCE = "11111111-2222-4333-8444-555555555555";
/** Calls of virsh. */
let asked: string[];

vi.mock("../../../src/libvirt/virsh.ts", () => ({
  domainStatuses: async () => {
    asked.push("list");
    return [{ uuid: SOURCE, name: "w1", state: "shut off", reason: "", saved: false }];
  },
  snapshotNames: async (uuid: string) => {
    asked.push(`snapshot-list ${uuid}`);
    return ["before-upgrade"];
  },
}));

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "bootshare-clone-"));
  const paths = guestPathsOf(SOURCE);
  mkdirSync(paths.dir, { recursive: true });
  writeFileSync(paths.disk, "a disk with a snapshot in it");
  const pair = { id: "0".repeat(32), release: "6.1.0-1-amd64", kernel: "vmlinuz", initrd: "initrd.img" };
  appendEvents(paths, [{ e: "cloned", from: SOURCE, pair }]);
  asked = [];
});
afterEach(() => rmSync(root, { recursive: true }));

it("leaves a guest with snapshots its disk, and asks for them once", async () => {
  await expect(cloneGuest("w1", { name: "w2" })).rejects.toMatchObject({ code: "SOURCE_SNAPSHOTS" });
  expect(readFileSync(guestPathsOf(SOURCE).disk, "utf8")).toBe("a disk with a snapshot in it");
  expect(readdirSync(statePaths().guests)).toEqual([SOURCE]);
  expect(asked).toEqual(["list", "list", `snapshot-list ${SOURCE}`]);
});
