/** A program and its copies, where a shell of this machine stands for the guest. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { UserError } from "../../../src/errors.ts";
import { type ProgramOptions, runProgram } from "../../../src/guest/run-program.ts";
import { guest } from "./reachable.ts";

const path = process.env["PATH"] ?? "";
let folder: string;
let told: [string, boolean][];
const at = (...names: string[]): string => join(folder, ...names);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bootshare-run-"));
  told = [];
  for (const name of ["bin", "guest", "host"]) mkdirSync(at(name));
  writeFileSync(at("bin", "ssh"), '#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n', { mode: 0o755 });
  process.env["PATH"] = `${at("bin")}:${path}`;
});
afterEach(() => {
  process.env["PATH"] = path;
  rmSync(folder, { recursive: true });
});

const OUT = ["one", "gone", "two"];

/** Runs a script in the guest; OUT is copied out of it. */
async function program(
  script: string,
  more: Partial<ProgramOptions> = {},
  signal = new AbortController().signal,
): Promise<unknown> {
  const options: ProgramOptions = {
    stdout: "ignore",
    stderr: "ignore",
    copyIn: [],
    copyOut: OUT.map((name) => [at("guest", name), at("host", name)]),
    onLine: (line, failed) => told.push([line, failed]),
    ...more,
  };
  return await runProgram(guest, ["sh", "-c", `cd '${at("guest")}'; ${script}`], options, signal).catch(
    (error: unknown) => error,
  );
}

const NOT_COPIED = (name: string): string =>
  `${at("guest", name)} of the guest g could not be copied to ${at("host", name)}.`;

it("keeps the exit code of a program that failed, and copies what there is", async () => {
  expect(await program("echo 1 >one; echo 2 >two; exit 2")).toBe(2);
  expect(readdirSync(at("host")).sort()).toEqual(["one", "two"]);
  expect(told).toEqual([[`${NOT_COPIED("gone")} [COPY_FAILED]`, true]]);
});

it("fails with the copy where the program did not, and copies what there is", async () => {
  expect(await program("echo 2 >two")).toMatchObject({ code: "COPY_FAILED", message: NOT_COPIED("one") });
  expect(readdirSync(at("host"))).toEqual(["two"]);
  expect(told).toEqual([[`${NOT_COPIED("gone")} [COPY_FAILED]`, true]]);
});

it("copies in before", async () => {
  writeFileSync(at("host", "in"), "text");
  const copies: Partial<ProgramOptions> = {
    copyIn: [[at("host", "in"), at("guest", "in")]],
    copyOut: [[at("guest", "out"), at("host", "out")]],
  };
  expect(await program("cp in out; ln -s x y; exit 3", copies)).toBe(3);
  expect([readFileSync(at("host", "out"), "utf8"), told]).toEqual(["text", []]);
});

it("throws the signal's reason, and copies nothing more", async () => {
  const stop = new AbortController();
  const reason = new Error("interrupted");
  setTimeout(() => stop.abort(reason), 300);
  expect(await program("echo 1 >one; exec sleep 2", {}, stop.signal)).toBe(reason);
  expect([readdirSync(at("host")), told]).toEqual([[], []]);
});

const limited = (ms: number) => ({ ms, reason: new UserError("PROGRAM_TIMEOUT", "Its time was up.") });

it("copies out what there is when the time is up, and then says so", async () => {
  const limit = limited(2000);
  expect(await program("echo 1 >one; exec sleep 4", { limit })).toBe(limit.reason);
  expect(readdirSync(at("host"))).toEqual(["one"]);
  expect(told.map(([line]) => line)).toEqual(
    ["gone", "two"].map((name) => `${NOT_COPIED(name)} [COPY_FAILED]`),
  );
});

it("counts the program's time alone", async () => {
  writeFileSync(at("host", "in"), "text");
  // Slow in the copies, as they are tar's.
  writeFileSync(
    at("bin", "ssh"),
    '#!/bin/sh\nfor last; do :; done\ncase $last in *tar*) sleep 4 ;; esac\nexec sh -c "$last"\n',
  );
  const copies: Partial<ProgramOptions> = {
    limit: limited(3000),
    copyIn: [[at("host", "in"), at("guest", "in")]],
    copyOut: [[at("guest", "in"), at("host", "out")]],
  };
  expect(await program("exit 3", copies)).toBe(3);
  expect(readFileSync(at("host", "out"), "utf8")).toBe("text");
});

it("an interruption is one, whatever its time", async () => {
  const stop = new AbortController();
  const reason = new Error("interrupted");
  setTimeout(() => stop.abort(reason), 300);
  expect(await program("exec sleep 2", { limit: limited(60_000) }, stop.signal)).toBe(reason);
});
