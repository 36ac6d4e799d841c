/** A place for one guest with everything around it that it must not reach, and the look at it from outside. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { appendEvents, readState } from "../../src/boot/log.ts";
import { stagePair, storeProvided } from "../../src/boot/stage.ts";
import { makeGuestFolders } from "../../src/folders.ts";
import { type GuestPaths, guestPathsOf } from "../../src/paths.ts";
import { TRANSPORTS } from "../../src/share/transports.ts";
import { bzImage } from "../unit/kernel/images.ts";
import { cpio, pack, tree } from "../unit/kernel/initrds.ts";
import { type Form, HostileShare, QEMU } from "./disk.ts";

/** The guest of the golden domains in test/golden. */
export const UUID = "3b241101-e2bb-4255-8caf-4136c566a962";
export const OTHER = "0d9e6f3a-5c1b-4c1e-9f53-0b1f4a7a2c11";

/** The release of the pair that the host's own store holds where a row says that the guest was good before. */
export const STORED = "6.1.0-8-amd64";

export const kernelOf = (release: string): Buffer => bzImage({ release });

const initrds = new Map<string, Buffer>();

/** One that brings the guest up, with that release's modules: no two releases have the same bytes. */
export function initrdOf(release: string): Buffer {
  const made = initrds.get(release) ?? pack("zstd", cpio(tree({ release })));
  initrds.set(release, made);
  return Buffer.from(made);
}

/**
 * Folders that stand for /var/lib and /etc of a host: the guest's, another guest's with a good pair, a password file.
 * Everything in them may be written, so whatever does not change was left alone, and not merely kept safe.
 */
export interface Ground {
  readonly root: string;
  /** Stands for /var/lib. */
  readonly lib: string;
  /** Stands for /etc. */
  readonly etc: string;
  /** Of the guest under test, as they are outside the namespace. */
  readonly paths: GuestPaths;
  readonly hookLog: string;
  readonly remove: () => void;
}

/** Most bytes that the largest rows and what is staged of them take. */
const ROOM = 3 * 2 ** 30;

/** Memory where there is enough of it and it keeps attributes (Linux 6.6), for disks are slow to force a GiB to; else a disk. */
function place(): string {
  const memory = "/dev/shm";
  const probe = join(memory, `bootshare-probe-${process.pid}`);
  try {
    const { bavail, bsize } = fs.statfsSync(memory);
    if (bavail * bsize < ROOM) return tmpdir();
    fs.writeFileSync(probe, "");
    const args = ["-n", "user.virtfs.mode", "-v", "0x00", probe];
    return spawnSync("setfattr", args).status === 0 ? memory : tmpdir();
  } catch {
    return tmpdir();
  } finally {
    fs.rmSync(probe, { force: true });
  }
}

export function makeGround(): Ground {
  const root = fs.mkdtempSync(join(place(), "bootshare-hostile-"));
  fs.chmodSync(root, 0o755);
  const lib = join(root, "lib");
  const etc = join(root, "etc");
  const state = join(lib, "bootshare");
  for (const dir of [lib, etc, state, join(state, "guests"), join(root, "out")]) mkdir(dir, 0o755);
  for (const dir of [state, join(state, "guests")]) fs.chmodSync(dir, 0o711);
  fs.writeFileSync(join(etc, "passwd"), "root:x:0:0:root:/root:/bin/bash\n");
  fs.writeFileSync(join(etc, "shadow"), "root:$y$secret:20000::::::\n", { mode: 0o600 });
  // Without it ICU reads all of /usr/share/zoneinfo to find the name of the time zone.
  fs.symlinkSync("/usr/share/zoneinfo/Etc/UTC", join(etc, "localtime"));
  const other = guestPathsOf(OTHER, state);
  makeGuest(other, "virtiofs");
  makeGood(other, "6.1.0-7-amd64");
  const paths = guestPathsOf(UUID, state);
  const remove = (): void => fs.rmSync(root, { recursive: true, force: true });
  return { root, lib, etc, paths, hookLog: join(state, "hook.log"), remove };
}

function mkdir(dir: string, mode: number): void {
  fs.mkdirSync(dir, { recursive: true });
  fs.chmodSync(dir, mode);
}

/** Owners and modes as `bootshare create` makes them. */
function makeGuest(paths: GuestPaths, form: Form): void {
  fs.mkdirSync(paths.dir, { mode: 0o700 });
  makeGuestFolders(paths, QEMU);
  fs.chmodSync(paths.share, TRANSPORTS[form === "virtiofs" ? "virtiofs" : "9p"].dirMode);
  const owner = form === "virtiofs" ? 0 : QEMU;
  fs.chownSync(paths.share, owner, owner);
}

/** Gives a guest a last good pair in the host's own store, staged as the boot of it left it. */
function makeGood(paths: GuestPaths, release: string): void {
  const files = { kernel: join(paths.dir, "k"), initrd: join(paths.dir, "i") };
  fs.writeFileSync(files.kernel, kernelOf(release));
  fs.writeFileSync(files.initrd, initrdOf(release));
  const pair = storeProvided(paths, release, files, "amd64");
  for (const file of Object.values(files)) fs.rmSync(file);
  stagePair(paths, pair);
  appendEvents(paths, [{ e: "checkpoint", desired: "on", good: pair }]);
}

