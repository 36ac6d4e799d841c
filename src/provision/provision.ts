/** Makes the root disk of a new guest, in three steps that a caller can show: find, bootstrap, disk. */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import type { DebianArch } from "../kernel/arch.ts";
import { isNarrow } from "../machine/guest-kernel.ts";
import { hostArch } from "../machine/host.ts";
import { missingProgram, run, runOk } from "../process.ts";
import type { Transport } from "../share/transport.ts";
import { bootstrap, removeTree } from "./bootstrap.ts";
import { makeBuildChroot } from "./build-chroot.ts";
import { checkDiskSize, makeDisk, releaseIn, takeBoot } from "./disk.ts";
import { makeFirstInitrd } from "./first-initrd.ts";
import { enabledUnits, type GuestFacts, templateValues, writeGuestFiles } from "./guest-files.ts";
import { OBS_WORKER_PACKAGES, type ObsWorkerFacts } from "./obs-worker.ts";
import { initrdCounts, type SecondStage } from "./second-stage.ts";
import { aptSources, chooseMirrors, hostMirrors, type MirrorWishes, requireKeyring } from "./sources.ts";
import { findSuite, guestPackages, kernelPackage, packageArch } from "./suites.ts";

export interface ProvisionOptions extends MirrorWishes {
  /** A folder for this alone, made if need be. The results stay in it, all else is removed. About 3 GB while at work. */
  readonly work: string;
  /** Code name. */
  readonly suite: string;
  /** Of the guest's programs. */
  readonly arch: DebianArch;
  /** Of its kernel. */
  readonly kernelArch: DebianArch;
  /** How this host runs the packages' scripts (second-stage.ts). */
  readonly stage: SecondStage;
  readonly transport: Transport;
  /** A package name; the suite's default when undefined. */
  readonly kernelPackage?: string | undefined;
  /** Size that the guest sees, in bytes. */
  readonly diskBytes: number;
  readonly hostname: string;
  readonly mac: string;
  /** The line of /etc/fstab that mounts the boot share. */
  readonly shareFstabLine: string;
  readonly authorizedKeys: readonly string[];
  readonly extraPackages?: readonly string[];
  /** Makes the guest a worker of the Open Build Service. */
  readonly obsWorker?: ObsWorkerFacts | undefined;
  /** A path in the guest for a chroot that packages are built in, of the guest's suite and architecture; none by default. */
  readonly buildChroot?: string | undefined;
}

export interface Provisioned {
  /** qcow2, of the whole-disk kind: root is the disk, there are no partitions. */
  readonly diskPath: string;
  /** What the guest's /boot begins with: kernel, initrd, config, and Debian's links as real links. */
  readonly bootDir: string;
  /** What the kernel finds the root file system by (libvirt/domain-create.ts, isRootSpec). */
  readonly root: string;
  readonly kernelRelease: string;
  readonly kernelPackage: string;
  /** The initrd of the first boot, where {@link bootDir} has none: the guest makes its own in that boot. */
  readonly firstInitrd: string | undefined;
  /** `TYPE BASE64` of each ssh host key: what known_hosts needs after the name. */
  readonly hostPublicKeys: readonly string[];
  /** Where bootshare did not install it: absolute path of the image that the disk is a copy of, or what installed it. */
  readonly image?: string;
  /** Its root disk may ask for a passphrase on the console at each boot. */
  readonly passphrase?: boolean;
}

export type ProvisionStep = "prepare" | "bootstrap" | "chroot" | "disk";

export interface ProvisionProgress {
  step(step: ProvisionStep): void;
  /** A line of a program's output, not trusted. */
  line(line: string): void;
}

/**
 * Makes root disk and first /boot of a guest. Everything that a person can have got wrong is found before anything is
 * downloaded. On failure or abort, `work` is removed.
 *
 * @throws {UserError} see suites.ts, sources.ts, guest-files.ts, bootstrap.ts, disk.ts; first-initrd.ts
 * @throws the signal's reason when aborted
 */
