/**
 * The disk of a guest that is exported: a copy, in whose root file system /boot is again, with a unit that takes bootshare's parts
 * out at the next boot (export/). A disk without partitions is given some, so that a loader has a place.
 */
import { lchown, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../../errors.ts";
import type { DebianArch } from "../../kernel/arch.ts";
import { shippedFile } from "../../paths.ts";
import { fillIn } from "../guest-files.ts";
import { ExtFileSystem, isPlainName } from "../image/ext.ts";
import { makeOutsiderFolder, mustAsOutsider, type Outsider } from "../image/outsider.ts";
import { type Volume, volumesOf } from "../image/volumes.ts";
import { extVolumes, volumeOf } from "../import/find-root.ts";
import { parseFstab } from "../import/fstab.ts";
import { exportedFstab } from "./fstab.ts";
import { type LoaderPlan, planLoader } from "./loader.ts";

/** Names in the outsider's folder. */
const RAW = "disk.raw";
const PARTITIONED = "partitioned.raw";
const QCOW2 = "disk.qcow2";

const MIB = 2 ** 20;
/** Where the root's partition begins: after one of 1 MiB for the loader, which begins at the first. Bytes. */
const ROOT_OFFSET = 2 * MIB;
/** For the second copy of the table, at the end. Bytes. */
const TABLE_END = MIB;

/** A file of the guest's /boot, on the host. */
export interface BootFile {
  readonly name: string;
  readonly from: string;
}

export interface ExportWishes {
  /** The guest's disk, qcow2; whatever it stands on. Nobody writes to it. */
  readonly disk: string;
  readonly rootUuid: string;
  readonly kernelArch: DebianArch;
  readonly bootFiles: readonly BootFile[];
  /** Links of the guest's /boot, to names beside them. */
  readonly bootLinks: readonly { readonly name: string; readonly target: string }[];
}

export interface ReadyDisk {
  /** Absolute path of the disk, raw. */
  readonly raw: string;
  readonly root: Volume;
  readonly loader: LoaderPlan;
}

const UNIT = "bootshare-export.service";
const UNITS = "/etc/systemd/system";
const EXPORT = "/var/lib/bootshare/export";

/**
 * Makes the disk that finishes itself at its next boot.
 *
 * @throws {UserError} `EXPORT_ROOT_NOT_FOUND`, `EXPORT_BOOT_NOT_FOUND`, `IMAGE_DAMAGED`, `IMAGE_NOT_WRITTEN`, `PROGRAM_FAILED`,
 *   `PROGRAM_MISSING`
 */
export async function prepareExport(
  { disk, rootUuid, kernelArch, bootFiles, bootLinks }: ExportWishes,
  outsider: Outsider,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<ReadyDisk> {
  const { folder } = outsider;
  // QEMU, which reaches the disk by its path, is the same user where we are root.
  await makeOutsiderFolder(outsider, folder, 0o700);
  say("copying its disk");
  await mustAsOutsider(outsider, "qemu-img", ["convert", "-f", "qcow2", "-O", "raw", disk, RAW], { signal });
  const { size } = await stat(join(folder, RAW));
  const before = await volumesOf(RAW, size, outsider, signal);
  const old = before.find(({ uuid }) => uuid === rootUuid);
  if (old === undefined) throw rootNotFound(rootUuid);
  const fsBefore = new ExtFileSystem(outsider, RAW, old.offset, signal);
  await fsBefore.check();
  const partitioned = old.number !== undefined;
  const grub = (await fsBefore.list("/usr/lib/grub"))?.some(({ name }) => name === "i386-pc") === true;
  const loader = planLoader({ kernelArch, partitioned, grub });
  let volumes = before;
  if (loader.kind === "install" && !partitioned) {
    say("giving it partitions");
    await givePartitions(outsider, size, signal);
    const { size: now } = await stat(join(folder, RAW));
    volumes = await volumesOf(RAW, now, outsider, signal);
  }
  const root = volumes.find(({ uuid }) => uuid === rootUuid);
  if (root === undefined) throw rootNotFound(rootUuid);

  say("putting its /boot in");
  const fs = new ExtFileSystem(outsider, RAW, root.offset, signal);
  const fstab = exportedFstab((await fs.text("/etc/fstab")) ?? "");
  const mount = parseFstab(fstab).find(({ file }) => file === "/boot");
  const bootVolume = mount === undefined ? root : volumeOf(mount, extVolumes(volumes));
  if (bootVolume === undefined) {
    throw new UserError(
      "EXPORT_BOOT_NOT_FOUND",
      "The guest's fstab names a /boot that its disk does not have.",
    );
  }
  const place = bootVolume === root ? "/boot" : "";
  const bootFs = bootVolume === root ? fs : new ExtFileSystem(outsider, RAW, bootVolume.offset, signal);
  if (bootFs !== fs) await bootFs.check();
  await replaceBoot(bootFs, place, bootFiles, bootLinks);
  const unit = fillIn(await shipped(UNIT), {
    PACKAGE: loader.kind === "install" ? loader.loader.package : "none",
  });
  await fs.change({
    files: [
      { path: "/etc/fstab", content: fstab, mode: 0o644 },
      { path: `${UNITS}/${UNIT}`, content: unit, mode: 0o644 },
      { path: `${EXPORT}/finish`, content: await shipped("finish"), mode: 0o755 },
    ],
    links: [{ path: `${UNITS}/multi-user.target.wants/${UNIT}`, target: `../${UNIT}` }],
    removed: ["/etc/fstab.before-bootshare"],
  });
  return { raw: join(folder, RAW), root, loader };
}

/** Puts the files of the share where a /boot on the disk has them; those that an older /boot left there go. */
async function replaceBoot(
  fs: ExtFileSystem,
  folder: string,
  files: readonly BootFile[],
  links: ExportWishes["bootLinks"],
): Promise<void> {
  const there = (await fs.list(folder === "" ? "/" : folder)) ?? [];
  const removed = there
    .filter(({ kind, name }) => (kind === "file" || kind === "link") && isPlainName(name))
    .map(({ name }) => `${folder}/${name}`);
  await fs.change({ removed });
  // One at a time: an initrd is held in memory whole.
  for (const { name, from } of files) {
    await fs.change({ files: [{ path: `${folder}/${name}`, content: await readFile(from), mode: 0o644 }] });
  }
  await fs.change({ links: links.map(({ name, target }) => ({ path: `${folder}/${name}`, target })) });
}

/** Makes a disk with partitions of one that is a file system. */
async function givePartitions(outsider: Outsider, bytes: number, signal: AbortSignal): Promise<void> {
  // By the outsider: a name in its folder may lead anywhere.
  const size = String(ROOT_OFFSET + bytes + TABLE_END);
  await mustAsOutsider(outsider, "truncate", ["--size", size, PARTITIONED], { signal });
  const sectors = (size: number): number => size / 512;
  const table = [
    "label: gpt",
    // BIOS boot partition, and Linux file system data.
    `start=${sectors(MIB)}, size=${sectors(MIB)}, type=21686148-6449-6E6F-744E-656564454649`,
    `start=${sectors(ROOT_OFFSET)}, size=${sectors(bytes)}, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4`,
    "",
  ].join("\n");
  await mustAsOutsider(outsider, "sfdisk", ["--quiet", "--no-reread", "--no-tell-kernel", PARTITIONED], {
    signal,
    input: table,
  });
  const copy = [
    `if=${RAW}`,
    `of=${PARTITIONED}`,
    "bs=1M",
    `seek=${ROOT_OFFSET / MIB}`,
    "conv=notrunc,sparse",
  ];
  await mustAsOutsider(outsider, "dd", [...copy, "status=none"], { signal });
  await mustAsOutsider(outsider, "mv", [PARTITIONED, RAW], { signal });
}

/**
 * Takes what the disk has become in its boot.
 *
 * @returns the path of the disk, qcow2
 * @throws {UserError} `EXPORT_NOT_FINISHED` where that boot did not come to its end
 */
export async function takeExport(
  { root }: ReadyDisk,
  outsider: Outsider,
  consoleTail: string,
  signal: AbortSignal,
): Promise<string> {
  // libvirt lent it to QEMU, and gives it back to whose it was only where the file system remembers that.
  if (process.getuid?.() === 0) await lchown(join(outsider.folder, RAW), outsider.uid, outsider.gid);
  const fs = new ExtFileSystem(outsider, RAW, root.offset, signal);
  await fs.check();
  const left = (await fs.list(EXPORT))?.map(({ name }) => name) ?? [];
  if (!left.includes("done")) {
    throw new UserError(
      "EXPORT_NOT_FINISHED",
      "The copy of the guest did not finish its last boot under bootshare.",
      {
        detail: consoleTail,
        hint: "It needs a network and its apt a mirror where a boot loader is to be installed. The guest itself is as it was.",
      },
    );
  }
  await fs.change({
    removed: [`${EXPORT}/done`, `${EXPORT}/finish`],
    removedFolders: [EXPORT, "/var/lib/bootshare"],
  });
  await mustAsOutsider(outsider, "qemu-img", ["convert", "-f", "raw", "-O", "qcow2", RAW, QCOW2], { signal });
  await rm(join(outsider.folder, RAW));
  return join(outsider.folder, QCOW2);
}

async function shipped(name: string): Promise<string> {
  return await readFile(shippedFile(join("export", name)), "utf8");
}

function rootNotFound(uuid: string): UserError {
  return new UserError("EXPORT_ROOT_NOT_FOUND", `No file system on the guest's disk has the UUID ${uuid}.`, {
    hint: "Its domain's command line says root=UUID=…: is that still the root of what is installed?",
  });
}
