// What bootshare keeps about a guest is torn, garbled, of a later version, gone, or has rotted on the disk.
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmdirSync, rmSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseEvents } from "../../src/boot/events.ts";
import { readState } from "../../src/boot/log.ts";
import { changePolicy, readPolicy } from "../../src/boot/policy.ts";
import { takeRestoreNote } from "../../src/boot/restore.ts";
import { UserError } from "../../src/errors.ts";
import { FaultGuest, NEW, OLD } from "./guest.ts";
import { callHook } from "./hook.ts";
import { ReliabilityTable } from "./table.ts";

const table = new ReliabilityTable("records", ["what was done", "what came of it"]);
const saw = (row: string, what: string): void => table.saw(row, "what came of it", what);

let guest: FaultGuest;
beforeEach(() => {
  guest = new FaultGuest();
  guest.install(OLD);
  guest.bootToGood();
});
afterEach(() => guest.remove());

const boots = (): string => guest.paths.boots;
const lines = (): string[] => readFileSync(boots(), "utf8").trimEnd().split("\n");

/** Refused with this code and sentence. */
function refusal(): string {
  try {
    guest.prepare();
  } catch (error) {
    if (error instanceof UserError)
      return `${error.code}: ${error.message.replaceAll(guest.paths.dir, "GUEST")}`;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("the record of boots", () => {
  it("torn at any line: the line is passed over, and nothing else", () => {
    guest.bootToGood();
    guest.install(NEW);
    for (const [i, line] of lines().entries()) {
      const torn = guest.copy();
      const text = lines().with(i, line.slice(0, line.length / 2));
      // Without its end of line the half takes the next one with it.
      writeFileSync(torn.paths.boots, `${text.slice(0, i + 1).join("\n")}${text.slice(i + 1).join("\n")}\n`);
      expect(torn.prepare(), line).toBe(`${NEW} by links`);
      torn.expectGoodKept(OLD);
      torn.remove();
    }
    saw("boots.jsonl torn in its middle, at each line", "the new kernel boots; the last good pair is known");
  });

  const garbage: readonly [string, () => Buffer | string][] = [
    ["empty", () => ""],
    ["random bytes", () => randomBytes(64 * 1024)],
    ["text that is no event", () => 'null\n[]\n0\n"good"\n{"e":"good"}\n{}\n\n\u0000\n'],
    [
      "only lines of a later version",
      () =>
        readFileSync(boots(), "utf8").replaceAll('"v":1', '"v":2').replaceAll('"e":"end"', '"e":"finish"'),
    ],
  ];
  it.each(garbage)("%s: boots what is in the share, and is written on", (what, content) => {
    guest.install(NEW);
    writeFileSync(boots(), content());
    expect(guest.prepare()).toBe(`${NEW} by links`);
    guest.staged();
    expect(parseEvents(readFileSync(boots(), "utf8")).map(({ e }) => e)).toEqual(["prepare"]);
    saw(`boots.jsonl: ${what}`, "the new kernel boots; which pair was good is not known until one is again");
  });

  it("with lines of a later version among its own keeps what it understands", () => {
    writeFileSync(
      boots(),
      lines()
        .flatMap((line) => [line, line.replace('"v":1', '"v":2')])
        .join("\n"),
    );
    guest.emptyShare();
    expect(guest.prepare()).toBe(`${OLD} by good`);
    saw(
      "boots.jsonl: lines of a later version among this one's",
      "they are passed over; the last good pair is known",
    );
  });

  it.each(["boots.jsonl", "boots.1.jsonl"])("that is a folder (%s): refuses, and loses nothing", (name) => {
    const file = join(guest.paths.dir, name);
    const before = name === "boots.jsonl" ? readFileSync(file) : undefined;
    rmSync(file, { force: true });
    mkdirSync(file);
    expect(refusal()).toBe(`BOOTS_NOT_A_FILE: GUEST/${name}, the record of the guest's boots, is a folder.`);
    rmdirSync(file);
    if (before !== undefined) writeFileSync(file, before);
    guest.emptyShare();
    expect(guest.prepare()).toBe(`${OLD} by good`);
    saw(`${name} is a folder`, "refused, saying so; nothing is lost");
  });
});

describe("the policy", () => {
  const broken: readonly [string, () => void][] = [
    ["torn", () => truncateSync(guest.paths.policy, 20)],
    ["empty", () => truncateSync(guest.paths.policy, 0)],
    ["of a later version", () => writeFileSync(guest.paths.policy, '{"schema":2,"pin":{"release":"6.1"}}')],
    [
      "a folder",
      () => {
        unlinkSync(guest.paths.policy);
        mkdirSync(guest.paths.policy);
      },
    ],
  ];
  it.each(broken)("%s: keeps no guest from booting, and is an error for who asks", async (what, spoil) => {
    guest.install(NEW);
    changePolicy(guest.paths, { pin: OLD });
    spoil();
    const problem = `The file ${guest.paths.policy} is not a policy that this version understands.`;
    expect(guest.prepare()).toBe(`${NEW} by links`);
    expect(readState(guest.paths).current?.skipped).toEqual([{ release: "(policy)", reason: problem }]);
    expect(() => readPolicy(guest.paths)).toThrow(problem);
    saw(`policy.json: ${what}`, "the guest boots as without one, and its history says so");
  });
});

describe("the pair store", () => {
  const storedKernel = (): string =>
    join(guest.paths.pairs, readState(guest.paths).good?.id ?? "", "vmlinuz");
  const damages: readonly [string, () => void][] = [
    [
      "a byte changed",
      () => {
        const bytes = readFileSync(storedKernel());
        bytes[4000] = (bytes[4000] ?? 0) ^ 1;
        writeFileSync(storedKernel(), bytes);
      },
    ],
    ["its kernel cut short", () => truncateSync(storedKernel(), 600)],
    ["its kernel gone", () => rmSync(storedKernel())],
    ["the whole store gone", () => rmSync(guest.paths.pairs, { recursive: true })],
  ];

  it.each(damages)("%s: is made good from the share, where that has the bytes", async (what, damage) => {
    damage();
    expect(await callHook(guest)).toMatchObject({ exit: 0, stderr: "" });
    expect(guest.staged()).toBe(`${OLD} by links`);
    guest.expectGoodKept(OLD);
    guest.expectTidy();
    saw(
      `the last good pair in the store: ${what}, /boot has it still`,
      "it boots, and the store is whole again",
    );
  });

  it.each(damages)("%s: the next candidate boots, and why is said", async (what, damage) => {
    for (const name of ["vmlinuz", "initrd.img"]) rmSync(join(guest.paths.share, `${name}-${OLD}`));
    guest.install(NEW);
    changePolicy(guest.paths, { pin: OLD });
    damage();
    expect(guest.prepare()).toBe(`${NEW} by links`);
    expect(readState(guest.paths).current?.skipped).toContainEqual({
      release: OLD,
      reason: `The stored copy of ${OLD} is no longer whole.`,
    });
    saw(
      `the last good pair in the store: ${what}, it is pinned, /boot has another kernel`,
      "the other kernel boots; the history says why",
    );
  });

  it.each(damages)("%s: with nothing else left the start is refused", (what, damage) => {
    guest.emptyShare();
    damage();
    expect(refusal()).toBe(
      `NOTHING_BOOTABLE: Nothing in the /boot of guest worker1 can be booted (${OLD}: The stored copy of ${OLD} is no longer whole.).`,
    );
    guest.install(NEW);
    expect(guest.prepare()).toBe(`${NEW} by links`);
    saw(
      `the last good pair in the store: ${what}, /boot is empty`,
      "refused, saying so; boots when /boot has a kernel",
    );
  });
});

describe("what a killed program left", () => {
  it("in run/, in the store and of a restore is not taken for anything", () => {
    for (const file of [guest.paths.runKernel, guest.paths.runInitrd]) {
      writeFileSync(file, "half");
      writeFileSync(`${file}.new`, "half");
    }
    mkdirSync(join(guest.paths.pairs, "tmp-aaaaaa"));
    writeFileSync(join(guest.paths.pairs, "tmp-aaaaaa", "vmlinuz"), "half");
    writeFileSync(guest.paths.restoring, '{"libvirtPid":"4711","at":17');
    expect(takeRestoreNote(guest.paths, "4711")).toBe(false);
    expect(guest.prepare()).toBe(`${OLD} by links`);
    guest.staged();
    guest.expectTidy();
    saw("halves of files in run/ and pairs/, half a note of a restore", "a start as ever, and they are gone");
  });
});

it("docs/reliability.md says what was seen", () => table.expectInDocument());
