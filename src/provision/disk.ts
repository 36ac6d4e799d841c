/** Turns a folder into a root disk: an ext4 file system without a partition table, in a sparse qcow2 image. */
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { EXIT, UserError } from "../errors.ts";
import { run, runOk } from "../process.ts";
import { lastLines } from "../text.ts";
import { asGuestRoot } from "./user-namespace.ts";

const MIB = 1024 * 1024;
/** Smallest disk: Debian, a second kernel and room for an upgrade. Bytes. */
export const MIN_DISK_BYTES = 2 * 1024 * MIB;
/** Free space that making a root disk needs beside the disk itself, in bytes. */
export const WORK_SPACE_BYTES = 4 * 1024 * MIB;

/** @throws {UserError} `DISK_SIZE_INVALID` */
export function checkDiskSize(bytes: number): void {
  if (Number.isSafeInteger(bytes) && bytes >= MIN_DISK_BYTES) return;
  throw new UserError("DISK_SIZE_INVALID", "The root disk would be too small.", {
    hint: `At least ${MIN_DISK_BYTES / MIB} MiB.`,
    exitCode: EXIT.usage,
  });
}

/** Moves what is in the guest's /boot to `bootDir`, which is made; /boot stays as the empty mount point. */
export async function takeBoot(root: string, bootDir: string): Promise<string[]> {
  await mkdir(bootDir, { recursive: true });
  const names = (await readdir(join(root, "boot"))).sort();
  for (const name of names) await rename(join(root, "boot", name), join(bootDir, name));
  return names;
}

/**
 * The kernel release that a /boot holds one kernel of.
 *
 * @param withInitrd whether an initrd was to be made
 * @throws {UserError} `BOOTSTRAP_FAILED` unless there is one kernel, with an initrd or without as it should be
 */
export function releaseIn(names: readonly string[], withInitrd: boolean): string {
  const releases = names.flatMap((name) => /^vmlinu[xz]-(.+)$/.exec(name)?.[1] ?? []);
  const [release] = releases;
  if (
    release !== undefined &&
    releases.length === 1 &&
    names.includes(`initrd.img-${release}`) === withInitrd
  ) {
    return release;
  }
  const what = withInitrd ? "one kernel with its initrd" : "one kernel, and no initrd yet";
  throw new UserError("BOOTSTRAP_FAILED", `The installed system does not have ${what}.`, {
    hint: "Name one kernel package, and no other among the extra packages.",
    detail: names.join("\n"),
  });
}

/**
 * Makes the disk from `root`, which may be removed afterwards. Copies owners, modes, times, links, devices, extended
 * attributes and ACLs (mke2fs -d). `diskPath` must not exist; on failure nothing is left there.
 *
 * @param diskBytes size that the guest sees; rounded down to MiB
 * @throws {UserError} `DISK_FAILED`, `PROGRAM_MISSING`
 */
export async function makeDisk(
  root: string,
  diskPath: string,
  uuid: string,
  diskBytes: number,
  signal: AbortSignal,
): Promise<void> {
  const raw = `${diskPath}.raw`;
  try {
    const size = Math.floor(diskBytes / MIB);
    const mke2fs = ["-q", "-t", "ext4", "-L", "root", "-U", uuid, "-m", "1", "-d", root, raw, `${size}M`];
    const { file, args } = asGuestRoot("mke2fs", mke2fs);
    const made = await run(file, args, { signal });
    signal.throwIfAborted();
    if (made.exitCode !== 0) {
      throw new UserError("DISK_FAILED", "The root file system could not be made.", {
        hint: "Is there room on the disk of the host, and is the guest's disk large enough for what is installed?",
        detail: lastLines(made.stderr),
      });
    }
    await runOk("qemu-img", ["convert", "-q", "-f", "raw", "-O", "qcow2", raw, diskPath], { signal });
  } catch (error) {
    await rm(diskPath, { force: true });
    signal.throwIfAborted();
    throw error;
  } finally {
    await rm(raw, { force: true });
  }
}
