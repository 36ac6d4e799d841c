/**
 * The chroot that packages are built in, as a tarball for sbuild's unshare mode. It is made on the host: what takes a minute
 * here takes many in a guest that is emulated.
 */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { DebianArch } from "../kernel/arch.ts";
import { type MmdebstrapRun, mmdebstrapCommand, runMmdebstrap } from "./bootstrap.ts";

/** What sbuild would install in each build: its own fakeroot, and debhelper, which nearly every package builds with. */
const PACKAGES: readonly string[] = ["fakeroot", "debhelper"];

export interface BuildChrootOptions
  extends Pick<MmdebstrapRun, "suite" | "securityMirror" | "temporary" | "proxy"> {
  readonly arch: DebianArch;
  /** A file named debian.sources, its text from `aptSources`. */
  readonly sourcesFile: string;
  /** The file to make. Not compressed: each build unpacks it, and an emulated processor is slower than any disk. */
  readonly tarball: string;
}

/** The command that {@link makeBuildChroot} runs. */
export function buildChrootCommand(options: BuildChrootOptions): { file: string; args: string[] } {
  return mmdebstrapCommand([
    "--format=tar",
    "--variant=buildd",
    `--architectures=${options.arch}`,
    `--include=${PACKAGES.join(",")}`,
    // With the lists a build that comes soon needs no apt-get update.
    "--skip=cleanup/apt/lists",
    options.suite.name,
    options.tarball,
    options.sourcesFile,
  ]);
}

/**
 * Makes the tarball, through the host's apt and Debian's keys. The packages' scripts are run by this host, natively or by
 * QEMU's user-mode emulation.
 *
 * @throws as `bootstrap`
 */
export async function makeBuildChroot(
  options: BuildChrootOptions,
  log: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  await mkdir(dirname(options.tarball), { recursive: true, mode: 0o755 });
  const command = buildChrootCommand(options);
  await runMmdebstrap({ ...options, target: options.tarball, command, env: {} }, log, signal);
}
