/**
 * Makes a guest: root disk, first /boot, folder, domain; starts it and waits until its boot is good. Every step that
 * leaves something behind says how to take it away again, and a step that fails takes all of it away.
 */
import { randomUUID } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  statSync,
} from "node:fs";
import { copyFile, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { appendEvents } from "../boot/log.ts";
import { changePolicy } from "../boot/policy.ts";
import { storeProvided } from "../boot/stage.ts";
import { bootTimeout } from "../boot/timeout.ts";
import { EXIT, messageOf, UserError } from "../errors.ts";
import { makeGuestFolders } from "../folders.ts";
import { configName, type KernelConfig, parseKernelConfig } from "../kernel/config.ts";
import { busFor } from "../kernel/features.ts";
import { domainXml } from "../libvirt/domain-create.ts";
import { ETH0 } from "../libvirt/domain-installer.ts";
import { hookStatus } from "../libvirt/hook-install.ts";
import { defineDomain, destroyDomain, domainStatuses, undefineDomain } from "../libvirt/virsh.ts";
import { isNarrow } from "../machine/guest-kernel.ts";
import { type MachineShape, machineShape } from "../machine/shape.ts";
import { workMode } from "../mode.ts";
import { type GuestPaths, guestPathsOf, INIT32, statePaths, WORKER_FILE } from "../paths.ts";
import { runOk, tryLock } from "../process.ts";
import { WORK_SPACE_BYTES } from "../provision/disk.ts";
import { requireFree } from "../provision/free-space.ts";
import { hostNameFor } from "../provision/guest-files.ts";
import { requirePlainFile } from "../provision/image/outsider.ts";
import type { Provisioned, ProvisionProgress, ProvisionStep } from "../provision/provision.ts";
import { makeShareImage } from "../provision/share-image.ts";
import { seedShare } from "../share/seed.ts";
import { lastLines, printable } from "../text.ts";
import { deleteFolder, removeFolder } from "./delete.ts";
import { writeImport } from "./import-record.ts";
import { findGuest, type Guest, type GuestView } from "./inventory.ts";
import { rebootGuest, startGuest, waitForGood } from "./life.ts";
import { LOCK_WAIT_MS } from "./lock.ts";
import { randomMac } from "./mac.ts";
import { checkName, lockName, requireFreeName } from "./name.ts";
import { type CreatePlan, type GuestWishes, summaryOf, toMiB, userKeys } from "./plan.ts";
import { qemuUser } from "./qemu-user.ts";
import type { RootDiskSource } from "./root-disk.ts";
import { keepWorkFolder, makeWorkFolder } from "./work-folder.ts";
import { freePorts, type Worker, writeWorker } from "./worker.ts";
import type { WorkerPlan } from "./worker-plan.ts";

/** A step of a creation, run in order. */
export interface CreateStep {
  readonly title: string;
  /** @param say shows a line of what is going on; not trusted */
  readonly run: (say: (line: string) => void, signal: AbortSignal) => Promise<string | undefined>;
  /** What the person should know and nothing can be done about: said when the step is done. */
  readonly warning?: () => string | undefined;
}

/** How long a guest that has just booted may take to shut down, in milliseconds. Emulated ones take up to a minute. */
const SHUTDOWN_MS = 300_000;

const STEP_NAMES: Partial<Record<ProvisionStep, string>> = {
  bootstrap: "downloading and installing packages",
  chroot: "making the chroot that packages are built in",
};

/** A creation under way: its steps, and how to take everything back. */
export class Creation {
  readonly #options: GuestWishes;
  readonly #source: RootDiskSource;
  readonly #inFolder: (paths: GuestPaths) => void;
  readonly #undo: { what: string; run: () => Promise<void> }[] = [];
  readonly #uuid = randomUUID();
  readonly #paths: GuestPaths;
  readonly #work: string;
  readonly #mac = randomMac();
  #unlockName: () => void = () => {};
  #plan: CreatePlan | undefined;
  #provisioned: Provisioned | undefined;
  #made: GuestView | undefined;
  #worker: Worker | undefined;

  /** @param inFolder puts what else there is to be into its folder, before libvirt or anybody knows of the guest */
  constructor(wishes: GuestWishes, source: RootDiskSource, inFolder: (paths: GuestPaths) => void = () => {}) {
    this.#options = wishes;
    this.#source = source;
    this.#inFolder = inFolder;
    this.#paths = guestPathsOf(this.#uuid);
    this.#work = join(statePaths().work, this.#uuid);
  }

  /** The log of everything that the steps' programs printed: in the work folder first, in the guest's folder at the end. */
  get logFile(): string {
    return join(this.#work, "create.log");
  }

  /** The guest restarts itself in the middle of its making, and only the service starts it again then. */
  get needsService(): boolean {
    return this.#plan?.stage === "guest";
  }

  get made(): GuestView | undefined {
    return this.#made;
  }

  steps(): CreateStep[] {
    return [
      {
        title: "Check this machine",
        run: async (say, signal) => await this.#check(say, signal),
        warning: () => this.#plan?.kernel.warning,
      },
      { title: this.#source.title, run: async (say, signal) => await this.#makeRootDisk(say, signal) },
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
    keepWorkFolder(this.#work);
    return [this.#work, this.#paths.dir].filter((folder) => existsSync(folder));
  }

  #planned(): CreatePlan {
    if (this.#plan === undefined) throw new Error("the machine has not been checked");
    return this.#plan;
  }

  async #check(say: (line: string) => void, signal: AbortSignal): Promise<string> {
    const { name } = this.#options;
    checkName(name);
    await this.#source.check();
    await this.#reserve();
    await requireFreeName(name);
    // A user's guests do without it (launch.ts).
    if (workMode().name === "system") await requireHook();
    requireFree(statePaths().root, WORK_SPACE_BYTES, "making a guest");
    const plan = await this.#source.plan(this.#rootDiskWork, this.#progress(say), signal);
    this.#plan = plan;
    if (plan.worker !== undefined) this.#worker = await reserveWorker(plan.worker, plan.name, this.#work);
    return summaryOf(plan);
  }

  async #reserve(): Promise<void> {
    await makeWorkFolder(this.#work);
    this.#undo.push({
      what: this.#work,
      run: async () => await removeFolder(this.#work),
    });
    const unlock = lockName(this.#options.name);
    this.#unlockName = unlock;
    this.#undo.push({ what: "the lock of its name", run: async () => unlock() });
  }

  async #makeRootDisk(say: (line: string) => void, signal: AbortSignal): Promise<string> {
    const { sshKeyFile, name } = this.#options;
    const keyFile = join(this.#work, "id_ed25519");
    await runOk("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", `bootshare ${name}`, "-f", keyFile]);
    const ownKey = (await readFile(`${keyFile}.pub`, "utf8")).trim();
    this.#provisioned = await this.#source.make(
      {
        work: this.#rootDiskWork,
        plan: this.#planned(),
        hostname: hostNameFor(name),
        mac: this.#mac,
        authorizedKeys: [ownKey, ...(sshKeyFile === undefined ? [] : await userKeys(sshKeyFile))],
        worker: this.#worker,
      },
      this.#progress(say),
      signal,
    );
    const { kernelRelease, passphrase } = this.#provisioned;
    if (passphrase !== true) return `kernel ${kernelRelease}`;
    // Said before it boots, which waits for it.
    return `kernel ${kernelRelease}; the disk is encrypted: type its passphrase on the console ('bootshare console ${name}') at each boot`;
  }

  /** A folder in the work folder, for whatever makes the root disk. */
  get #rootDiskWork(): string {
    return join(this.#work, "root-disk");
  }

  #progress(say: (line: string) => void): ProvisionProgress {
    return {
      step: (step) => say(STEP_NAMES[step] ?? step),
      line: (line) => {
        say(line);
        this.#logLine(line);
      },
    };
  }

  #logLine(line: string): void {
    appendFileSync(this.logFile, `${printable(line, 4000)}\n`, { mode: 0o600 });
  }

  async #setUp(): Promise<undefined> {
    const made = this.#provisioned;
    if (made === undefined) throw new Error("there is no root disk");
    const { transport, shape, bootBytes } = this.#planned();
    const paths = this.#paths;
    const qemu = await qemuUser();
    mkdirSync(paths.dir, { mode: 0o700 });
    this.#undo.push({
      what: paths.dir,
      run: async () => await deleteFolder(this.#uuid),
    });
    makeGuestFolders(paths, qemu.gid);
    this.#inFolder(paths);
    if (bootBytes !== undefined) await makeShareImage(paths, bootBytes);
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
    changePolicy(paths, { tries: this.#options.tries, bootTimeout: this.#bootTimeout });
    if (this.#worker !== undefined) writeWorker(paths, this.#worker);
    if (made.image !== undefined) writeImport(paths, made.image);
    await rename(made.diskPath, paths.disk);
    requirePlainFile(paths.disk);
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
    const role = plan.worker?.role ?? this.#options.role;
    const paths = this.#paths;
    await requireFreeName(plan.name);
    await defineDomain(
      domainXml({
        uuid: this.#uuid,
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
        root: made.root,
        mac: this.#mac,
        network,
        transport: plan.transport.name,
        ...(role === undefined ? {} : { role }),
        cmdlineExtra: [
          // See in-guest/usr/lib/bootshare/init32.
          ...(isNarrow(plan.shape.arch, plan.shape.kernelArch) ? [`init=${INIT32}`] : []),
          ...(plan.installer === true ? [ETH0] : []),
        ],
      }),
    );
    this.#undo.push({ what: `domain ${plan.name}`, run: async () => await undefineDomain(this.#uuid) });
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
    await rebootGuest(guest, { force: false, timeoutMs: SHUTDOWN_MS, signal });
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
      const { shape, stage } = this.#planned();
      const limit = bootTimeout(this.#bootTimeout, shape.accel, stage !== "native");
      const timeoutMs = limit === undefined ? Number.POSITIVE_INFINITY : limit * 1000;
      this.#made = await waitForGood(guest, timeoutMs, say, signal);
    } catch (error) {
      // Its serial log goes away with the guest: keep the end of it in what the person sees.
      if (error instanceof UserError) throw withSerialLog(error, await serialTail(this.#paths));
      throw error;
    }
    return `${this.#made.state.current?.reported ?? "?"} is good`;
  }

  /** As for the policy. A person who has to type a passphrase takes whatever time that takes. */
  get #bootTimeout(): number | undefined {
    return this.#options.bootTimeout ?? (this.#provisioned?.passphrase === true ? 0 : undefined);
  }

  async #tidy(): Promise<undefined> {
    if (existsSync(this.logFile)) await copyFile(this.logFile, this.#paths.createLog);
    await removeFolder(this.#work);
    this.#unlockName();
    this.#undo.length = 0;
    return undefined;
  }
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

/** Chooses the ports of a new worker. What stands in the work folder counts as taken for every other. */
async function reserveWorker(plan: WorkerPlan, name: string, work: string): Promise<Worker> {
  const lock = openSync(statePaths().workerPorts, "a", 0o600);
  try {
    if (!tryLock(lock, LOCK_WAIT_MS / 1000)) throw new Error("the lock of the workers' ports stays taken");
    const { guest: _inGuest, ...what } = plan;
    const portBase = await freePorts(plan.instances);
    const worker: Worker = { schema: 1, ...what, hostname: hostNameFor(name), portBase };
    writeWorker({ worker: join(work, WORKER_FILE) }, worker);
    return worker;
  } finally {
    closeSync(lock);
  }
}

/** @throws {UserError} `HOOK_MISSING` */
export async function requireHook(): Promise<void> {
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

async function destroyIfRunning(uuid: string): Promise<void> {
  const domain = (await domainStatuses()).find((one) => one.uuid === uuid);
  if (domain !== undefined && domain.state !== "shut off") await destroyDomain(uuid);
}

/** The end of a guest's serial log, printable; empty where there is none. */
export async function serialTail(paths: Pick<GuestPaths, "serialLog">): Promise<string> {
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