export async function provisionRootDisk(
  options: ProvisionOptions,
  progress: ProvisionProgress,
  signal: AbortSignal,
): Promise<Provisioned> {
  const { work } = options;
  const { arch, kernelArch, stage } = options;
  const hasInitrd = initrdCounts(stage);
  const facts: GuestFacts = {
    ...options,
    suite: findSuite(options.suite),
    rootUuid: randomUUID(),
    narrow: isNarrow(arch, kernelArch),
  };
  const kernel = kernelPackage(facts.suite, arch, options.transport, options.kernelPackage, kernelArch);
  checkDiskSize(options.diskBytes);
  templateValues(facts);

  progress.step("prepare");
  await requirePrograms(programsFor(arch, stage), signal);
  requireKeyring();
  const mirrors = chooseMirrors(await hostMirrors(signal), options);
  const https = [mirrors.archive, mirrors.security].some((url) => url?.startsWith("https:"));
  const packages = guestPackages(facts.suite, kernel, https, [
    ...(options.extraPackages ?? []),
    ...(options.obsWorker === undefined ? [] : OBS_WORKER_PACKAGES),
  ]);

  const root = join(work, "root");
  const overlay = join(work, "guest-files");
  const sourcesFile = join(work, "debian.sources");
  const bootDir = join(work, "boot");
  const firstInitrd = hasInitrd ? undefined : join(work, "first-initrd.img");
  const busyboxFolder = hasInitrd ? undefined : join(work, "busybox");
  const diskPath = join(work, "disk.qcow2");
  try {
    await mkdir(work, { recursive: true, mode: 0o711 });
    await writeFile(sourcesFile, aptSources(facts.suite, mirrors));
    await writeGuestFiles(overlay, facts);

    progress.step("bootstrap");
    const temporary = join(work, "tmp");
    const securityMirror = mirrors.security;
    const proxy = await aptProxy(signal);
    const { suite } = facts;
    const others = [kernelArch, packageArch(kernel) ?? arch].filter((one) => one !== arch);
    await bootstrap(
      {
        suite,
        packages,
        units: enabledUnits(stage, options.obsWorker),
        sourcesFile,
        securityMirror,
        overlay,
        root,
        temporary,
        proxy,
        architectures: [arch, ...new Set(others)],
        stage,
        busyboxFolder,
      },
      (line) => progress.line(line),
      signal,
    );

    if (options.buildChroot !== undefined) {
      progress.step("chroot");
      const tarball = join(root, options.buildChroot);
      await makeBuildChroot(
        { suite, arch, sourcesFile, securityMirror, proxy, temporary, tarball },
        (line) => progress.line(line),
        signal,
      );
    }

    progress.step("disk");
    const kernelRelease = releaseIn(await takeBoot(root, bootDir), hasInitrd);
    if (firstInitrd !== undefined && busyboxFolder !== undefined) {
      const busyboxPackage = await onlyFileIn(busyboxFolder);
      const release = kernelRelease;
      await makeFirstInitrd({ root, release, busyboxPackage, temporary, initrd: firstInitrd }, signal);
    }
    // Made by the openssh-server package else. Its scripts keep keys that are there.
    if (stage === "guest") await runOk("ssh-keygen", ["-q", "-A", "-f", root], { signal });
    const hostPublicKeys = await readHostKeys(root);
    await makeDisk(root, diskPath, facts.rootUuid, options.diskBytes, signal);
    return {
      diskPath,
      bootDir,
      root: `UUID=${facts.rootUuid}`,
      kernelRelease,
      kernelPackage: kernel,
      firstInitrd,
      hostPublicKeys,
    };
  } catch (error) {
    await removeTree(work);
    throw error;
  } finally {
    for (const one of [root, overlay, sourcesFile, busyboxFolder])
      if (one !== undefined) await removeTree(one);
  }
}

/** What the first initrd takes (first-initrd.ts); docs/requirements.md has the packages. */
const INITRD_PROGRAMS = ["cpio", "depmod", "dpkg-deb", "gzip", "modprobe", "xz", "zstd"] as const;

/** Programs that making a guest of an architecture runs beside what every guest takes. */
export function programsFor(
  arch: DebianArch,
  stage: SecondStage,
  host: string = hostArch(),
): readonly string[] {
  // mmdebstrap asks it whether programs of an architecture that is not dpkg's own run here.
  const archTest = stage !== "guest" && arch !== host ? ["arch-test"] : [];
  return [...(initrdCounts(stage) ? [] : INITRD_PROGRAMS), ...archTest];
}

async function requirePrograms(programs: readonly string[], signal: AbortSignal): Promise<void> {
  for (const program of programs) {
    const { missing } = await run(program, ["--version"], { signal, timeoutMs: 10_000 });
    signal.throwIfAborted();
    if (missing) throw missingProgram(program);
  }
}

/** The one file of a folder that something was downloaded to. */
async function onlyFileIn(folder: string): Promise<string> {
  const [name, ...others] = await readdir(folder);
  if (name !== undefined && others.length === 0) return join(folder, name);
  throw new Error(`not one file in ${folder}: ${[name, ...others].join(", ")}`);
}

/** The proxy that the host's apt is told to use; it reads its configuration in mmdebstrap no more. */
export async function aptProxy(signal?: AbortSignal): Promise<string | undefined> {
  const args = ["dump", "--format", "%v%n", "Acquire::http::Proxy"];
  const { stdout } = await run("apt-config", args, signal === undefined ? {} : { signal });
  const value = stdout.split("\n")[0]?.trim() ?? "";
  return /^https?:\/\//.test(value) ? value : undefined;
}

/**
 * The public host keys that openssh-server's installation made in the guest's tree. They are read, not made, since a key
 * made by the guest's own version of ssh has the types that it serves; nobody but the guest has the private parts.
 */
async function readHostKeys(root: string): Promise<string[]> {
  const folder = join(root, "etc/ssh");
  const names = (await readdir(folder)).filter((name) => /^ssh_host_.*_key\.pub$/.test(name)).sort();
  const keys: string[] = [];
  for (const name of names) {
    const [type, key] = (await readFile(join(folder, name), "utf8")).trim().split(" ");
    if (type !== undefined && key !== undefined) keys.push(`${type} ${key}`);
  }
  if (keys.length > 0) return keys;
  throw new UserError("BOOTSTRAP_FAILED", "The installed system has no ssh host keys.", {
    hint: "This is an error in bootshare, or in the suite's openssh-server.",
  });
}
