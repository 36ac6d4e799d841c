/**
 * A root disk of somebody's image: a copy of it, changed as little as will do. Its /boot comes out, its file system table mounts the
 * share there, bootshare's key may log in, and at its first boot it installs the parts that report its boots. Everything is
 * done by programs that need no rights (image/outsider.ts); the host's kernel never mounts it.
 */
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { EXIT, UserError } from "../../errors.ts";
import { shippedFile } from "../../paths.ts";
import { runOk } from "../../process.ts";
import { printable } from "../../text.ts";
import { publicKeysIn } from "../guest-files.ts";
import { buildGuestPackage } from "../guest-package.ts";
import { type ExtEntry, type ExtFile, ExtFileSystem, isPlainName } from "../image/ext.ts";
import { copyImage, type ImageFormat } from "../image/image-file.ts";
import { makeOutsiderFolder, mustAsOutsider, type Outsider } from "../image/outsider.ts";
import { type Volume, volumesOf } from "../image/volumes.ts";
import { extVolumes, noRoot, volumeOf } from "./find-root.ts";
import { importedFstab, type Mount, parseFstab } from "./fstab.ts";
import { type InstalledSystem, installedSystem } from "./system.ts";

/** Names in the outsider's folder. */
const RAW = "disk.raw";
const QCOW2 = "disk.qcow2";

/** More than any /boot holds, in bytes. */
const MAX_BOOT_BYTES = 4 * 2 ** 30;

/** An image, copied and looked at. */
export interface OpenImage {
  readonly outsider: Outsider;
  readonly system: InstalledSystem;
  readonly root: Volume & { readonly uuid: string };
  readonly fstab: string;
  /** What its /boot holds, copied out: files and links of the folder itself. */
  readonly bootDir: string;
  readonly bootBytes: number;
  readonly hasSshd: boolean;
  /** What a person should know. Printable. */
  readonly notes: readonly string[];
}

/**
 * Copies an image into a folder and finds out what is on it.
 *
 * @param file the image
 * @param outsider its folder is made, and is for this alone
 * @throws {UserError} those of image/, `IMAGE_ROOT_NOT_FOUND`, `IMAGE_NOT_DEBIAN`, `ARCH_UNKNOWN`, `IMAGE_NO_SYSTEMD`,
 *   `IMAGE_BOOT_NOT_FOUND`, `IMAGE_BOOT_TOO_LARGE`
 */
export async function openImage(
  file: string,
  format: ImageFormat,
  outsider: Outsider,
  signal: AbortSignal,
): Promise<OpenImage> {
  const { folder } = outsider;
  // Beside the outsider's, so that its name leads where it should, whatever an outsider does.
  const bootDir = `${folder}.boot`;
  for (const dir of [folder, bootDir]) await makeOutsiderFolder(outsider, dir, 0o700);
  await copyImage(file, format, RAW, outsider, signal);
  const { size } = await stat(join(folder, RAW));
  const volumes = await volumesOf(RAW, size, outsider, signal);
  const at = ({ offset }: Volume): ExtFileSystem => new ExtFileSystem(outsider, RAW, offset, signal);

  const root = await findRoot(volumes, at);
  if (root === undefined) throw noRoot(file, volumes);
  const fs = at(root);
  await fs.check();
  const system = installedSystem(await fs.text("/usr/lib/os-release"), await fs.text("/var/lib/dpkg/status"));
  const has = async (dir: string, name: string): Promise<boolean> =>
    (await fs.list(dir))?.some((entry) => entry.name === name) === true;
  // The folder of programs is the same by either name only where /lib is a link.
  if (!(await has("/usr/lib/systemd", "systemd")) && !(await has("/lib/systemd", "systemd"))) {
    throw new UserError(
      "IMAGE_NO_SYSTEMD",
      "The image's system has no systemd, which the boot reports need.",
      {
        exitCode: EXIT.usage,
      },
    );
  }
  const fstab = (await fs.text("/etc/fstab")) ?? "";
  const boot = await takeOut(await bootPlace(parseFstab(fstab), volumes, fs, at), bootDir);
  const hasSshd = await has("/usr/sbin", "sshd");
  const notes = [...boot.notes];
  if (!hasSshd) {
    notes.push("It has no ssh server, which 'bootshare ssh' and 'exec' need.");
  }
  return { outsider, system, root, fstab, bootDir, bootBytes: boot.bytes, hasSshd, notes };
}

