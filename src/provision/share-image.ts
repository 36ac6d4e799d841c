/** The file system that a new guest's share is, in a file of its own. */
import { existsSync } from "node:fs";
import { rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { EXIT, UserError } from "../errors.ts";
import { workMode } from "../mode.ts";
import type { GuestPaths } from "../paths.ts";
import { runOk } from "../process.ts";
import { mountShare } from "../share/mount.ts";

const MIB = 1024 * 1024;
/** Two kernels and an upgrade, with an initrd that holds most drivers. Bytes. */
const DEFAULT_BOOT_BYTES = 1024 * MIB;
/** One kernel, its small initrd, and the room to make another. Bytes. */
const MIN_BOOT_BYTES = 128 * MIB;

/**
 * The size that a guest's /boot gets.
 *
 * @param asked bytes; null for no limit; undefined where nobody said
 * @returns undefined for no limit: an ordinary user may mount nothing, and fills no disk but their own
 * @throws {UserError} `BOOT_SIZE_INVALID`, `BOOT_SIZE_NEEDS_ROOT`, `LOOP_MISSING`
 */
export function bootSize(asked: number | null | undefined): number | undefined {
  if (asked === null) return undefined;
  if (workMode().name === "session") {
    if (asked === undefined) return undefined;
    throw new UserError(
      "BOOT_SIZE_NEEDS_ROOT",
      "An ordinary user's guest cannot have a limit for its /boot.",
      {
        exitCode: EXIT.unusable,
        hint: "Leave --boot-size out: the share is a folder, and what it takes is the user's own space.",
      },
    );
  }
  const bytes = asked ?? DEFAULT_BOOT_BYTES;
  if (bytes < MIN_BOOT_BYTES) {
    throw new UserError("BOOT_SIZE_INVALID", "The guest's /boot would be too small.", {
      exitCode: EXIT.usage,
      hint: `At least ${MIN_BOOT_BYTES / MIB} MiB.`,
    });
  }
  if (!existsSync("/dev/loop-control")) {
    throw new UserError(
      "LOOP_MISSING",
      "This host has no loop devices, which a /boot of bounded size needs.",
      {
        exitCode: EXIT.unusable,
        hint: "Load them with 'modprobe loop', or give --boot-size none: then nothing keeps the guest from filling the host's disk.",
      },
    );
  }
  return bytes;
}

/**
 * Makes the file system of a new share, sparse, and mounts it.
 *
 * Nothing is kept back for root, as all who write there are root to it; and after an error Linux lets nobody write any more.
 *
 * @param bytes its size, rounded down to MiB
 * @throws {UserError} those of `runOk` and {@link mountShare}
 */
export async function makeShareImage({ shareImage, share }: GuestPaths, bytes: number): Promise<void> {
  await writeFile(shareImage, "", { mode: 0o600, flag: "wx" });
  const size = `${Math.floor(bytes / MIB)}M`;
  await runOk("mke2fs", [
    "-q",
    "-F",
    "-t",
    "ext4",
    "-L",
    "boot",
    "-m",
    "0",
    "-e",
    "remount-ro",
    shareImage,
    size,
  ]);
  mountShare(shareImage, share);
  // The guest would wonder; e2fsck makes one when it needs it.
  await rmdir(join(share, "lost+found"));
}
