/**
 * Makes a guest: root disk, first /boot, folder, domain; starts it and waits until its boot is good. Every step that
 * leaves something behind says how to take it away again, and a step that fails takes all of it away.
 */
import { randomBytes, randomUUID } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { copyFile, readFile, rename, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { appendEvents } from "../boot/log.ts";
import { prunePairs, storeProvided } from "../boot/stage.ts";
import { EXIT, messageOf, UserError } from "../errors.ts";
import { DEBIAN_ARCHES, type DebianArch, isDebianArch } from "../kernel/arch.ts";
import { configName, type KernelConfig, parseKernelConfig } from "../kernel/config.ts";
import { busFor } from "../kernel/features.ts";
import { checkMachineSize, domainXml, type NetworkSpec } from "../libvirt/domain-create.ts";
import { hookStatus } from "../libvirt/hook-install.ts";
import { defineDomain, destroyDomain, domainStatuses, undefineDomain } from "../libvirt/virsh.ts";
import type { AccelChoice } from "../machine/accel.ts";
import {
  type GuestKernel,
  type GuestKernelChoice,
  guestKernelArch,
  isNarrow,
} from "../machine/guest-kernel.ts";
import { hostArch } from "../machine/host.ts";
import { hostFacts } from "../machine/host-facts.ts";
import { emulatorPackages, type MachineShape, machineShape } from "../machine/shape.ts";
import { findVirtiofsd } from "../machine/virtiofsd.ts";
import { workMode } from "../mode.ts";
import { type GuestPaths, guestPathsOf, INIT32, statePaths } from "../paths.ts";
import { runOk, tryLock } from "../process.ts";
import { WORK_SPACE_BYTES } from "../provision/disk.ts";
import { checkPublicKey, hostNameFor } from "../provision/guest-files.ts";
import { type Provisioned, provisionRootDisk } from "../provision/provision.ts";
import { type SecondStage, type SecondStageChoice, secondStage } from "../provision/second-stage.ts";
import { findSuite, kernelArches, kernelPackage, packageArch } from "../provision/suites.ts";
import { ensureUserEmulation } from "../provision/user-emulation.ts";
import { requireUserNamespace } from "../provision/user-namespace.ts";
import { seedShare } from "../share/seed.ts";
import type { ShareTransport } from "../share/transport.ts";
import { TRANSPORTS } from "../share/transports.ts";
import { lastLines, printable } from "../text.ts";
import { removeFolder } from "./delete.ts";
import { findGuest, type Guest, type GuestView } from "./inventory.ts";
import { rebootGuest, startGuest, waitForGood } from "./life.ts";
import { qemuUser } from "./qemu-user.ts";
import { presentVirtiofsObstacle, requireNetwork } from "./session.ts";

export interface CreateOptions {
  readonly name: string;
  readonly suite: string;
  /** Of the programs in the guest; the host's when undefined. As a person typed it. */
  readonly arch: string | undefined;
  readonly guestKernelArch: GuestKernelChoice;
  readonly secondStage: SecondStageChoice;
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly diskBytes: number;
  readonly share: "auto" | "virtiofs" | "9p";
  readonly accel: AccelChoice;
  readonly network: NetworkSpec;
  readonly kernelPackage: string | undefined;
  readonly mirror: string | undefined;
  readonly securityMirror: string | undefined;
  /** false: without the security suite. */
  readonly security: boolean;
  /** A file with public keys that may log in, beside bootshare's own. */
  readonly sshKeyFile: string | undefined;
  /** Leave what a failed step made where it is. */
  readonly keep: boolean;
  /** How long the first boot may take, in milliseconds. */
  readonly bootTimeoutMs: number;
}

/** What the choices came to, for whoever watches. */
export interface CreatePlan {
  readonly uuid: string;
  readonly name: string;
  readonly suite: string;
  readonly kernel: GuestKernel;
  readonly kernelPackage: string;
  /** As Debian's default kernel wants it; the layout is known when the kernel is. */
  readonly shape: MachineShape;
  readonly gic: 2 | 3 | undefined;
  readonly transport: ShareTransport;
  readonly transportReason: string;
  readonly stage: SecondStage;
}

/** A step of a creation, run in order. */
export interface CreateStep {
  readonly title: string;
  /** @param say shows a line of what is going on; not trusted */
  readonly run: (say: (line: string) => void, signal: AbortSignal) => Promise<string | undefined>;
  /** What the person should know and nothing can be done about: said when the step is done. */
  readonly warning?: () => string | undefined;
}

/** The longest name: the domain's socket and log files carry it. */
const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** A creation under way: its steps, and how to take everything back. */
export class Creation {
  readonly #options: CreateOptions;
  readonly #undo: { what: string; run: () => Promise<void> }[] = [];
  readonly #uuid = randomUUID();
  readonly #paths: GuestPaths;
  readonly #work: string;
  readonly #mac = randomMac();
  #plan: CreatePlan | undefined;
  #provisioned: Provisioned | undefined;
  #made: GuestView | undefined;

  constructor(options: CreateOptions) {
    this.#options = options;
    this.#paths = guestPathsOf(this.#uuid);
    this.#work = join(statePaths().work, this.#uuid);
  }

  /** The log of everything that the steps' programs printed: in the work folder first, in the guest's folder at the end. */
  get logFile(): string {
    return join(this.#work, "create.log");
  }

  get made(): GuestView | undefined {
    return this.#made;
  }

  steps(): CreateStep[] {
    return [
      {
        title: "Check this machine",
        run: async () => await this.#check(),
        warning: () => this.#plan?.kernel.warning,
      },
      { title: "Install Debian", run: async (say, signal) => await this.#install(say, signal) },
      { title: "Set up folder, keys and /boot", run: async () => await this.#setUp() },
      { title: "Define the domain", run: async () => await this.#define() },
      { title: "Boot it", run: async (say, signal) => await this.#boot(say, signal) },
      { title: "Tidy up", run: async () => await this.#tidy() },
    ];
  }

  /** Takes back what the steps made, last first; says what could not be taken back. */
  async rollBack(): Promise<string[]> {
    const left: string[] = [];
    for (const { what, run } of this.#undo.reverse()) {
      try {
        await run();
      } catch (error) {
        left.push(`${what}: ${messageOf(error)}`);
      }
    }
    return left;
  }

  /** For --keep: where a failed creation left things, which no later one clears away. */
  keep(): string[] {
    // A work folder without a lock is nobody's to clear (see clearAbandoned).
    rmSync(join(this.#work, "lock"), { force: true });
    return [this.#work, this.#paths.dir].filter((folder) => existsSync(folder));
  }

  /** What a creation with these options would make, without making anything. @throws as the steps do */
  async plan(): Promise<CreatePlan> {
    const { name, sshKeyFile, suite: suiteName, accel, cpus, memoryBytes } = this.#options;
    if (!NAME_PATTERN.test(name)) {
      throw new UserError("NAME_INVALID", `${printable(name)} cannot be the name of a guest.`, {
        exitCode: EXIT.usage,
        hint: "Letters, digits, dots, hyphens and underscores, at most 63, beginning with a letter or a digit.",
      });
    }
    const suite = findSuite(suiteName);
    const arch = guestArch(this.#options.arch);
    const { transport, reason: transportReason } = chooseTransport(
      this.#options.share,
      findVirtiofsd(),
      await presentVirtiofsObstacle(),
    );
    requireNetwork(this.#options.network);
    if (sshKeyFile !== undefined) await userKeys(sshKeyFile);
    const host = await hostFacts(arch);
    const kernel = guestKernelArch(arch, host, this.#kernelWish(), {
      kernels: kernelArches(suite, arch),
      accel,
    });
    const { kernelArch } = kernel;
    const shape = machineShape(arch, kernel.accel, { kernelArch, gic: host.gic });
    checkMachineSize(shape, cpus, toMiB(memoryBytes));
    requireEmulator(shape);
    return {
      uuid: this.#uuid,
      name,
      suite: suite.name,
      kernel,
      kernelPackage: kernelPackage(suite, arch, transport.name, this.#options.kernelPackage, kernelArch),
      shape,
      gic: host.gic,
      transport,
      transportReason,
      stage: await secondStage(
        arch,
        {
          host: host.arch,
          programs32: host.el0_32,
          emulation: async () => await ensureUserEmulation(arch),
        },
        this.#options.secondStage,
      ),
    };
  }

  /** A package that was named is of the guest's own architecture, unless its name or the person says otherwise. */
  #kernelWish(): GuestKernelChoice {
    const { guestKernelArch: wish, kernelPackage: asked } = this.#options;
    if (wish !== "auto" || asked === undefined) return wish;
    return packageArch(asked) ?? "native";
  }

  #planned(): CreatePlan {
    if (this.#plan === undefined) throw new Error("the machine has not been checked");
    return this.#plan;
  }

  async #check(): Promise<string> {
    const plan = await this.plan();
    await this.#reserve();
    await requireFreeName(plan.name);
    // A user's guests do without it (launch.ts).
    if (workMode().name === "system") await requireHook();
    await requireUserNamespace();
    await requireSpace();
    this.#plan = plan;
    return summaryOf(plan);
  }

  /** Makes the work folder, and clears away what killed creations left: their locks went with them. */
  async #reserve(): Promise<void> {
    const { root, guests, work } = statePaths();
    for (const folder of [root, guests, work])
      mkdirSync(folder, { recursive: true, mode: workMode().folderMode });
    await clearAbandoned(work);
    // It has its name only when it is locked: what has a name and no lock was kept by --keep.
    const fresh = join(work, `${NEW}${this.#uuid}`);
    mkdirSync(fresh, { mode: workMode().folderMode });
    if (!tryLock(openSync(join(fresh, "lock"), "a", 0o600))) throw new Error("a new lock is taken");
    renameSync(fresh, this.#work);
    this.#undo.push({
      what: this.#work,
      run: async () => await removeFolder(this.#work),
    });
    const nameLock = join(work, `${this.#options.name}.lock`);
    if (!tryLock(openSync(nameLock, "a", 0o600))) {
      throw new UserError(
        "NAME_TAKEN",
        `Another command is making a guest named ${this.#options.name} at this moment.`,
        {
          exitCode: EXIT.conflict,
        },
      );
    }
    // Should another command have opened it by now, that one finds the domain, or makes it with nobody in its way.
    this.#undo.push({ what: nameLock, run: async () => await rm(nameLock, { force: true }) });
  }

  async #install(say: (line: string) => void, signal: AbortSignal): Promise<string> {
    const { diskBytes, mirror, securityMirror, security, sshKeyFile, name } = this.#options;
    const plan = this.#planned();
    const keyFile = join(this.#work, "id_ed25519");
    await runOk("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", `bootshare ${name}`, "-f", keyFile]);
    const ownKey = (await readFile(`${keyFile}.pub`, "utf8")).trim();
    this.#provisioned = await provisionRootDisk(
      {
        work: join(this.#work, "root-disk"),
        suite: plan.suite,
        arch: plan.shape.arch,
        kernelArch: plan.shape.kernelArch,
        stage: plan.stage,
        transport: plan.transport.name,
        kernelPackage: this.#options.kernelPackage,
        diskBytes,
        hostname: hostNameFor(name),
        mac: this.#mac,
        shareFstabLine: plan.transport.fstabLine,
        authorizedKeys: [ownKey, ...(sshKeyFile === undefined ? [] : await userKeys(sshKeyFile))],
        mirror,
        securityMirror,
        security,
      },
      {
        step: (step) => say(step === "bootstrap" ? "downloading and installing packages" : step),
        line: (line) => {
          say(line);
          this.#logLine(line);
        },
      },
      signal,
    );
    return `kernel ${this.#provisioned.kernelRelease}`;
  }

  #logLine(line: string): void {
    appendFileSync(this.logFile, `${printable(line, 4000)}\n`, { mode: 0o600 });
  }

  async #setUp(): Promise<undefined> {
    const made = this.#provisioned;
    if (made === undefined) throw new Error("there is no root disk");
    const { transport, shape } = this.#planned();
    const paths = this.#paths;
    const qemu = await qemuUser();
    mkdirSync(paths.dir, { mode: 0o700 });
    this.#undo.push({
      what: paths.dir,
      run: async () => await removeFolder(paths.dir),
    });
    for (const folder of [paths.run, paths.share, paths.pairs, paths.ssh]) mkdirSync(folder, { mode: 0o700 });
    // In session mode QEMU is this user, to whom all is open.
    if (workMode().name === "system") {
      for (const folder of [paths.dir, paths.run]) {
        chownSync(folder, 0, qemu.gid);
        chmodSync(folder, 0o710);
      }
    }
    const names = readdirSync(made.bootDir, { withFileTypes: true });
    await seedShare(
      transport,
      paths.share,
      names
        .filter((entry) => entry.isFile())
        .map(({ name }) => {
          const from = join(made.bootDir, name);
          return { from, name, mode: statSync(from).mode & 0o777 };
        }),
      names
        .filter((entry) => entry.isSymbolicLink())
        .map(({ name }) => ({ name, target: readlinkSync(join(made.bootDir, name)) })),
      qemu,
    );
    if (made.firstInitrd !== undefined) {
      const kernel = join(made.bootDir, imageIn(names.map(({ name }) => name)));
      const files = { kernel, initrd: made.firstInitrd };
      const config = await configOf(made);
      const pair = storeProvided(paths, made.kernelRelease, files, shape.kernelArch, config);
      appendEvents(paths, [{ e: "provided", pair }]);
    }
    await rename(made.diskPath, paths.disk);
    await copyFile(join(this.#work, "id_ed25519"), paths.sshKey);
    chmodSync(paths.sshKey, 0o600);
    const hosts = made.hostPublicKeys.map((key) => `${this.#uuid} ${key}\n`).join("");
    await writeFile(paths.knownHosts, hosts, { mode: 0o600 });
    return undefined;
  }

  async #define(): Promise<undefined> {
    const plan = this.#planned();
    const made = this.#provisioned;
    if (made === undefined) throw new Error("there is no root disk");
    const { memoryBytes, cpus, network } = this.#options;
    const paths = this.#paths;
    await requireFreeName(plan.name);
    await defineDomain(
      domainXml({
        uuid: plan.uuid,
        name: plan.name,
        shape: await shapeFor(plan, made),
        suite: plan.suite,
        memoryMiB: toMiB(memoryBytes),
        cpus,
        kernel: paths.runKernel,
        initrd: paths.runInitrd,
        disk: paths.disk,
        serialLog: paths.serialLog,
        report: paths.report,
        share: paths.share,
        rootUuid: made.rootUuid,
        mac: this.#mac,
        network,
        transport: plan.transport.name,
        // See in-guest/usr/lib/bootshare/init32.
        cmdlineExtra: isNarrow(plan.shape.arch, plan.shape.kernelArch) ? [`init=${INIT32}`] : [],
      }),
    );
    this.#undo.push({ what: `domain ${plan.name}`, run: async () => await undefineDomain(plan.uuid) });
    appendEvents(this.#paths, [{ e: "desired", state: "off", why: "it was made just now" }]);
    return undefined;
  }

  async #boot(say: (line: string) => void, signal: AbortSignal): Promise<string> {
    const guest = await findGuest(this.#uuid);
    await startGuest(guest);
    this.#undo.push({ what: "the running domain", run: async () => await destroyIfRunning(this.#uuid) });
    const said = await this.#untilGood(guest, say, signal);
    if (this.#made?.state.current?.source !== "provided") return said;
    // The host's initrd has done its work. Only a boot with what the guest made itself counts.
    await rebootGuest(guest, { force: false, timeoutMs: this.#options.bootTimeoutMs });
    const saidNow = await this.#untilGood(guest, say, signal);
    const current = this.#made?.state.current;
    if (current?.source === "links") return `${saidNow}, with an initrd of its own`;
    throw new UserError("NO_OWN_INITRD", `The guest ${guest.name} did not boot with an initrd of its own.`, {
      detail: (current?.skipped ?? []).map(({ release, reason }) => `${release}: ${reason}`).join("\n"),
      hint: "With --keep it stays for a look at it: 'bootshare kernels', 'bootshare logs'.",
    });
  }

  async #untilGood(guest: Guest, say: (line: string) => void, signal: AbortSignal): Promise<string> {
    try {
      this.#made = await waitForGood(guest, this.#options.bootTimeoutMs, say, signal);
    } catch (error) {
      // Its serial log goes away with the guest: keep the end of it in what the person sees.
      if (error instanceof UserError) throw withSerialLog(error, await serialTail(this.#paths));
      throw error;
    }
    return `${this.#made.state.current?.reported ?? "?"} is good`;
  }

  async #tidy(): Promise<undefined> {
    const good = this.#made?.state.good;
    if (good !== undefined) prunePairs(this.#paths, [good.id]);
    if (existsSync(this.logFile)) await copyFile(this.logFile, this.#paths.createLog);
    await removeFolder(this.#work);
    await rm(join(statePaths().work, `${this.#options.name}.lock`), { force: true });
    this.#undo.length = 0;
    return undefined;
  }
}

/** What the plan comes to, in a line. */
function summaryOf({ suite, shape, kernel, transport, stage }: CreatePlan): string {
  const { arch, kernelArch, accel } = shape;
  const what = kernelArch === arch ? arch : `${arch} under an ${kernelArch} kernel`;
  const how = { native: "", "qemu-user": ", installed by qemu-user", guest: ", installed by itself" }[stage];
  return `${suite} on ${what}, /boot by ${transport.name}, ${accel}${how} (${kernel.reason})`;
}

/** The machine that the installed kernel needs. @throws {UserError} `KERNEL_FITS_NO_MACHINE` */
async function shapeFor(plan: CreatePlan, made: Provisioned): Promise<MachineShape> {
  const { arch, kernelArch, accel } = plan.shape;
  const choice = busFor(kernelArch, await configOf(made));
  if (!choice.ok) {
    throw new UserError(
      "KERNEL_FITS_NO_MACHINE",
      `No machine for a guest can be made for the kernel ${made.kernelRelease}: ${choice.reason}.`,
      { hint: "Choose another kernel package with --kernel." },
    );
  }
  return machineShape(arch, accel, { kernelArch, gic: plan.gic, layout: choice.layouts[0] });
}

/** The configuration of the installed kernel; undefined where its package has none that can be read. */
async function configOf({ bootDir, kernelRelease }: Provisioned): Promise<KernelConfig | undefined> {
  const file = join(bootDir, configName(kernelRelease));
  const parsed = existsSync(file) ? parseKernelConfig(await readFile(file)) : undefined;
  return parsed?.ok === true ? parsed.config : undefined;
}

function imageIn(names: readonly string[]): string {
  const image = names.find((name) => /^vmlinu[xz]-/.test(name));
  if (image === undefined) throw new Error("there is no kernel");
  return image;
}

function toMiB(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}

function guestArch(asked: string | undefined): DebianArch {
  const arch = asked ?? hostArch();
  if (isDebianArch(arch)) return arch;
  throw new UserError("ARCH_UNKNOWN", `bootshare makes no guests of architecture ${printable(arch)}.`, {
    exitCode: EXIT.usage,
    hint: `Name one of Debian's: --arch ${DEBIAN_ARCHES.join(", ")}`,
  });
}

function requireEmulator({ emulator, arch }: MachineShape): void {
  if (existsSync(emulator)) return;
  const [package13, package12] = emulatorPackages(arch);
  const names = package13 === package12 ? package13 : `${package13} (Debian 13) or ${package12} (Debian 12)`;
  throw new UserError("EMULATOR_MISSING", `This host has no ${emulator}, which ${arch} guests run in.`, {
    exitCode: EXIT.unusable,
    hint: `Install it: apt-get install ${names}`,
  });
}

/**
 * virtiofs where the host can serve it, else 9p mapped. Debian's kernels of every suite that bootshare makes guests of
 * have virtiofs; what a cloud kernel needs is checked with the kernel's package.
 */
export function chooseTransport(
  asked: "auto" | "virtiofs" | "9p",
  virtiofsd: string | undefined,
  obstacle?: string,
): { transport: ShareTransport; reason: string } {
  if (asked === "9p") return { transport: TRANSPORTS["9p"], reason: "it was asked for" };
  if (obstacle !== undefined) {
    if (asked === "auto") return { transport: TRANSPORTS["9p"], reason: obstacle };
    throw new UserError("VIRTIOFS_UNAVAILABLE", `virtiofs was asked for, and ${obstacle}.`, {
      exitCode: EXIT.unusable,
      hint: "Take --share 9p.",
    });
  }
  if (virtiofsd !== undefined) {
    return {
      transport: TRANSPORTS.virtiofs,
      reason: asked === "auto" ? `this host has ${virtiofsd}` : "it was asked for",
    };
  }
  if (asked === "auto") return { transport: TRANSPORTS["9p"], reason: "this host has no virtiofsd" };
  throw new UserError("VIRTIOFSD_MISSING", "virtiofs was asked for, and this host has no virtiofsd.", {
    exitCode: EXIT.unusable,
    hint: "Install it (Debian 13: apt-get install virtiofsd; Debian 12: it is in qemu-system-common), or take --share 9p.",
  });
}

async function requireFreeName(name: string): Promise<void> {
  if (!(await domainStatuses()).some((domain) => domain.name === name)) return;
  throw new UserError("NAME_TAKEN", `libvirt has a domain named ${name} already; nothing was changed.`, {
    exitCode: EXIT.conflict,
    hint: `Choose another name, or remove it with 'bootshare delete ${name}'.`,
  });
}

async function requireHook(): Promise<void> {
  const { usable, lines } = await hookStatus();
  if (usable) return;
  throw new UserError(
    "HOOK_MISSING",
    "bootshare's libvirt hook is not in place, so no guest could be started.",
    {
      exitCode: EXIT.unusable,
      detail: lines.join("\n"),
      hint: "Install it with 'bootshare hook install --restart'.",
    },
  );
}

async function requireSpace(): Promise<void> {
  const { root } = statePaths();
  const { bavail, bsize } = await statfs(root);
  if (bavail * bsize >= WORK_SPACE_BYTES) return;
  const free = Math.floor((bavail * bsize) / 2 ** 20);
  throw new UserError(
    "NO_SPACE",
    `There are only ${free} MiB free below ${root}; making a guest needs ${WORK_SPACE_BYTES / 2 ** 30} GiB.`,
    {
      exitCode: EXIT.unusable,
      hint: `Free some space, or mount a larger file system at ${root}.`,
    },
  );
}

async function userKeys(file: string): Promise<string[]> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    throw new UserError(
      "SSH_KEY_UNREADABLE",
      `The ssh key ${printable(file)} cannot be read: ${messageOf(error)}.`,
      {
        exitCode: EXIT.usage,
      },
    );
  }
  const keys = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));
  for (const key of keys) checkPublicKey(key);
  return keys;
}

/** A MAC address in the range that QEMU and libvirt use (52:54:00). */
function randomMac(): string {
  return ["52", "54", "00", ...[...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, "0"))].join(
    ":",
  );
}

/** How the name of a work folder begins that is not locked yet, and how long that may last, in milliseconds. */
const NEW = ".new-";
const NEW_MS = 60_000;

async function clearAbandoned(work: string): Promise<void> {
  for (const entry of readdirSync(work, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    const folder = join(work, entry.name);
    if (entry.name.startsWith(NEW)) {
      const age = Date.now() - (statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
      if (age > NEW_MS) await removeFolder(folder);
      continue;
    }
    const lock = join(work, entry.name, "lock");
    if (!existsSync(lock)) continue;
    const fd = openSync(lock, "a", 0o600);
    const abandoned = tryLock(fd);
    closeSync(fd);
    if (abandoned) await removeFolder(folder);
  }
}

async function destroyIfRunning(uuid: string): Promise<void> {
  const domain = (await domainStatuses()).find((one) => one.uuid === uuid);
  if (domain !== undefined && domain.state !== "shut off") await destroyDomain(uuid);
}

async function serialTail(paths: GuestPaths): Promise<string> {
  try {
    return lastLines(stripVTControlCharacters(await readFile(paths.serialLog, "latin1")));
  } catch {
    return "";
  }
}

function withSerialLog(error: UserError, tail: string): UserError {
  return new UserError(error.code, error.message, {
    exitCode: error.exitCode,
    detail: tail,
    cause: error,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  });
}
