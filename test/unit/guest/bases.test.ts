import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { chainOf, freezeDisk, makeOverlay, removeUnusedBases, withBases } from "../../../src/guest/bases.ts";
import { guestPathsOf, statePaths } from "../../../src/paths.ts";
import { readQcow2 } from "../../../src/provision/qcow2.ts";

let root: string;
vi.mock("../../../src/mode.ts", async (original) =>
  (await import("../mode-in.ts")).modeIn(original, () => root),
);

const QEMU = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const SOURCE = "11111111-2222-4333-8444-555555555555";
const COPY = "22222222-2222-4333-8444-555555555555";
const disk = (uuid: string): string => guestPathsOf(uuid).disk;
const bases = (): string[] => readdirSync(statePaths().bases).map((name) => join(statePaths().bases, name));
const write = (file: string, pattern: number): void => {
  execFileSync("qemu-io", ["-f", "qcow2", "-c", `write -P ${pattern} 1M 64k`, file], { stdio: "ignore" });
};
const holds = (file: string, pattern: number): boolean =>
  !execFileSync("qemu-io", ["-r", "-U", "-f", "qcow2", "-c", `read -P ${pattern} 1M 64k`, file], {
    encoding: "utf8",
  }).includes("failed");
const freeze = async (): Promise<string> =>
  (await withBases(async () => await freezeDisk(disk(SOURCE), QEMU))).file;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "bootshare-bases-"));
  for (const uuid of [SOURCE, COPY]) mkdirSync(guestPathsOf(uuid).dir, { recursive: true });
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", disk(SOURCE), "1G"]);
  write(disk(SOURCE), 1);
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

describe("freezeDisk", () => {
  it("leaves the guest an overlay on what was its disk, which nobody may write", async () => {
    const base = await freeze();
    expect(readQcow2(disk(SOURCE))).toMatchObject({ backing: base, untouched: true, size: 2 ** 30 });
    expect(statSync(base).mode & 0o777).toBe(0o400);
    expect(holds(disk(SOURCE), 1)).toBe(true);
  });

  it("shares one base until the guest writes, and what it writes is its own", async () => {
    const base = await freeze();
    expect(await freeze()).toBe(base);
    await makeOverlay({ file: base, size: 2 ** 30 }, disk(COPY), QEMU);
    write(disk(SOURCE), 2);
    expect([holds(disk(SOURCE), 2), holds(disk(COPY), 1)]).toEqual([true, true]);
    const next = await freeze();
    expect(next).not.toBe(base);
    expect(chainOf(disk(SOURCE))).toEqual([next, base]);
    expect(chainOf(disk(COPY))).toEqual([base]);
  });

  it("undoes it when a QEMU has the disk open, which goes on with it", async () => {
    const qemu = spawn("qemu-io", ["-f", "qcow2", disk(SOURCE)], { stdio: ["pipe", "pipe", "ignore"] });
    await new Promise((resolve) => qemu.stdout.once("data", resolve));
    const inode = statSync(disk(SOURCE)).ino;
    await expect(freeze()).rejects.toMatchObject({ code: "DISK_IN_USE" });
    expect([statSync(disk(SOURCE)).ino, bases()]).toEqual([inode, []]);
    const closed = new Promise((resolve) => qemu.once("close", resolve));
    qemu.stdin.end("quit\n");
    await closed;
    expect(await freeze()).toBe(bases()[0]);
  });

  const left: [string, () => void][] = [
    ["the disk has a second name", () => linkSync(disk(SOURCE), join(statePaths().bases, `${COPY}.qcow2`))],
    [
      "the disk has a second name, and half an overlay is there",
      () => {
        linkSync(disk(SOURCE), join(statePaths().bases, `${COPY}.qcow2`));
        writeFileSync(`${disk(SOURCE)}.new`, "half");
      },
    ],
  ];
  it.each(left)("goes on after one that was killed: %s", async (_what, leave) => {
    mkdirSync(statePaths().bases);
    leave();
    write(disk(SOURCE), 3);
    await removeUnusedBases();
    expect([bases(), holds(disk(SOURCE), 3)]).toEqual([[], true]);
    const base = await freeze();
    expect([holds(base, 3), holds(disk(SOURCE), 3), existsSync(`${disk(SOURCE)}.new`)]).toEqual([
      true,
      true,
      false,
    ]);
  });

  it("closes a base that one which was killed left open", async () => {
    const base = await freeze();
    chmodSync(base, 0o600);
    expect(await freeze()).toBe(base);
    expect(statSync(base).mode & 0o777).toBe(0o400);
  });

  it("takes no file for a base that QEMU may have named", async () => {
    const elsewhere = join(root, "elsewhere.qcow2");
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", elsewhere, "1G"]);
    rmSync(disk(SOURCE));
    execFileSync("qemu-img", [
      "create",
      "-q",
      "-u",
      "-f",
      "qcow2",
      "-F",
      "qcow2",
      "-b",
      elsewhere,
      disk(SOURCE),
      "1G",
    ]);
    await expect(freeze()).rejects.toMatchObject({ code: "DISK_STANDS_ELSEWHERE" });
    expect(chainOf(disk(SOURCE))).toEqual([]);
  });
});

describe("removeUnusedBases", () => {
  it("keeps what a disk stands on, directly or not, and removes the rest", async () => {
    const first = await freeze();
    write(disk(SOURCE), 2);
    const second = await freeze();
    await makeOverlay({ file: second, size: 2 ** 30 }, disk(COPY), QEMU);
    rmSync(guestPathsOf(SOURCE).dir, { recursive: true });
    await removeUnusedBases();
    expect(bases().sort()).toEqual([first, second].sort());
    rmSync(guestPathsOf(COPY).dir, { recursive: true });
    await removeUnusedBases();
    expect(bases()).toEqual([]);
  });

  it("looks at disks that cannot be read as at disks that stand on nothing", async () => {
    const base = await freeze();
    writeFileSync(disk(COPY), "no image");
    chmodSync(disk(COPY), 0o600);
    await removeUnusedBases();
    expect(bases()).toEqual([base]);
  });
});