/** Makes the guest under test anew, with an empty share. */
export function freshGuest(ground: Ground, form: Form, good = false): HostileShare {
  const { paths } = ground;
  fs.rmSync(paths.dir, { recursive: true, force: true });
  fs.rmSync(ground.hookLog, { force: true });
  makeGuest(paths, form);
  if (good) makeGood(paths, STORED);
  return new HostileShare(paths.share, form);
}

const MAX_WALKED = 10_000;

/** Everything in the ground as it is now: kind, mode, owner, size, times, place, and the bytes of what is the host's. */
export type Picture = ReadonlyMap<string, string>;

export function picture(ground: Ground): Picture {
  const found = new Map<string, string>();
  const walk = (path: Buffer): void => {
    const s = fs.lstatSync(path, { bigint: true });
    const name = path.toString("latin1");
    const own = name.startsWith(ground.paths.dir);
    const bytes = s.isFile() && !own ? createHash("sha256").update(fs.readFileSync(path)).digest("hex") : "";
    found.set(
      name,
      `${s.ino} ${s.mode} ${s.nlink} ${s.uid} ${s.gid} ${s.size} ${s.mtimeNs} ${s.ctimeNs} ${bytes}`,
    );
    if (!s.isDirectory()) return;
    const entries = fs.readdirSync(path, { encoding: "buffer" });
    // Of a folder that only says "too many" the number and the folder's own times say enough.
    if (own && entries.length > MAX_WALKED) return void found.set(`${name}/`, `${entries.length} entries`);
    for (const entry of entries) walk(Buffer.concat([path, Buffer.from("/"), entry]));
  };
  for (const dir of [ground.lib, ground.etc]) walk(Buffer.from(dir));
  return found;
}

/** Paths that are new, gone or different, and that are none of the files which a start of this guest writes. */
export function strayChanges(ground: Ground, before: Picture, after: Picture): string[] {
  const { paths, hookLog } = ground;
  const written = [paths.run, paths.pairs, paths.boots, paths.oldBoots, paths.report, paths.initrds];
  const allowed = (path: string): boolean =>
    path === paths.dir ||
    // The log lies in the state root, which shows that it was made.
    path === hookLog ||
    path === join(ground.lib, "bootshare") ||
    written.some((one) => path === one || path.startsWith(`${one}/`) || path.startsWith(`${one}.`));
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name) && !allowed(name));
}

/** What was staged, looked at from outside; throws where it is not a whole pair that is what its id says. */
export function stagedPair(paths: GuestPaths): { release: string; kernel: Buffer; initrd: Buffer } {
  const pair = readState(paths).current?.pair;
  if (pair === undefined) throw new Error("no boot attempt was recorded");
  const idOf = (folder: string): string => {
    const sums = ["vmlinuz", "initrd.img"].map((name) =>
      createHash("sha256")
        .update(fs.readFileSync(join(folder, name)))
        .digest("hex"),
    );
    return createHash("sha256").update(sums.join("")).digest("hex").slice(0, 32);
  };
  const ids = [pair.id, idOf(join(paths.pairs, pair.id)), idOf(paths.run)];
  if (new Set(ids).size !== 1) throw new Error(`three ids of one pair: ${ids.join(" ")}`);
  for (const file of [paths.runKernel, paths.runInitrd]) {
    const { mode, uid, nlink } = fs.lstatSync(file);
    if (mode !== 0o100600 || uid !== 0 || nlink !== 1) throw new Error(`${file} is not root's own file`);
  }
  const strange = [
    ...fs.readdirSync(paths.run).filter((name) => name !== "vmlinuz" && name !== "initrd.img"),
    ...fs.readdirSync(paths.pairs).filter((name) => !/^[0-9a-f]{32}$/.test(name)),
  ];
  if (strange.length > 0) throw new Error(`left behind: ${strange.join(" ")}`);
  return {
    release: pair.release,
    kernel: fs.readFileSync(paths.runKernel),
    initrd: fs.readFileSync(paths.runInitrd),
  };
}

/** Characters that act in a terminal, or that end a line where none should end. */
export const ACTING = /[\p{C}\p{Zl}\p{Zp}]/u;

/** The texts in the guest's events and the hook's log that hold a character that acts, each as JSON. */
export function actingTexts(ground: Ground): string[] {
  const read = (file: string): string[] =>
    fs.existsSync(file)
      ? fs
          .readFileSync(file, "utf8")
          .split("\n")
          .filter((line) => line !== "")
      : [];
  const texts: string[] = read(ground.hookLog);
  const collect = (value: unknown): void => {
    if (typeof value === "string") texts.push(value);
    else if (typeof value === "object" && value !== null) Object.values(value).forEach(collect);
  };
  for (const line of read(ground.paths.boots)) collect(JSON.parse(line));
  return texts.filter((text) => ACTING.test(text)).map((text) => JSON.stringify(text));
}
