/** The kernel and the initrd of Debian's installer: from a folder, or from Debian's package of them, which apt verifies. */
import { readdirSync, statSync } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { EXIT, errnoOf, UserError } from "../../errors.ts";
import type { DebianArch } from "../../kernel/arch.ts";
import { run, runOk } from "../../process.ts";
import { printable } from "../../text.ts";
import { fetchFailed, privateApt } from "../private-apt.ts";
import { aptSources, type Mirrors } from "../sources.ts";
import type { Suite } from "../suites.ts";

/** Absolute paths. */
export interface Netboot {
  readonly kernel: string;
  readonly initrd: string;
}

/** Where they come from. */
export type NetbootSource =
  | { readonly kind: "folder"; readonly folder: string }
  | { readonly kind: "package"; readonly name: string };

/** As the installer's images name the kernel, by architecture. */
const KERNELS: readonly string[] = ["linux", "vmlinuz", "vmlinux"];
const INITRD = "initrd.gz";

/**
 * What `--netboot` says, or Debian's package for the release and architecture.
 *
 * @param asked a folder, or the name of a package (Debian policy 5.6.1), as a person typed it
 * @throws {UserError} `USAGE`, and those of {@link netbootIn} for a folder
 */
export function netbootSource(asked: string | undefined, suite: Suite, arch: DebianArch): NetbootSource {
  if (asked === undefined)
    return { kind: "package", name: `debian-installer-${suite.version}-netboot-${arch}` };
  const isFolder = statSync(asked, { throwIfNoEntry: false })?.isDirectory() === true;
  if (isFolder || asked.includes("/")) {
    const folder = resolve(asked);
    netbootIn(folder);
    return { kind: "folder", folder };
  }
  if (/^[a-z0-9][a-z0-9+.-]+$/.test(asked)) return { kind: "package", name: asked };
  throw new UserError("USAGE", `--netboot: ${printable(asked)} is neither a folder nor a package.`, {
    exitCode: EXIT.usage,
    hint: `Name a folder with ${KERNELS[0]} and ${INITRD}, or a package such as debian-installer-13-netboot-amd64.`,
  });
}

/**
 * Chooses among the files of a package: those of the installer in text, never of the graphical one, whose initrd is twice as
 * large.
 *
 * @param paths of all its files, relative
 */
export function chooseNetboot(paths: readonly string[]): Netboot | undefined {
  const folders = paths
    .filter((path) => basename(path) === INITRD)
    .map((path) => dirname(path))
    .filter((folder) => !folder.split("/").includes("gtk"))
    .toSorted((one, other) => Number(other.includes("/text/")) - Number(one.includes("/text/")));
  for (const folder of folders) {
    const kernel = KERNELS.map((name) => join(folder, name)).find((path) => paths.includes(path));
    if (kernel !== undefined) return { kernel, initrd: join(folder, INITRD) };
  }
  return undefined;
}

/** The files of a folder that a person names. @throws {UserError} `NETBOOT_NOT_FOUND` */
export function netbootIn(folder: string): Netboot {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (error) {
    throw notFound(`The folder ${printable(folder)} cannot be read (${errnoOf(error) ?? "unknown error"}).`);
  }
  const found = chooseNetboot(names);
  if (found === undefined) throw notFound(`The folder ${printable(folder)} has no netboot images.`);
  return { kernel: join(folder, found.kernel), initrd: join(folder, found.initrd) };
}

function notFound(sentence: string): UserError {
  return new UserError("NETBOOT_NOT_FOUND", sentence, {
    exitCode: EXIT.notFound,
    hint: `They are ${INITRD} and ${KERNELS.join(" or ")}, of one version, as on Debian's mirrors below installer-ARCH/current/images/netboot.`,
  });
}

export interface NetbootFetch {
  /** Of the package. */
  readonly name: string;
  readonly suite: Suite;
  readonly mirrors: Mirrors;
  /** The proxy of the host's own apt. */
  readonly proxy: string | undefined;
  /** A folder for this alone, which is made. */
  readonly work: string;
}

/**
 * Downloads the package and unpacks it. It is for no architecture (`all`), so any host's apt finds it.
 *
 * @throws {UserError} `NETBOOT_NOT_FOUND`, `FETCH_FAILED`, and those of `runOk`
 */
export async function fetchNetboot(
  { name, suite, mirrors, proxy, work }: NetbootFetch,
  signal: AbortSignal,
): Promise<Netboot> {
  const apt = join(work, "apt");
  await mkdir(apt, { recursive: true, mode: 0o711 });
  const { env, download } = await privateApt(apt, aptSources(suite, mirrors), proxy, signal);
  const updated = await run("apt-get", ["-q", "update", "--error-on=any"], { env, signal });
  signal.throwIfAborted();
  if (updated.exitCode !== 0)
    throw fetchFailed(`The list of packages of Debian ${suite.name} could not be fetched.`, updated.stderr);
  const fetched = await run("apt-get", ["-q", "download", "--", name], { env, cwd: download, signal });
  signal.throwIfAborted();
  if (
    /^E: (Unable to locate package|No packages found|Can't find a source to download)/m.test(fetched.stderr)
  ) {
    throw new UserError("NETBOOT_NOT_FOUND", `Debian ${suite.name} has no package ${name}.`, {
      exitCode: EXIT.notFound,
      hint: "Debian has no such installer for every architecture. --netboot takes another package, or a folder.",
    });
  }
  const [deb, ...others] = (await readdir(download)).filter((file) => file.endsWith(".deb"));
  if (fetched.exitCode !== 0 || deb === undefined || others.length > 0)
    throw fetchFailed(`The package ${name} could not be fetched.`, fetched.stderr);
  const unpacked = join(work, "unpacked");
  await runOk("dpkg-deb", ["--extract", join(download, deb), unpacked], { signal });
  const found = chooseNetboot(await readdir(unpacked, { recursive: true }));
  if (found === undefined) throw notFound(`The package ${name} has no netboot images.`);
  return { kernel: join(unpacked, found.kernel), initrd: join(unpacked, found.initrd) };
}
