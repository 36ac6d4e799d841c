/**
 * A root disk that Debian's own installer makes, in a machine that is there for that alone. The host boots its kernel with answers to
 * its questions (provision/installer/), watches its console, and takes the installed kernel off a second disk at the end.
 */
import { randomUUID } from "node:crypto";
import { chmodSync, existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { EXIT, errnoOf, messageOf, UserError } from "../errors.ts";
import { PCI_LOW } from "../kernel/features.ts";
import { installerDomainXml } from "../libvirt/domain-installer.ts";
import { destroyDomain, domainStatuses, dumpXml } from "../libvirt/virsh.ts";
import { type MachineShape, machineShape } from "../machine/shape.ts";
import { statePaths } from "../paths.ts";
import { runOk } from "../process.ts";
import { makeInstallerInitrd } from "../provision/installer/initrd.ts";
import {
  fetchNetboot,
  type Netboot,
  type NetbootSource,
  netbootIn,
  netbootSource,
} from "../provision/installer/netboot.ts";
import { preseed } from "../provision/installer/preseed.ts";
import { type InstalledFacts, takeResult } from "../provision/installer/result.ts";
import { aptProxy, type Provisioned, type ProvisionProgress } from "../provision/provision.ts";
import { chooseMirrors, hostMirrors, requireKeyring } from "../provision/sources.ts";
import { findSuite } from "../provision/suites.ts";
import { printable } from "../text.ts";
import { domainOf, firstBootable } from "./first-bootable.ts";
import { attachInstaller } from "./installer-console.ts";
import { InstallerWatch } from "./installer-watch.ts";
import type { InstallerWishes } from "./installer-wishes.ts";
import { type CreateOptions, type CreatePlan, planGuest, toMiB } from "./plan.ts";
import type { RootDiskOrder, RootDiskSource } from "./root-disk.ts";
import { runOnce } from "./run-once.ts";

/** Debian's manual asks for 512 MiB and more; the installer's initrd, and what it loads, is in memory. MiB. */
const MEMORY_MIB = 1024;
/** Of the disk that the result comes on; sparse. Bytes. */
const RESULT_BYTES = 2 ** 30;
/** More than any preseed file has, in bytes. */
const MAX_PRESEED = 2 ** 20;
/** Milliseconds that an installation may take, and that its console may be silent. */
const LIMITS = {
  kvm: { all: 3_600_000, silent: 900_000 },
  tcg: { all: 4 * 3_600_000, silent: 2_400_000 },
} as const;
const NAME_PREFIX = "install-";

/** The text of a person's preseed file. @throws {UserError} `PRESEED_UNREADABLE` */
function ownPreseed(file: string): string {
  const unreadable = (why: string): UserError =>
    new UserError("PRESEED_UNREADABLE", `The preseed file ${printable(file)} ${why}.`, {
      exitCode: EXIT.usage,
    });
  let text: string;
  try {
    const stats = statSync(file);
    if (!stats.isFile() || stats.size > MAX_PRESEED) throw unreadable("is no file of a sensible size");
    text = readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw unreadable(`cannot be read (${errnoOf(error) ?? "unknown error"})`);
  }
  if (text.includes("\0")) throw unreadable("is no text");
  return text;
}

export class InstallerDisk implements RootDiskSource {
  readonly title = "Run Debian's installer";
  readonly #options: CreateOptions;
  readonly #wishes: InstallerWishes;
  #plan: CreatePlan | undefined;
  #source: NetbootSource | undefined;
  #own: string | undefined;

  constructor(options: CreateOptions, wishes: InstallerWishes) {
    this.#options = options;
    this.#wishes = wishes;
  }

  /** @throws {UserError} those of planGuest, netbootSource and sources.ts, `PRESEED_UNREADABLE` */
  async check(): Promise<void> {
    const { netboot, preseedFile } = this.#wishes;
    const plan = await planInstallation(this.#options);
    this.#plan = plan;
    this.#source = netbootSource(netboot, findSuite(plan.suite), plan.shape.arch);
    this.#own = preseedFile === undefined ? undefined : ownPreseed(preseedFile);
    requireKeyring();
    chooseMirrors(await hostMirrors(), this.#options);
  }

  async plan(): Promise<CreatePlan> {
    if (this.#plan === undefined) throw new Error("the machine has not been checked");
    return this.#plan;
  }

  /**
   * @throws {UserError} `INSTALLER_FAILED`, `INSTALLER_TIMEOUT`, `INSTALLER_ASKS`, `NETBOOT_OUTDATED`, `NETBOOT_NOT_FOUND`,
   *   `NOTHING_BOOTABLE`, and those of the functions that it asks
   */
  async make(order: RootDiskOrder, progress: ProvisionProgress, signal: AbortSignal): Promise<Provisioned> {
    const { work, plan, hostname, authorizedKeys, mac } = order;
    const { interactive } = this.#wishes;
    const { diskBytes, cpus, memoryBytes, network } = this.#options;
    await mkdir(work, { mode: 0o711 });
    const mirrors = chooseMirrors(await hostMirrors(signal), this.#options);
    const proxy = await aptProxy(signal);
    const suite = findSuite(plan.suite);
    const files = { kernel: join(work, "vmlinuz"), initrd: join(work, "initrd.img") };
    const netboot = await this.#netboot(join(work, "netboot"), { suite, mirrors, proxy }, progress, signal);
    const { kernelPackage } = plan;
    const facts = { suite, hostname, mirrors, proxy, kernelPackage, interactive, own: this.#own };
    await runOk("cp", ["--", netboot.kernel, files.kernel], { signal });
    await makeInstallerInitrd(
      {
        initrd: netboot.initrd,
        preseed: preseed(facts),
        unattended: !interactive,
        authorizedKeys,
        shareFstabLine: plan.transport.fstabLine,
        temporary: join(work, "initrd"),
        file: files.initrd,
      },
      signal,
    );
    rmSync(join(work, "netboot"), { recursive: true, force: true });

    const disk = join(work, "disk.qcow2");
    const result = join(work, "result.raw");
    await runOk("qemu-img", ["create", "-q", "-f", "qcow2", "--", disk, String(diskBytes)], { signal });
    // libvirt gives it to QEMU's user; nobody else reads what is installed.
    chmodSync(disk, 0o600);
    writeFileSync(result, "", { flag: "wx", mode: 0o600 });
    truncateSync(result, RESULT_BYTES);
    await endLeftovers();
    const shape = installerShape(plan);
    const uuid = randomUUID();
    const domain = {
      name: `${NAME_PREFIX}${uuid.slice(0, 8)}`,
      uuid,
      shape,
      cpus,
      mac,
      network,
      memoryMiB: Math.min(
        Math.max(toMiB(memoryBytes), MEMORY_MIB),
        shape.maxMemoryMiB ?? Number.POSITIVE_INFINITY,
      ),
      ...files,
      serialLog: join(work, "serial.log"),
      disk,
      result,
      interactive,
    };
    const { all, silent } = LIMITS[plan.shape.accel];
    const watch = new InstallerWatch(
      { serialLog: domain.serialLog, silentMs: silent, interactive },
      progress,
    );
    const ended = new AbortController();
    const running = runOnce(
      // A person takes their time.
      { xml: installerDomainXml(domain), uuid, timeoutMs: interactive ? Number.POSITIVE_INFINITY : all },
      async () => {
        throw watch.tooLong();
      },
      signal,
      () => watch.look(),
    ).finally(() => ended.abort());
    // It may fail while a person is at the console: that is told afterwards.
    running.catch(() => {});
    if (interactive) {
      // Whatever becomes of the console, the installer goes on, and is waited for.
      await attachInstaller(domain, AbortSignal.any([signal, ended.signal])).catch((error: unknown) => {
        if (!ended.signal.aborted) progress.line(`the console: ${messageOf(error)}`);
      });
    }
    await running;
    progress.line("taking the installed kernel");
    return this.#provisioned(plan, disk, takeResult(result, join(work, "boot")), join(work, "boot"), watch);
  }

  async #netboot(
    work: string,
    from: Omit<Parameters<typeof fetchNetboot>[0], "name" | "work">,
    progress: ProvisionProgress,
    signal: AbortSignal,
  ): Promise<Netboot> {
    const source = this.#source;
    if (source === undefined) throw new Error("the installer has not been looked for");
    if (source.kind === "folder") return netbootIn(source.folder);
    progress.line(`fetching ${source.name}`);
    return await fetchNetboot({ name: source.name, work, ...from }, signal);
  }

  #provisioned(
    plan: CreatePlan,
    disk: string,
    installed: InstalledFacts | undefined,
    bootDir: string,
    watch: InstallerWatch,
  ): Provisioned {
    if (installed === undefined) throw watch.failed("It ended before the new system was handed over.");
    const { arch } = plan.shape;
    if (installed.arch !== arch)
      throw watch.failed(`What it installed is for ${printable(installed.arch)}, not ${arch}.`);
    return {
      diskPath: disk,
      bootDir,
      root: installed.root,
      kernelRelease: firstBootable(
        bootDir,
        domainOf(plan.shape, plan.transport),
        (tried) =>
          new UserError("NOTHING_BOOTABLE", "Nothing that the installer put into /boot can be booted here.", {
            exitCode: EXIT.conflict,
            detail: tried,
            hint: "Another kernel: --kernel PACKAGE, or base-installer/kernel/image in a preseed file of your own.",
          }),
      ),
      kernelPackage: plan.kernelPackage,
      firstInitrd: undefined,
      hostPublicKeys: installed.hostKeys,
      passphrase: installed.passphrase,
      // It has none of the parts that give a clone an identity.
      image: "Debian's installer",
    };
  }
}

/** What would be made. @throws as planGuest */
async function planInstallation(options: CreateOptions): Promise<CreatePlan> {
  const native: CreateOptions = { ...options, guestKernelArch: "native", secondStage: "guest" };
  const plan = await planGuest(native, async () => {
    throw new Error("the installer needs no emulation of programs");
  });
  // Its packages are installed, and its initrd is made, in a machine like its own.
  return { ...plan, stage: "native", installer: true };
}

/** The installer's armhf kernel has no LPAE (armmp), whatever the guest's will have. */
function installerShape({ shape, gic }: CreatePlan): MachineShape {
  const { arch, kernelArch, accel } = shape;
  return kernelArch === "armhf" ? machineShape(arch, accel, { kernelArch, gic, layout: PCI_LOW }) : shape;
}

/** Ends what a creation that was killed left running: its work folder has been cleared away. */
async function endLeftovers(): Promise<void> {
  const { work } = statePaths();
  for (const { name, uuid, state } of await domainStatuses()) {
    if (!/^install-[0-9a-f]{8}$/.test(name) || state === "shut off") continue;
    const [, rest = ""] = (await dumpXml(uuid).catch(() => "")).split(`${work}/`);
    const folder = /^([0-9a-f-]{36})\//.exec(rest)?.[1];
    if (folder !== undefined && !existsSync(join(work, folder))) await destroyDomain(uuid).catch(() => {});
  }
}