async function findRoot(
  volumes: readonly Volume[],
  at: (volume: Volume) => ExtFileSystem,
): Promise<(Volume & { uuid: string }) | undefined> {
  for (const volume of extVolumes(volumes)) {
    const { uuid } = volume;
    if (uuid === undefined) continue;
    const etc = await at(volume).list("/etc");
    if (etc?.some(({ name }) => name === "passwd") === true) return { ...volume, uuid };
  }
  return undefined;
}

interface BootPlace {
  readonly fs: ExtFileSystem;
  readonly folder: string;
}

/** Where the files of /boot are: in the root file system, or in one of their own that fstab mounts there. */
async function bootPlace(
  mounts: readonly Mount[],
  volumes: readonly Volume[],
  root: ExtFileSystem,
  at: (volume: Volume) => ExtFileSystem,
): Promise<BootPlace> {
  const mount = mounts.find(({ file }) => file === "/boot");
  if (mount === undefined) return { fs: root, folder: "/boot" };
  const volume = volumeOf(mount, extVolumes(volumes));
  if (volume !== undefined) {
    const fs = at(volume);
    await fs.check();
    return { fs, folder: "" };
  }
  throw new UserError(
    "IMAGE_BOOT_NOT_FOUND",
    `The image's /boot is on ${printable(mount.spec)}, and none of its ext2, 3 or 4 file systems is that.`,
    { exitCode: EXIT.usage },
  );
}

/** Copies out the files of a /boot, and its links; not its folders, which are a loader's. */
async function takeOut({ fs, folder }: BootPlace, to: string): Promise<{ bytes: number; notes: string[] }> {
  const entries = (await fs.list(folder === "" ? "/" : folder)) ?? [];
  // A name once: a folder of somebody else's making may have it twice.
  const plain = new Map(entries.filter(({ name }) => isPlainName(name)).map((entry) => [entry.name, entry]));
  const files = [...plain.values()].filter(({ kind }) => kind === "file");
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  if (bytes > MAX_BOOT_BYTES) {
    throw new UserError("IMAGE_BOOT_TOO_LARGE", `The image's /boot has ${Math.round(bytes / 2 ** 20)} MiB.`, {
      exitCode: EXIT.usage,
    });
  }
  for (const { name } of files) await fs.copyOut(`${folder}/${name}`, `../${basename(to)}/${name}`);
  await requireSizes(to, files);
  for (const { name, kind } of plain.values()) {
    const target = kind === "link" ? await fs.linkTarget(`${folder}/${name}`) : undefined;
    if (target !== undefined && isPlainName(target)) await symlink(target, join(to, name));
  }
  const notes = entries
    .filter(({ kind, name }) => kind === "file" && !isPlainName(name))
    .map(({ name }) => `The file ${printable(name)} of its /boot was left out, because of its name.`);
  return { bytes, notes };
}

/** debugfs does not say when it could not copy a file. */
async function requireSizes(dir: string, files: readonly ExtEntry[]): Promise<void> {
  for (const { name, size } of files) {
    const copied = (await lstat(join(dir, name)).catch(() => undefined))?.size;
    if (copied === size) continue;
    throw new UserError(
      "IMAGE_DAMAGED",
      `The file ${printable(name)} of the image's /boot could not be read.`,
      {
        hint: "Check the image where it ran: e2fsck(8).",
      },
    );
  }
}

/** What is put into the image. */
export interface ImportChange {
  /** The line of fstab that mounts the share. */
  readonly shareFstabLine: string;
  readonly authorizedKeys: readonly string[];
}

export interface ImportedDisk {
  readonly diskPath: string;
  readonly hostPublicKeys: readonly string[];
  /** What a person should know. Printable. */
  readonly notes: readonly string[];
}

