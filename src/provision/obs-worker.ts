/** What a guest needs that is a worker of the Open Build Service. */
import type { DebianArch } from "../kernel/arch.ts";

/** What stands in the guest's /etc/bootshare/obs-worker.conf. */
export interface ObsWorkerFacts {
  /** `HOST:PORT`, as the guest reaches them. */
  readonly repo: string;
  readonly src: string;
  readonly instances: number;
  readonly jobs: number;
  readonly portBase: number;
  /** The host forwards the workers' ports. */
  readonly forwarded: boolean;
  /** A line of /etc/hosts, or nothing. */
  readonly hosts: string;
}

/**
 * The programs that the worker's and the build's code take, which come from the server: the dependencies of Debian's package
 * obs-worker (2.9.4-9) without those of its sysv script and of virtual machines, and the unpackers that it does not name.
 */
export const OBS_WORKER_PACKAGES: readonly string[] = [
  "binutils",
  "bzip2",
  "cpio",
  "curl",
  "libarchive-tools",
  "libcompress-raw-zlib-perl",
  "libtimedate-perl",
  "libxml-parser-perl",
  "libxml-simple-perl",
  "perl",
  "psmisc",
  "rpm",
  "xz-utils",
  "zstd",
];

/**
 * OBS's names of the machines (BSCando.pm), each of which builds for further architectures there: what `uname -m` says, but for
 * 32-bit ARM. A 64-bit processor says `armv8l` to 32-bit programs, for which OBS builds next to nothing; and programs of armel
 * run on a machine that can do what armhf needs.
 */
const OBS_ARCH: Readonly<Record<DebianArch, string>> = {
  amd64: "x86_64",
  i386: "i686",
  arm64: "aarch64",
  armhf: "armv7l",
  armel: "armv7l",
  riscv64: "riscv64",
  ppc64el: "ppc64le",
  s390x: "s390x",
};

/** The architecture of a guest's programs, as OBS calls a machine that runs them. */
export function obsArch(arch: DebianArch): string {
  return OBS_ARCH[arch];
}

/** The units of a guest's workers. */
export function obsWorkerUnits({ instances }: Pick<ObsWorkerFacts, "instances">): string[] {
  return Array.from({ length: instances }, (_, i) => `bootshare-obs-worker@${i + 1}.service`);
}

/** What stands for each `@NAME@` of the guest's files. The values were checked when the guest was planned. */
export function obsWorkerValues(facts: ObsWorkerFacts, arch: DebianArch): Readonly<Record<string, string>> {
  for (const text of [facts.repo, facts.src, facts.hosts]) {
    if (!/^[A-Za-z0-9.:[\] _-]*$/.test(text)) throw new Error(`not a server: ${JSON.stringify(text)}`);
  }
  return {
    OBS_REPO: facts.repo,
    OBS_SRC: facts.src,
    OBS_ARCH: obsArch(arch),
    OBS_INSTANCES: String(facts.instances),
    OBS_JOBS: String(facts.jobs),
    OBS_PORT_BASE: String(facts.portBase),
    OBS_FORWARDED: facts.forwarded ? "yes" : "no",
    OBS_HOSTS: facts.hosts,
  };
}
