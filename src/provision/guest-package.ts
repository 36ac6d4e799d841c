/** The Debian package of the parts that report a guest's boots, for machines that bootshare did not install. */
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { shippedFile } from "../paths.ts";
import { runOk } from "../process.ts";
import { VERSION } from "../version.ts";
import { fillIn } from "./guest-files.ts";

/**
 * What of in-guest/ is in it: what reports, and nothing that says how a machine is set up. Its network, fstab, initramfs and
 * kernel links are its owner's.
 */
export const PACKAGED_FILES: readonly string[] = [
  "etc/bootshare/gate.conf",
  "usr/lib/bootshare/gate",
  "usr/lib/bootshare/keep-kernel",
  "usr/lib/bootshare/report",
  "usr/lib/systemd/system-shutdown/bootshare-end",
  "usr/lib/systemd/system/bootshare-gate.service",
  "usr/lib/systemd/system/bootshare-good.service",
  "usr/lib/systemd/system/bootshare-up.service",
  "usr/lib/udev/rules.d/61-bootshare.rules",
];

const CONTROL_FILES = ["control", "conffiles", "postinst", "prerm", "postrm"] as const;

/**
 * Builds bootshare-guest_VERSION_all.deb with dpkg-deb(1).
 *
 * @param file absolute path of the package; replaced where it is there
 * @throws {UserError} those of `runOk`
 */
export async function buildGuestPackage(file: string): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "bootshare-package-"));
  try {
    const root = join(dir, "root");
    for (const path of PACKAGED_FILES) await put(join(shippedFile("in-guest"), path), root, path);
    for (const name of CONTROL_FILES) {
      await put(join(shippedFile("guest-package"), name), root, join("DEBIAN", name));
    }
    const fresh = join(dir, "package.deb");
    // gzip: a guest may be older than the host, and dpkg of each age reads it.
    await runOk("dpkg-deb", ["--root-owner-group", "-Zgzip", "--build", "--", root, fresh]);
    await copyFile(fresh, file);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Modes are not left to the umask: they become those of the guest's files and folders. */
async function put(from: string, root: string, path: string): Promise<void> {
  const to = join(root, path);
  await mkdir(dirname(to), { recursive: true });
  for (let folder = dirname(to); folder.startsWith(root); folder = dirname(folder))
    await chmod(folder, 0o755);
  const executable = ((await stat(from)).mode & 0o100) !== 0;
  await writeFile(to, fillIn(await readFile(from, "utf8"), { VERSION }));
  await chmod(to, executable ? 0o755 : 0o644);
}
