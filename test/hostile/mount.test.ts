/** A share with a file system of its own: where it ends, and who may mount it when. Real mounts, below /tmp alone. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildSync } from "esbuild";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { guestPaths } from "../../src/paths.ts";
import { makeShareImage } from "../../src/provision/share-image.ts";
import { mountShare, unmountShare } from "../../src/share/mount.ts";

const MIB = 2 ** 20;

let paths: ReturnType<typeof guestPaths>;
const mounts = (): string[] =>
  readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .filter((line) => line.includes(` ${paths.share} `));

beforeEach(() => {
  paths = guestPaths(mkdtempSync(join(tmpdir(), "bootshare-mount-")));
  mkdirSync(paths.share);
});
afterEach(() => {
  unmountShare(paths.share);
  rmSync(paths.dir, { recursive: true });
});

describe("a share of bounded size", () => {
  it("is empty, and root's alone, and its file takes what is in it", async () => {
    await makeShareImage(paths, 1024 * MIB);
    expect(readdirSync(paths.share)).toEqual([]);
    expect(statSync(paths.shareImage).mode & 0o777).toBe(0o600);
    expect(statSync(paths.shareImage).blocks * 512).toBeLessThan(64 * MIB);
    expect(statfsSync(paths.share).bsize * statfsSync(paths.share).blocks).toBeLessThan(1024 * MIB);
  });

  it("is full when the guest has filled it, and the host's file system is not", async () => {
    await makeShareImage(paths, 128 * MIB);
    const filler = join(paths.share, "filler");
    expect(() => writeFileSync(filler, Buffer.alloc(129 * MIB, 1))).toThrow("ENOSPC");
    writeFileSync(join(paths.dir, "staged"), Buffer.alloc(MIB, 1));
    expect(statSync(paths.shareImage).size).toBe(128 * MIB);
  });

  it("has so many files and no more", async () => {
    await makeShareImage(paths, 128 * MIB);
    const { files } = statfsSync(paths.share);
    expect(files).toBeLessThan(40_000);
    const fill = ["-c", "i=0; while : >$i; do i=$((i+1)); done 2>&1"];
    const { stdout } = spawnSync("sh", fill, { cwd: paths.share, encoding: "utf8" });
    expect(stdout).toContain("No space left on device");
    writeFileSync(join(paths.dir, "staged"), "");
  });

  it("runs nothing with anybody's rights on the host", async () => {
    await makeShareImage(paths, 128 * MIB);
    for (const folder of [paths.dir, paths.share]) chmodSync(folder, 0o755);
    const program = join(paths.share, "id");
    copyFileSync("/usr/bin/id", program);
    chmodSync(program, 0o4755);
    const asNobody = spawnSync(program, [], { uid: 65534, gid: 65534 });
    expect(asNobody.error).toMatchObject({ code: "EACCES" });
    execFileSync("mknod", ["-m", "666", join(paths.share, "null"), "c", "1", "3"]);
    expect(() => readFileSync(join(paths.share, "null"))).toThrow("EACCES");
    expect(mounts()[0]).toMatch(/ rw,nosuid,nodev,noexec,noatime/);
  });

  it("keeps what it holds over a restart of the host", async () => {
    await makeShareImage(paths, 128 * MIB);
    writeFileSync(join(paths.share, "vmlinuz"), "kernel");
    unmountShare(paths.share);
    expect([readdirSync(paths.share), mounts()]).toEqual([[], []]);
    mountShare(paths.shareImage, paths.share);
    expect(readFileSync(join(paths.share, "vmlinuz"), "utf8")).toBe("kernel");
  });

  it("is mounted once, whoever comes at the same time", async () => {
    await makeShareImage(paths, 128 * MIB);
    unmountShare(paths.share);
    const program = join(paths.dir, "child.mjs");
    const entryPoints = [join(import.meta.dirname, "mount-child.ts")];
    buildSync({ entryPoints, outfile: program, bundle: true, platform: "node", format: "esm" });
    const args = [program, paths.shareImage, paths.share];
    const children = Array.from({ length: 8 }, () =>
      spawn(process.execPath, args, { stdio: ["ignore", "ignore", "inherit"] }),
    );
    const codes = await Promise.all(children.map(async (child) => (await once(child, "exit"))[0]));
    expect(codes).toEqual(Array(8).fill(0));
    expect(mounts()).toHaveLength(1);
  });

  it("goes although somebody looks into it", async () => {
    await makeShareImage(paths, 128 * MIB);
    const sleeper = spawn("sleep", ["60"], { cwd: paths.share });
    await once(sleeper, "spawn");
    unmountShare(paths.share);
    expect(mounts()).toEqual([]);
    const ended = once(sleeper, "exit");
    sleeper.kill();
    await ended;
  });

  it("is refused with the reason where its file holds none", () => {
    writeFileSync(paths.shareImage, Buffer.alloc(MIB));
    expect(() => mountShare(paths.shareImage, paths.share)).toThrow(
      `The guest's /boot, the file system in ${paths.shareImage}, could not be mounted at ${paths.share}: mount: `,
    );
    expect(mounts()).toEqual([]);
  });

  it("is a folder like any other where it has no file", () => {
    mountShare(paths.shareImage, paths.share);
    expect(mounts()).toEqual([]);
    unmountShare(paths.share);
  });
});
