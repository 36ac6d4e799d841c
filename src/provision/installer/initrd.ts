/** The installer's initrd with what it is given: the kernel unpacks archives that follow each other, one over the other. */
import { chmod, copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { shippedFile } from "../../paths.ts";
import { runOk } from "../../process.ts";
import { buildGuestPackage } from "../guest-package.ts";
import { IMPORT_COMMENT } from "../import/fstab.ts";
import type { InstallerScript, Preseed } from "./preseed.ts";

export interface InstallerInitrd {
  /** The installer's own, compressed by gzip. */
  readonly initrd: string;
  readonly preseed: Preseed;
  /** Nobody answers on the console. */
  readonly unattended: boolean;
  /** Public keys that may log in as root, one line each. */
  readonly authorizedKeys: readonly string[];
  /** The line of fstab that mounts the share. */
  readonly shareFstabLine: string;
  /** A folder for this alone, which is made, and removed afterwards. */
  readonly temporary: string;
  /** The file to make. */
  readonly file: string;
}

const SCRIPTS: readonly InstallerScript[] = ["early", "disk", "finish"];

/**
 * Makes it.
 *
 * @throws {UserError} those of `runOk`
 */
export async function makeInstallerInitrd(options: InstallerInitrd, signal: AbortSignal): Promise<void> {
  const { initrd, preseed, unattended, authorizedKeys, shareFstabLine, temporary, file } = options;
  const tree = join(temporary, "tree");
  const folder = join(tree, "bootshare");
  try {
    // A person's answers may have passwords in them.
    await mkdir(temporary, { mode: 0o700 });
    await mkdir(folder, { recursive: true });
    for (const path of [tree, folder]) await chmod(path, 0o755);
    const texts: [name: string, text: string][] = [
      ["authorized_keys", authorizedKeys.map((key) => `${key}\n`).join("")],
      ["fstab", `${IMPORT_COMMENT}\n${shareFstabLine}\n`],
      ...Object.entries(preseed.commands).map(([script, text]): [string, string] => [
        `own-${script}`,
        `${text}\n`,
      ]),
      ...(unattended ? [["unattended", ""] as [string, string]] : []),
    ];
    for (const [name, text] of texts) await writeFile(join(folder, name), text);
    for (const name of SCRIPTS) {
      await copyFile(shippedFile(join("installer", name)), join(folder, name));
      await chmod(join(folder, name), 0o755);
    }
    await buildGuestPackage(join(folder, "guest.deb"));
    await writeFile(join(tree, "preseed.cfg"), preseed.text);
    const names = [
      "preseed.cfg",
      "bootshare",
      ...[...texts.map(([name]) => name), ...SCRIPTS, "guest.deb"].map((name) => join("bootshare", name)),
    ];
    const archive = join(temporary, "more.cpio");
    await runOk("cpio", ["--create", "--quiet", "--format=newc", "--owner=0:0", "--file", archive], {
      cwd: tree,
      input: `${names.join("\n")}\n`,
      signal,
    });
    await writeFile(file, Buffer.concat([await readFile(initrd), gzipSync(await readFile(archive))]), {
      mode: 0o600,
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}
