/** How sbuild is told to build in a guest that is thrown away afterwards. Pure. */
import type { DebianArch } from "../kernel/arch.ts";

/** The chroot in a builder guest. */
export function chrootPath(suite: string, arch: DebianArch): string {
  return `var/lib/bootshare/build-chroot/${suite}-${arch}.tar`;
}

/** What sbuild takes in the guest; it only recommends what its unshare mode needs. */
export const BUILDER_PACKAGES: readonly string[] = ["sbuild", "uidmap"];

/** Which binary packages are built: all that the source has for the architecture, or a part of them. */
export type Binaries = "all" | "only-any" | "only-all";

export interface SbuildOptions {
  readonly suite: string;
  readonly arch: DebianArch;
  readonly binaries: Binaries;
  /** Jobs of the package's own build, `parallel=N` of DEB_BUILD_OPTIONS. */
  readonly cpus: number;
  /** Whether the chroot's package lists are old enough to be read anew. */
  readonly update: boolean;
  /** `http://ADDRESS:PORT` of the cache that apt in the chroot goes through; undefined for none. */
  readonly proxy: string | undefined;
}

/** Arguments of sbuild(1), without the source. They suit the one of bookworm and that of trixie. */
export function sbuildArguments(options: SbuildOptions): string[] {
  const { suite, arch, binaries, cpus, update, proxy } = options;
  const yes = (wanted: boolean, name: string): string => (wanted ? `--${name}` : `--no-${name}`);
  const line = `Acquire::http::Proxy "${proxy}";`;
  const setUp = `echo '${line}' >/etc/apt/apt.conf.d/90bootshare-cache`;
  return [
    "--chroot-mode=unshare",
    `--chroot=/${chrootPath(suite, arch)}`,
    `--dist=${suite}`,
    `--arch=${arch}`,
    `--jobs=${cpus}`,
    yes(binaries !== "only-any", "arch-all"),
    yes(binaries !== "only-all", "arch-any"),
    yes(update, "apt-update"),
    "--no-apt-upgrade",
    yes(update, "apt-distupgrade"),
    // The whole guest goes away.
    "--purge-build=never",
    "--purge-deps=never",
    "--purge-session=never",
    // The log is what it prints.
    "--verbose",
    "--nolog",
    // These are other tools' work, and would have to be installed in the guest.
    "--no-run-lintian",
    "--no-run-piuparts",
    "--no-run-autopkgtest",
    "--bd-uninstallable-explainer=apt",
    ...(proxy === undefined ? [] : [`--chroot-setup-commands=${setUp}`]),
  ];
}