const KEYS_FILE = "/root/.ssh/authorized_keys";
const IMPORT = "/var/lib/bootshare/import";
const UNIT = "bootshare-import.service";
const UNITS = "/etc/systemd/system";

/** Changes the copy of an image, and makes a qcow2 disk of it. @throws {UserError} `IMAGE_NOT_WRITTEN`, `PROGRAM_FAILED` */
export async function changeImage(
  { outsider, root, fstab, hasSshd }: OpenImage,
  { shareFstabLine, authorizedKeys }: ImportChange,
  signal: AbortSignal,
): Promise<ImportedDisk> {
  const fs = new ExtFileSystem(outsider, RAW, root.offset, signal);
  const changed = importedFstab(fstab, root.uuid, shareFstabLine);
  const keys = [...((await fs.text(KEYS_FILE)) ?? "").split("\n"), ...authorizedKeys].filter(
    (line) => line !== "",
  );
  const hostKeys = hasSshd ? await sshHostKeys(fs) : { files: [], publicKeys: [] };
  const files: ExtFile[] = [
    { path: "/etc/fstab", content: changed.text, mode: 0o644 },
    { path: "/etc/fstab.before-bootshare", content: fstab, mode: 0o644 },
    { path: KEYS_FILE, content: `${keys.join("\n")}\n`, mode: 0o600, folderMode: 0o700 },
    { path: `${UNITS}/${UNIT}`, content: await shipped(UNIT), mode: 0o644 },
    { path: `${IMPORT}/first-boot`, content: await shipped("first-boot"), mode: 0o755 },
    { path: `${IMPORT}/bootshare-guest.deb`, content: await guestPackage(), mode: 0o644 },
    ...hostKeys.files,
  ];
  await fs.change({
    files,
    links: [{ path: `${UNITS}/multi-user.target.wants/${UNIT}`, target: `../${UNIT}` }],
  });
  await mustAsOutsider(outsider, "qemu-img", ["convert", "-f", "raw", "-O", "qcow2", RAW, QCOW2], { signal });
  await rm(join(outsider.folder, RAW));
  const notes = changed.doubtful.map(
    (place) =>
      `Its fstab mounts a device by its name on ${printable(place)}: names of disks are others here.`,
  );
  return { diskPath: join(outsider.folder, QCOW2), hostPublicKeys: hostKeys.publicKeys, notes };
}

async function shipped(name: string): Promise<string> {
  return await readFile(shippedFile(join("import", name)), "utf8");
}

async function guestPackage(): Promise<Buffer> {
  return await inTemporaryFolder(async (folder) => {
    const file = join(folder, "bootshare-guest.deb");
    await buildGuestPackage(file);
    return await readFile(file);
  });
}

/** The image's own host keys; where it has none, as images for clouds, new ones. */
async function sshHostKeys(fs: ExtFileSystem): Promise<{ files: ExtFile[]; publicKeys: string[] }> {
  const names = ((await fs.list("/etc/ssh")) ?? []).map(({ name }) => name);
  const present = names.filter((name) => /^ssh_host_[a-z0-9]+_key\.pub$/.test(name));
  if (present.length > 0) {
    const texts = await Promise.all(present.map(async (name) => (await fs.text(`/etc/ssh/${name}`)) ?? ""));
    return { files: [], publicKeys: texts.flatMap(publicKeysIn) };
  }
  return await inTemporaryFolder(async (folder) => {
    const dir = join(folder, "etc/ssh");
    await mkdir(dir, { recursive: true });
    await runOk("ssh-keygen", ["-q", "-A", "-f", folder]);
    const made = await Promise.all(
      (await readdir(dir)).map(async (name) => ({ name, text: await readFile(join(dir, name), "utf8") })),
    );
    return {
      files: made.map(({ name, text }) => ({
        path: `/etc/ssh/${name}`,
        content: text,
        mode: name.endsWith(".pub") ? 0o644 : 0o600,
      })),
      publicKeys: made.filter(({ name }) => name.endsWith(".pub")).flatMap(({ text }) => publicKeysIn(text)),
    };
  });
}

async function inTemporaryFolder<T>(act: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "bootshare-import-"));
  try {
    return await act(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
