/** A guest that changes its share while the hook reads it. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readState } from "../../src/boot/log.ts";
import { survey } from "../../src/boot/prepare.ts";
import { isOfShare } from "../../src/boot/select.ts";
import { storeCandidate } from "../../src/boot/stage.ts";
import { readKernelImage } from "../../src/kernel/image.ts";
import { readInitrdHead } from "../../src/kernel/initrd.ts";
import { zImage } from "../unit/kernel/images.ts";
import { AMD64 } from "../unit/machines.ts";
import {
  ACTING,
  actingTexts,
  freshGuest,
  type Ground,
  initrdOf,
  kernelOf,
  makeGround,
  OTHER,
  picture,
  stagedPair,
  strayChanges,
} from "./ground.ts";
import { type Jail, MAX_MIB, MAX_SECONDS, openJail } from "./jail.ts";

const RELEASE = "6.1.0-9-amd64";
const KERNEL = `vmlinuz-${RELEASE}`;
const INITRD = `initrd.img-${RELEASE}`;
/** So long that copying it takes longer than a change does. */
const INITRD_BYTES = 24 * 2 ** 20;
/** How often each share is started: a change must meet each of the hook's steps once in a while. */
const STARTS = 3;

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

/** Runs a step of change.mjs in the share over and over, in a process of its own, until it is told to stop. */
async function change(what: string): Promise<() => Promise<void>> {
  const program = join(import.meta.dirname, "change.mjs");
  const child: ChildProcess = spawn(process.execPath, [program, what, ground.paths.share, KERNEL, INITRD], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (child.stdout !== null) await once(child.stdout, "data");
  return async () => {
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
}

describe("the hook, while the guest", () => {
  it.each([
    ["swaps the kernel for garbage and back", "swap-kernel"],
    ["swaps the kernel for a link to the other guest's and back", "swap-link"],
    ["swaps the kernel for a FIFO and back", "swap-fifo"],
    ["swaps the initrd for a folder and back", "swap-folder"],
    ["cuts the kernel short and writes it again", "shrink"],
    ["makes the initrd grow without end", "grow"],
    ["writes over the initrd in place", "overwrite"],
    ["takes files away and puts them back", "vanish"],
    ["changes what the links name", "links"],
    ["makes thousands of names and removes them", "names"],
  ])("%s, stages a checked pair or none", async (_name, what) => {
    for (let i = 0; i < (what === "grow" ? 1 : STARTS); i++) {
      const share = freshGuest(ground, "virtiofs");
      share.file(KERNEL, kernelOf(RELEASE));
      share.file(INITRD, Buffer.concat([initrdOf(RELEASE), Buffer.alloc(INITRD_BYTES)]));
      const before = picture(ground);
      const stop = await change(what);
      const run = await jail.run("virtiofs");
      await stop();
      const inShare = (path: string): boolean => path.startsWith(ground.paths.share);
      expect(strayChanges(ground, before, picture(ground)).filter((path) => !inShare(path))).toEqual([]);
      expect(run.violations).toEqual([]);
      expect(actingTexts(ground)).toEqual([]);
      expect(run.peakMiB).toBeLessThan(MAX_MIB);
      expect(run.seconds).toBeLessThan(MAX_SECONDS);
      expect(run.stderr.replace(/\n$/, "")).not.toMatch(ACTING);
      if (run.status !== 0) {
        expect(run.stderr).toMatch(/^bootshare: Nothing in the \/boot of guest worker-1 can be booted/);
        continue;
      }
      // Whatever was in the share when: these bytes passed the checks, whole, and their id says that they are these.
      const { kernel, initrd } = stagedPair(ground.paths);
      expect(readKernelImage(kernel, kernel.length)).toMatchObject({ ok: true, arches: ["amd64"] });
      expect(readInitrdHead(initrd, initrd.length)).toMatchObject({ ok: true });
      expect(kernel.equals(kernelOf(RELEASE))).toBe(true);
      expect(readState(ground.paths).current?.pair.release).toBe(RELEASE);
    }
  });
});

describe("a pair that was whole when it was looked at, and is copied after the guest", () => {
  const SHARE = (): string => ground.paths.share;
  const cannot = (name: string, reason: string): string => `${name} cannot be booted: ${reason}.`;
  const swap = (name: string, make: (path: string) => void): void => {
    rmSync(join(SHARE(), name));
    make(join(SHARE(), name));
  };
  it.each<[string, () => void, () => string]>([
    [
      "put garbage in place of the kernel",
      () => swap(KERNEL, (path) => writeFileSync(path, "garbage")),
      () => cannot(KERNEL, "is no kernel image that is known here"),
    ],
    [
      "cut the kernel short",
      () => truncateSync(join(SHARE(), KERNEL), 600),
      () => cannot(KERNEL, "is cut short: its header says 6129 bytes, the file has 600"),
    ],
    [
      "put another architecture's kernel in its place",
      () => swap(KERNEL, (path) => writeFileSync(path, zImage())),
      () => cannot(KERNEL, "it is a kernel for armhf or armel, not amd64"),
    ],
    [
      "put garbage in place of the initrd",
      () => swap(INITRD, (path) => writeFileSync(path, "garbage")),
      () => cannot(INITRD, "does not begin like an initrd (cpio, or a compression that the kernel knows)"),
    ],
    [
      "made the kernel larger than any",
      () => truncateSync(join(SHARE(), KERNEL), 128 * 2 ** 20 + 1),
      () => cannot(KERNEL, "it is larger than 128 MiB"),
    ],
    [
      "made the initrd larger than any",
      () => truncateSync(join(SHARE(), INITRD), 512 * 2 ** 20 + 1),
      () => `${INITRD} in the boot share ${SHARE()} has 536870913 bytes, more than 536870912.`,
    ],
    [
      "put a link to the other guest's kernel in its place",
      () =>
        swap(KERNEL, (path) => symlinkSync(join(ground.lib, "bootshare/guests", OTHER, "run/vmlinuz"), path)),
      () => `${KERNEL} in the boot share ${SHARE()} is a symbolic link, not a regular file.`,
    ],
    [
      "put a FIFO in place of the initrd",
      () => swap(INITRD, (path) => void execFileSync("mkfifo", [path])),
      () => `${INITRD} in the boot share ${SHARE()} is a FIFO, not a regular file.`,
    ],
    [
      "took the initrd away",
      () => swap(INITRD, () => {}),
      () => `${INITRD} in the boot share ${SHARE()} is not there any more.`,
    ],
  ])("%s, is not kept", (_what, make, message) => {
    const share = freshGuest(ground, "virtiofs");
    share.file(KERNEL, kernelOf(RELEASE));
    share.file(INITRD, initrdOf(RELEASE));
    const [candidate] = survey(ground.paths, AMD64).selection.candidates;
    if (candidate === undefined || !isOfShare(candidate)) throw new Error("nothing to copy");
    make();
    expect(() => storeCandidate(ground.paths, candidate, "amd64")).toThrow(message());
    expect(readdirSync(ground.paths.pairs)).toEqual([]);
  });
});
