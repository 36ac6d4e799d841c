// A disk that is really full, or read-only, under the built hook.
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { parseEvents } from "../../src/boot/events.ts";
import { readState } from "../../src/boot/log.ts";
import { FaultGuest, initrdOf, kernelOf, NAME, NEW, OLD, UUID } from "./guest.ts";
import { callHook, knowInitrds } from "./hook.ts";
import { ReliabilityTable } from "./table.ts";

const table = new ReliabilityTable("disk", ["what was done to the disk", "what came of it"]);
const saw = (row: string, what: string): void => table.saw(row, "what came of it", what);

let guest: FaultGuest;
afterEach(() => guest.remove());
function onDisk(diskMiB: number): FaultGuest {
  guest = new FaultGuest(diskMiB);
  return guest;
}

/** What libvirt shows to whoever asked for the start. */
const refused = (what: string, hint: string): string =>
  `bootshare: No kernel can be staged for the guest ${NAME}: the file system of /var/lib/bootshare/guests/${UUID} ${what}. ${hint}\n`;
const FULL = refused(
  "is full",
  "Free space there ('df' and 'df -i' show it); the guest then starts as before.",
);

describe("a start on a disk that is full to the last byte", () => {
  it("boots the same kernel as before: what was staged for the last start makes room", async () => {
    onDisk(8).install(OLD);
    guest.bootToGood();
    guest.fillDisk();
    expect(await callHook(guest)).toMatchObject({ exit: 0, stderr: "" });
    expect(guest.staged()).toBe(`${OLD} by links`);
    guest.expectTidy();
    saw("full before a start, with the kernel of the last one", "it boots");
  });

  it("boots the last good pair when /boot is empty and its record needs another page", async () => {
    onDisk(8).install(OLD);
    guest.bootToGood();
    guest.emptyShare();
    const short = 4096 - (statSync(guest.paths.boots).size % 4096);
    writeFileSync(guest.paths.boots, `${"#".repeat(short - 1)}\n`, { flag: "a" });
    guest.fillDisk();
    expect(await callHook(guest)).toMatchObject({ exit: 0, stderr: "" });
    expect(guest.staged()).toBe(`${OLD} by good`);
    guest.expectTidy();
    saw("full before a start, with /boot empty", "the last good pair boots");
  });

  it("boots the last good pair when a new kernel has no place, says why, and boots the new one later", async () => {
    onDisk(8).install(OLD);
    guest.bootToGood();
    guest.install(NEW);
    guest.fillDisk();
    expect(await callHook(guest)).toMatchObject({ exit: 0, stderr: "" });
    expect(guest.staged()).toBe(`${OLD} by good`);
    expect(readState(guest.paths).current?.skipped).toEqual([
      { release: NEW, reason: `The file system of /var/lib/bootshare/guests/${UUID} is full.` },
    ]);
    guest.expectTidy();
    rmSync(guest.filler);
    expect(guest.prepare()).toBe(`${NEW} by links`);
    saw(
      "full before a start, with a new kernel",
      "the last good pair boots, the new one when there is space",
    );
  });

  it("refuses a first boot, leaves nothing behind, and boots when there is space", async () => {
    onDisk(8).install(NEW);
    guest.fillDisk();
    expect(await callHook(guest)).toMatchObject({ exit: 1, stderr: FULL });
    expect([readdirSync(guest.paths.pairs), readdirSync(guest.paths.run)]).toEqual([[], []]);
    rmSync(guest.filler);
    expect(await callHook(guest)).toMatchObject({ exit: 0, stderr: "" });
    guest.expectTidy();
    saw("full before the first boot", "refused, saying so; it boots when there is space");
  });
});

describe("a disk that fills up during a start", () => {
  it.each([
    ["while the initrd is copied into the store", 64 * 1024],
    ["while the initrd is staged", initrdOf(NEW).length + 128 * 1024],
  ])("refuses a first boot %s, and leaves no half of a pair behind", async (when, leaveBytes) => {
    onDisk(8).install(NEW);
    guest.fillDisk(leaveBytes);
    expect(await callHook(guest)).toMatchObject({ exit: 1, stderr: FULL });
    expect(readdirSync(guest.paths.run)).toEqual([]);
    expect(readdirSync(guest.paths.pairs).filter((name) => name.startsWith("tmp-"))).toEqual([]);
    rmSync(guest.filler);
    expect(guest.prepare()).toBe(`${NEW} by links`);
    guest.expectTidy();
    saw(`full ${when}, at the first boot`, "refused, saying so; it boots when there is space");
  });

  it("takes no half of an event for a whole one", async () => {
    onDisk(8).install(NEW);
    const page = 4096;
    writeFileSync(guest.paths.boots, `${"#".repeat(page - 101)}\n`);
    await knowInitrds(guest);
    // Just what the copies need, so that the record has the rest of its page, which is too short for it.
    const pair = [kernelOf(NEW), initrdOf(NEW)].map(({ length }) => Math.ceil(length / page) * page);
    guest.fillDisk(2 * pair.reduce((sum, bytes) => sum + bytes));
    expect(await callHook(guest)).toMatchObject({ exit: 1, stderr: FULL });
    // The line of the start ends where the page does; that it was refused is written when the copies have given way.
    const [half, last] = readFileSync(guest.paths.boots, "utf8")
      .slice(page - 100)
      .split("\n");
    expect(half).toMatch(/^\{"v":1,.*"e":"prepare"/);
    expect(half).toHaveLength(100);
    expect(parseEvents(last ?? "")).toMatchObject([{ e: "refused", disk: true }]);
    expect(readState(guest.paths).attempts).toEqual([]);
    rmSync(guest.filler);
    expect(guest.prepare()).toBe(`${NEW} by links`);
    expect(readState(guest.paths).attempts).toHaveLength(1);
    saw("full in the middle of the line that records the start", "refused; the half line is passed over");
  });
});

describe("a disk that became read-only", () => {
  it("refuses the start, changes nothing, and boots when it can be written again", async () => {
    onDisk(8).install(OLD);
    guest.bootToGood();
    guest.install(NEW);
    const before = readFileSync(guest.paths.boots);
    guest.remount("ro");
    expect(await callHook(guest)).toMatchObject({
      exit: 1,
      stderr: refused(
        "can only be read",
        "Linux makes a file system with errors read-only: look into its log (dmesg), and mount it for writing again.",
      ),
    });
    expect(readFileSync(guest.paths.boots)).toEqual(before);
    guest.expectGoodKept(OLD);
    guest.remount("rw");
    expect(await callHook(guest)).toMatchObject({ exit: 0, stderr: "" });
    expect(guest.staged()).toBe(`${NEW} by links`);
    guest.expectTidy();
    saw("read-only", "refused, saying so; it boots when it can be written again");
  });
});

describe("the phases after a start, on a disk that is full", () => {
  it("let the guest run and end, and wake the service", async () => {
    onDisk(8).install(OLD);
    guest.bootToGood();
    writeFileSync(guest.paths.boots, "#".repeat(4096 - (statSync(guest.paths.boots).size % 4096)), {
      flag: "a",
    });
    guest.fillDisk();
    for (const phase of ["started begin", "release end"])
      expect(await callHook(guest, phase)).toMatchObject({ exit: 0, stderr: "" });
    expect(existsSync(join(guest.root, "released", UUID))).toBe(true);
    saw("full when a guest starts to run, and when it ends", "neither is kept from it; the service is woken");
  });
});

it("docs/reliability.md says what was seen", () => table.expectInDocument());
