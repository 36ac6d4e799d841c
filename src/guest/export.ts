/**
 * Gives a guest back to its owner as an ordinary domain: with /boot on its disk, and a boot loader where its architecture has
 * one. All is done on a copy, whose last boot under bootshare takes bootshare's parts out; until that has succeeded the guest
 * is as it was. Then the disk gets its place, the domain is defined anew, and the guest's folder goes away, in this order: a
 * process that is killed leaves the guest, or an ordinary domain with a folder that nobody needs.
 */
import { randomUUID } from "node:crypto";
import { accessSync, chmodSync, chownSync, constants, existsSync, mkdirSync, statSync } from "node:fs";
import { copyFile, link, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { copyFromShare } from "../boot/stage.ts";
import { syncFile, syncFolder } from "../boot/sync.ts";
import { bootTimeout } from "../boot/timeout.ts";
import { EXIT, errnoOf, UserError } from "../errors.ts";
import type { BootEntry } from "../kernel/catalogue.ts";
import { adoptionFacts } from "../libvirt/domain-adopt.ts";
import { type Boots, finishingDomainXml, ordinaryDomainXml } from "../libvirt/domain-export.ts";
import { defineDomain, destroyDomain, domainStatuses, dumpXml, snapshotNames } from "../libvirt/virsh.ts";
import { SHARE_TAG, statePaths } from "../paths.ts";
import { type BootFile, prepareExport, takeExport } from "../provision/export/export-disk.ts";
import type { LoaderPlan } from "../provision/export/loader.ts";
import { requireFree } from "../provision/free-space.ts";
import { isPlainName } from "../provision/image/ext.ts";
import { requirePlainFile } from "../provision/image/outsider.ts";
import { readBootFolder } from "../share/folder.ts";
import { mountShare } from "../share/mount.ts";
import { printable } from "../text.ts";
import { isEphemeral } from "./abandoned.ts";
import { chainOf, ownDisk, removeUnusedBases } from "./bases.ts";
import { serialTail } from "./create.ts";
import { deleteFolder, removeFolder } from "./delete.ts";
import { exportRefusal, rootUuidIn } from "./export-source.ts";
import { requireFolderUnused } from "./folder-users.ts";
import { definitionOf, findGuest, type Guest, type GuestView, look } from "./inventory.ts";
import { LOCK_WAIT_MS, withGuestLock } from "./lock.ts";
import { qemuUser } from "./qemu-user.ts";
import { runOnce } from "./run-once.ts";
import { makeWorkFolder } from "./work-folder.ts";

export interface ExportOptions {
  /** Absolute path of the disk image that is made, which is not there. Files beside it begin with its name. */
  readonly file: string;
  /** Leave the guest as it is; only the disk is made, and the domain's XML beside it. */
  readonly copy: boolean;
  /** Seconds that its last boot may take; as long as any boot of its may where undefined. 0 for no limit. */
  readonly bootTimeout: number | undefined;
}

export interface Exported {
  /** Absolute paths of what was made. */
  readonly files: readonly string[];
  /** What boots it: a clause that follows "It boots". */
  readonly boots: string;
  /** What of its /boot is not on the disk: a loader's folders, names that are none. Printable. */
  readonly leftOut: readonly string[];
}

/** The same reason as for a boot, and a loader's packages come over the network. */
const FINISH_FACTOR = 3;

/**
 * Exports a guest.
 *
 * @param say a line on what is going on
 * @throws {UserError} those of {@link exportRefusal}, `FOLDER_IN_USE`, `EXPORT_FILE_EXISTS`, `EXPORT_FOLDER_MISSING`,
 *   `EXPORT_FOLDER_UNWRITABLE`, `NO_SPACE`, `EXPORT_TIMEOUT`, `EXPORT_STARTED_MEANWHILE`, `EXPORT_NOT_PLACED`, and those of
 *   export-disk.ts
 * @throws the signal's reason when aborted; nothing is left of it then
 */
export async function exportGuest(
  nameOrUuid: string,
  options: ExportOptions,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Exported> {
  const listed = await findGuest(nameOrUuid);
  requirePlace(options.file);
  return await withGuestLock(listed, LOCK_WAIT_MS, async () => {
    const view = await requireSource(listed);
    await endLeftover(view.uuid);
    // Found now, and not after the minutes that its copy takes; and once more before the folder goes.
    if (!options.copy) await requireFolderUnused(view, await domainStatuses());
    const work = join(statePaths().work, randomUUID());
    await makeWorkFolder(work);
    try {
      return await exportIn(work, view, options, say, signal);
    } finally {
      await removeFolder(work);
      await removeUnusedBases();
    }
  });
}

async function exportIn(
  work: string,
  view: GuestView,
  { file, copy, bootTimeout: wanted }: ExportOptions,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Exported> {
  const { uuid, name, paths, state } = view;
  const definition = await definitionOf(view);
  const rootUuid = rootUuidIn(definition.cmdline);
  const good = state.good;
  if (rootUuid === undefined || good === undefined)
    throw new Error("a guest that can be exported has a root and was good");
  requireRoom(paths.disk, work, file);
  mountShare(paths.shareImage, paths.share);
  const qemu = await qemuUser();
  const outsider = { ...qemu, folder: join(work, "disk") };
  const boot = takeBootFiles(paths.share, join(work, "boot"));
  ownDisk(paths.disk, qemu);
  const before = diskNow(paths.disk);
  const wishes = {
    disk: paths.disk,
    rootUuid,
    kernelArch: definition.arch,
    bootFiles: boot.files,
    bootLinks: boot.links,
  };
  const ready = await prepareExport(wishes, outsider, say, signal);

  const pair = { kernel: join(work, "vmlinuz"), initrd: join(work, "initrd.img") };
  await copyFile(join(paths.pairs, good.id, "vmlinuz"), pair.kernel);
  await copyFile(join(paths.pairs, good.id, "initrd.img"), pair.initrd);
  const serialLog = join(work, "serial.log");
  const limit = bootTimeout(wanted, definition.accel, true);
  const timeoutMs = limit === undefined ? Number.POSITIVE_INFINITY : limit * FINISH_FACTOR * 1000;
  say(
    `booting the copy, which ${ready.loader.kind === "install" ? `installs ${ready.loader.loader.package}` : "finishes itself"}`,
  );
  const finishing = { name: finishingName(uuid), uuid: randomUUID() };
  const xml = await dumpXml(uuid, { inactive: true, secrets: true });
  const disk = { old: paths.disk, file: ready.raw, format: "raw" } as const;
  await bootOnce(
    finishingDomainXml(xml, { ...finishing, disk, boots: pair, serialLog }),
    finishing.uuid,
    view,
    timeoutMs,
    serialLog,
    signal,
  );
  say("taking the disk");
  const made = await takeExport(ready, outsider, await serialTail({ serialLog }), signal);

  const boots = bootsBy(ready.loader, file);
  const ordinary = ordinaryDomainXml(xml, { old: paths.disk, file, format: "qcow2" }, boots);
  const files: (readonly [from: string, to: string])[] = [[made, file]];
  if (typeof boots !== "string") files.push([pair.kernel, boots.kernel], [pair.initrd, boots.initrd]);
  const xmlFile = join(work, "domain.xml");
  await writeFile(xmlFile, ordinary);
  if (copy) files.push([xmlFile, `${file}.xml`]);
  const unchanged = async (): Promise<void> => await requireUnchanged(view, before);
  await unchanged();
  const stillOurs = async (): Promise<boolean> =>
    (await dumpXml(uuid, { inactive: true })).includes(paths.disk);
  await placeAll(files, stillOurs, async () => {
    if (copy) return;
    await unchanged();
    await requireFolderUnused(view, await domainStatuses());
    say(`defining the domain ${name} anew`);
    await defineDomain(ordinary);
    try {
      // virsh starts what it wants: what was started just before has our disk still.
      await unchanged();
    } catch (error) {
      await defineDomain(xml);
      throw error;
    }
  });
  if (!copy) await deleteFolder(uuid);
  return { files: files.map(([, to]) => to), boots: bootsPhrase(ready.loader), leftOut: boot.leftOut };
}

function bootsPhrase(loader: LoaderPlan): string {
  return loader.kind === "none"
    ? `by the kernel that its domain names, because ${loader.why}`
    : "from its disk, by GRUB";
}

function bootsBy({ kind }: LoaderPlan, file: string): Boots {
  if (kind === "none") return { kernel: `${file}.vmlinuz`, initrd: `${file}.initrd.img` };
  return kind === "own" ? "own loader" : "loader";
}

async function requireSource(listed: Guest): Promise<GuestView> {
  const view = look(await findGuest(listed.uuid));
  const { uuid, name, status, state, paths } = view;
  const { cmdline } = await definitionOf(view);
  const { disks, tags } = adoptionFacts(await dumpXml(uuid, { inactive: true }));
  const refusal = exportRefusal({
    name,
    state: status.state,
    saved: status.saved,
    ephemeral: isEphemeral(paths),
    adopted: existsSync(paths.adopted),
    everGood: state.good !== undefined,
    rootByUuid: rootUuidIn(cmdline) !== undefined,
    otherDisks: disks.filter((disk) => disk !== paths.disk).map((disk) => printable(disk)),
    ownDisk: disks.includes(paths.disk),
    otherFolders: tags.filter((tag) => tag !== SHARE_TAG).map((tag) => printable(tag)),
    snapshots: await snapshotNames(uuid),
  });
  if (refusal !== undefined) throw refusal;
  return view;
}

interface BootContent {
  readonly files: readonly BootFile[];
  readonly links: readonly { readonly name: string; readonly target: string }[];
  readonly leftOut: readonly string[];
}

/** Of one file in /boot: more than any has. It is held in memory. */
const MAX_FILE_BYTES = 2 ** 30;

/** Copies the files of its /boot into a folder of one's own. */
function takeBootFiles(share: string, folder: string): BootContent {
  mkdirSync(folder, { mode: 0o700 });
  const entries = readBootFolder(share).filter(({ name }) => !name.includes("/"));
  const isFile = ({ kind, problem, name }: BootEntry): boolean =>
    kind === "file" && problem === undefined && isPlainName(name);
  const files = entries.filter(isFile).map(({ name }) => {
    const from = join(folder, name);
    copyFromShare(share, name, from, MAX_FILE_BYTES);
    return { name, from };
  });
  const links = entries.flatMap(({ kind, name, target }) =>
    kind === "link" && target !== undefined && isPlainName(name) && isPlainName(target)
      ? [{ name, target }]
      : [],
  );
  const taken = new Set([...files, ...links].map(({ name }) => name));
  const leftOut = entries.filter(({ name }) => !taken.has(name)).map(({ name }) => printable(name));
  return { files, links, leftOut };
}

function finishingName(uuid: string): string {
  return `export-${uuid.slice(0, 8)}`;
}

/** Ends what an export that was killed left running: its disk is gone, or goes with the work folder. */
async function endLeftover(uuid: string): Promise<void> {
  const leftover = (await domainStatuses()).find(({ name }) => name === finishingName(uuid));
  if (leftover === undefined || leftover.state === "shut off") return;
  if ((await dumpXml(leftover.uuid)).includes(`${statePaths().work}/`)) await destroyDomain(leftover.uuid);
}

/** Boots a domain that shuts itself down. */
async function bootOnce(
  xml: string,
  uuid: string,
  { name }: Guest,
  timeoutMs: number,
  serialLog: string,
  signal: AbortSignal,
): Promise<void> {
  await runOnce(
    { xml, uuid, timeoutMs },
    async () => {
      throw new UserError(
        "EXPORT_TIMEOUT",
        `The copy of ${name} did not finish within ${Math.round(timeoutMs / 1000)} s.`,
        {
          exitCode: EXIT.timeout,
          detail: await serialTail({ serialLog }),
          hint: "--boot-timeout gives it longer. The guest itself is as it was.",
        },
      );
    },
    signal,
  );
}

/** What tells whether somebody wrote to a disk. */
function diskNow(disk: string): string {
  const { ino, size, mtimeMs } = statSync(disk);
  return [ino, size, mtimeMs].join(" ");
}

/** What was copied is what the guest still is: it is off, and nobody wrote to its disk. */
async function requireUnchanged({ uuid, name, paths }: GuestView, disk: string): Promise<void> {
  const state = (await domainStatuses()).find((one) => one.uuid === uuid)?.state;
  if (state === "shut off" && diskNow(paths.disk) === disk) return;
  throw new UserError(
    "EXPORT_STARTED_MEANWHILE",
    `The guest ${name} was started while its copy was made; it was left as it is.`,
    {
      exitCode: EXIT.conflict,
      hint: "Stop it, and export it again.",
    },
  );
}

/**
 * Gives files their places and does what is to be done then; when that fails, they go away again, unless it may have been
 * done all the same.
 *
 * @param undone whether it was certainly not done
 */
async function placeAll(
  files: readonly (readonly [from: string, to: string])[],
  undone: () => Promise<boolean>,
  then: () => Promise<void>,
): Promise<void> {
  const placed: string[] = [];
  try {
    for (const [from, to] of files) {
      await putInPlace(from, to);
      placed.push(to);
    }
    await then();
  } catch (error) {
    if (await undone().catch(() => false)) for (const one of placed) await rm(one, { force: true });
    throw error;
  }
}

/** Gives a file its place, where nothing is; also on another file system. @throws {UserError} `EXPORT_NOT_PLACED` */
async function putInPlace(from: string, to: string): Promise<void> {
  const beside = `${to}.${randomUUID()}`;
  try {
    await moveTo(from, beside);
    // As libvirt leaves the disk of a domain that is off: root's, and nobody else's to read.
    requirePlainFile(beside);
    chmodSync(beside, 0o600);
    if (process.getuid?.() === 0) chownSync(beside, 0, 0);
    syncFile(beside);
    // Unlike a rename it replaces nothing.
    await link(beside, to);
    await rm(beside);
    syncFolder(dirname(to));
  } catch (error) {
    await rm(beside, { force: true }).catch(() => {});
    const errno = errnoOf(error);
    if (errno === undefined) throw error;
    if (errno === "EEXIST") throw isThere(to);
    throw new UserError("EXPORT_NOT_PLACED", `${printable(to)} could not be made (${errno}).`, {
      hint: "Name a file on a file system of Linux's own with enough room, where you may write. The guest is as it was.",
      cause: error,
    });
  }
}

async function moveTo(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if (errnoOf(error) !== "EXDEV") throw error;
    await copyFile(from, to, constants.COPYFILE_EXCL);
  }
}

function requirePlace(file: string): void {
  if (!existsSync(dirname(file)) || !statSync(dirname(file)).isDirectory()) {
    throw new UserError("EXPORT_FOLDER_MISSING", `There is no folder ${printable(dirname(file))}.`, {
      exitCode: EXIT.notFound,
    });
  }
  try {
    accessSync(dirname(file), constants.W_OK);
  } catch {
    throw new UserError("EXPORT_FOLDER_UNWRITABLE", `You may not write to ${printable(dirname(file))}.`, {
      exitCode: EXIT.usage,
      hint: "Name a file in another folder.",
    });
  }
  const there = [file, `${file}.xml`, `${file}.vmlinuz`, `${file}.initrd.img`].find((one) => existsSync(one));
  if (there !== undefined) throw isThere(there);
}

function isThere(file: string): UserError {
  return new UserError("EXPORT_FILE_EXISTS", `${printable(file)} is there already.`, {
    exitCode: EXIT.conflict,
    hint: "Name another file, or remove it.",
  });
}

/** A copy as raw, once more while it gets partitions, and the disk that is made of it. */
const COPIES = 3;

function requireRoom(disk: string, work: string, file: string): void {
  // With all that it stands on.
  const needed = [disk, ...chainOf(disk)].reduce((sum, one) => sum + statSync(one).blocks * 512, 0);
  requireFree(work, needed * COPIES, "the export");
  requireFree(dirname(file), needed, "the export");
}
