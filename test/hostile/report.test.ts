/** Boot reports as a hostile guest writes them, and what lies in the place of one. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { createServer } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { NO_REPORT, REPORT_CAP_BYTES, readReport } from "../../src/boot/report.ts";
import {
  freshGuest,
  type Ground,
  initrdOf,
  kernelOf,
  makeGround,
  picture,
  stagedPair,
  strayChanges,
} from "./ground.ts";
import { type Jail, openJail } from "./jail.ts";

const RELEASE = "6.1.0-9-amd64";
const BOOT = "01234567-89ab-4cde-8f01-23456789abcd";
const GOOD = `good ${RELEASE} ${BOOT}\n`;

let ground: Ground;
let jail: Jail;
beforeAll(async () => {
  ground = makeGround();
  jail = await openJail(ground);
});
afterAll(async () => {
  await jail.close();
  ground.remove();
});

beforeEach(() => {
  const share = freshGuest(ground, "virtiofs");
  share.file(`vmlinuz-${RELEASE}`, kernelOf(RELEASE));
  share.file(`initrd.img-${RELEASE}`, initrdOf(RELEASE));
});

const report = (): string => ground.paths.report;

describe("a report", () => {
  it("of 1 GB is read at its two ends only", () => {
    fs.writeFileSync(report(), `up ${RELEASE} ${BOOT}\n`);
    fs.truncateSync(report(), 2 ** 30);
    const fd = fs.openSync(report(), "r+");
    fs.writeSync(fd, `\n${GOOD}`, 2 ** 29);
    const before = process.memoryUsage().rss;
    expect(readReport(ground.paths)).toMatchObject({ up: RELEASE, good: undefined, end: undefined });
    fs.writeSync(fd, `\n${GOOD}end reboot\n`, 2 ** 30);
    fs.closeSync(fd);
    expect(readReport(ground.paths)).toMatchObject({ up: RELEASE, good: RELEASE, end: "reboot" });
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 2 ** 20);
  });

  it("whose middle was left out joins no two halves to a line", () => {
    const half = "x".repeat(REPORT_CAP_BYTES - 5);
    fs.writeFileSync(report(), `${half}\ngood${"y".repeat(100_000)}`);
    const tail = ` ${RELEASE} ${BOOT}\n`;
    fs.appendFileSync(report(), tail + "z".repeat(REPORT_CAP_BYTES - tail.length));
    expect(readReport(ground.paths)).toMatchObject({ up: undefined, good: undefined });
  });

  it.each<[string, string | Buffer]>([
    ["garbage", Buffer.alloc(100_000, "\x1b[2J\0\xff\n", "latin1")],
    ["a release with a terminal's escapes", `good \x1b[2J ${BOOT}\n`],
    ["a release that is a path", `good ../../etc ${BOOT}\n`],
    ["a release that is an option", `good -rf ${BOOT}\n`],
    ["a release that is too long", `good ${"x".repeat(65)} ${BOOT}\n`],
    ["a word that is none", "end <script>\nend reboot now\nEND reboot\n"],
    ["lines of other separators", `good\u2028${RELEASE} ${BOOT}\v${GOOD.trim()} \n`],
    ["a line of 16 MiB", "good ".repeat(2 ** 24 / 5)],
  ])("with %s says nothing", (_what, text) => {
    fs.writeFileSync(report(), text);
    const { written: _, ...said } = readReport(ground.paths);
    expect(said).toEqual({ up: undefined, good: undefined, end: undefined });
  });

  it("of the attempt before, which its QEMU still writes to, belongs to no later one", async () => {
    const old = fs.openSync(report(), "a");
    expect((await jail.run("virtiofs")).status).toBe(0);
    fs.writeSync(old, GOOD);
    fs.closeSync(old);
    expect(readReport(ground.paths)).toEqual(NO_REPORT);
    expect(fs.readFileSync(ground.paths.oldReport(1), "utf8")).toBe(GOOD);
  });

  it.each<[string, () => void | Promise<void>]>([
    ["a FIFO", () => void execFileSync("mkfifo", [report()])],
    ["a link to a report", () => fs.symlinkSync("elsewhere", report())],
    ["a link to the host's passwords", () => fs.symlinkSync("/etc/passwd", report())],
    ["a device", () => void execFileSync("mknod", [report(), "c", "1", "5"])],
    [
      "a socket",
      async () => {
        const server = createServer();
        await new Promise<void>((resolve) => server.listen(`${report()}.s`, resolve));
        fs.renameSync(`${report()}.s`, report());
        await new Promise((resolve) => server.close(resolve));
      },
    ],
  ])("that is %s says nothing, and is put aside as it is", async (_what, make) => {
    fs.writeFileSync(`${ground.paths.dir}/elsewhere`, GOOD);
    await make();
    expect(readReport(ground.paths)).toEqual(NO_REPORT);
    const { ino } = fs.lstatSync(report());
    const before = picture(ground);
    const run = await jail.run("virtiofs");
    expect(run).toMatchObject({ status: 0, stderr: "", violations: [] });
    expect(strayChanges(ground, before, picture(ground))).toEqual([]);
    expect(stagedPair(ground.paths).release).toBe(RELEASE);
    expect(fs.lstatSync(ground.paths.oldReport(1)).ino).toBe(ino);
    expect(readReport(ground.paths)).toEqual(NO_REPORT);
  });
});
