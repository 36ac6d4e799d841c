import { describe, expect, test } from "vitest";
import { type Examined, examine, phrase, usable } from "../../../src/doctor/examine.ts";
import { linesOf, subject, verdict } from "../../../src/doctor/report.ts";
import { met, type Requirement, unmet } from "../../../src/doctor/requirement.ts";
import { UserError } from "../../../src/errors.ts";
import { modeOf } from "../../../src/mode.ts";
import { examined, HEALTHY, missing, UUID } from "./machine.ts";

const requirement = (check: Requirement["check"], limitMs?: number): Requirement => ({
  id: "x",
  title: "a thing",
  need: "required",
  check,
  ...(limitMs === undefined ? {} : { limitMs }),
});
const throwing = (error: unknown) => async () => {
  throw error;
};

describe("examine", () => {
  test("fills in what scripts read", async () => {
    const one = await examine(requirement(async () => unmet("nothing", "mend it")));
    expect(one).toEqual({
      id: "x",
      title: "a thing",
      required: true,
      ok: false,
      found: "nothing",
      fix: "mend it",
    });
    expect((await examine(requirement(async () => met("it")))).fix).toBeNull();
  });

  test("a check that does not end is not known", async () => {
    const never = new Promise<never>(() => {});
    expect(await examine(requirement(async () => await never, 20))).toMatchObject({
      ok: null,
      found: "no answer within 0.02 s",
    });
  });

  test.each<[string, unknown, boolean | null, string, string | null]>([
    [
      "an error of a user's",
      new UserError("A", "The thing\u001b is broken.", { hint: "Mend it." }),
      false,
      "the thing\\x1b is broken",
      "Mend it.",
    ],
    ["EACCES", Object.assign(new Error("x"), { code: "EACCES" }), null, "this user may not look", null],
    ["EIO", Object.assign(new Error("x"), { code: "EIO" }), null, "it could not be looked at (EIO)", null],
  ])("%s is a finding", async (_what, error, ok, found, fix) => {
    expect(await examine(requirement(throwing(error)))).toMatchObject({ ok, found, fix });
  });

  test("a bug is thrown", async () => {
    await expect(examine(requirement(throwing(new TypeError("bug"))))).rejects.toThrow("bug");
  });
});

test.each([
  ["The program is missing.", "the program is missing"],
  ["KVM ran a guest.", "KVM ran a guest"],
  ["/dev/kvm cannot be opened (EIO).", "/dev/kvm cannot be opened (EIO)"],
])("the phrase of '%s'", (sentence, expected) => expect(phrase(sentence)).toBe(expected));

const one = (ok: boolean | null, required: boolean): Examined => ({
  id: "x",
  title: "a thing",
  required,
  ok,
  found: "y",
  fix: null,
});

test.each<[readonly Examined[], boolean | null, string]>([
  [[], true, "Usable: this machine can make and run amd64 guests."],
  [
    [one(true, true), one(false, false), one(null, false)],
    true,
    "Usable: this machine can make and run amd64 guests.",
  ],
  [[one(false, true), one(null, true)], false, "Not usable for amd64 guests: one requirement is missing."],
  [[one(false, true), one(false, true)], false, "Not usable for amd64 guests: 2 requirements are missing."],
  [[one(null, true), one(true, true)], null, "Not known: one requirement is still to be looked at."],
])("the verdict of %j", (all, expected, sentence) => {
  expect(usable(all)).toBe(expected);
  expect(verdict(all, "amd64")).toBe(sentence);
});

test("whose guests it is about comes first", () => {
  expect(subject(modeOf(0, {}, "/root"))).toBe(
    "Guests of this machine: libvirt at qemu:///system, folders in /var/lib/bootshare.",
  );
  expect(subject(modeOf(1000, {}, "/home/u"))).toBe(
    "Guests of this user alone, without root (session mode): libvirt at qemu:///session, folders in /home/u/.local/state/bootshare.",
  );
});

test.each<[Examined, string[]]>([
  [one(true, true), ["ok      a thing: y"]],
  [one(null, true), ["unknown a thing: y"]],
  [{ ...one(false, true), fix: "mend it" }, ["MISSING a thing: y", "        fix: mend it"]],
  [one(false, false), ["note    a thing: y"]],
])("the lines of %j", (finding, lines) => expect(linesOf(finding)).toEqual(lines));

test("lines of a healthy machine, and of one that lacks programs, fit in 80 columns", async () => {
  const bare = { find: () => undefined, run: async () => missing, virtiofsd: () => undefined };
  for (const changes of [{}, bare]) {
    const lines = (await examined(changes)).flatMap(linesOf);
    expect(lines.filter((line) => line.length > 80 && !line.includes(UUID))).toEqual([]);
  }
});

test("every id and title is there once", async () => {
  for (const [arch, native] of [
    ["amd64", "amd64"],
    ["armhf", "arm64"],
  ] as const) {
    const all = await examined({ ...HEALTHY, nodeArch: native === "arm64" ? "arm64" : "x64" }, arch, native);
    expect(new Set(all.map(({ id }) => id)).size).toBe(all.length);
    expect(new Set(all.map(({ title }) => title)).size).toBe(all.length);
  }
});
