import { z } from "zod";
import { changePolicy, readPolicy } from "../boot/policy.ts";
import { bootTimeout } from "../boot/timeout.ts";
import { EXIT, UserError } from "../errors.ts";
import { cloneGuest } from "../guest/clone.ts";
import { Creation } from "../guest/create.ts";
import { DebianDisk } from "../guest/debian-disk.ts";
import { deleteGuest } from "../guest/delete.ts";
import { InstallerDisk } from "../guest/installer-disk.ts";
import { type InstallerWishes, requireInstallerWishes } from "../guest/installer-wishes.ts";
import { definitionOf } from "../guest/inventory.ts";
import { startGuest, waitForGood } from "../guest/life.ts";
import { type CreateOptions, type CreatePlan, planGuest, toMiB } from "../guest/plan.ts";
import { parseSize } from "../guest/size.ts";
import { MAX_INSTANCES, MAX_JOBS, WORKER_ROLES, type WorkerRole } from "../guest/worker.ts";
import type { WorkerPlan, WorkerWishes } from "../guest/worker-plan.ts";
import { DEBIAN_ARCHES } from "../kernel/arch.ts";
import type { MachineShape } from "../machine/shape.ts";
import type { SecondStage } from "../provision/second-stage.ts";
import { suiteNames } from "../provision/suites.ts";
import { foreseenEmulation } from "../provision/user-emulation.ts";
import { printable } from "../text.ts";
import { defineCommand } from "./command.ts";
import {
  guestWishes,
  interrupted,
  MACHINE_OPTIONS,
  MAKING_OPTIONS,
  makeGuest,
  newGuestShape,
} from "./new-guest.ts";
import { printLines, table } from "./output.ts";
import { isTerminal, MIRROR_OPTIONS, memoryOf, mirrorShape, note, noteService } from "./shared.ts";
import { endedBySignals } from "./signals.ts";

export const create = defineCommand({
  name: "create",
  summary: "make a Debian guest and boot it",
  about:
    "Makes a Debian guest, unattended: root disk by mmdebstrap through this host's own apt and keyrings, /boot on a folder of this host, a libvirt domain, a first boot that passes the boot gate. With --installer Debian's own installer makes the disk, in a machine that is there for that (docs/installer.md). An ordinary user's is made without root, in a user namespace. A step that fails takes away everything that was made.",
  arguments: [["<name>", "name of the new guest"]],
  options: [
    { flags: "--suite <suite>", text: `Debian release: ${suiteNames().join(", ")} (default trixie)` },
    { flags: "--arch <arch>", text: "architecture of the guest's programs (default: this host's)" },
    {
      flags: "--guest-kernel-arch <arch>",
      text: "architecture of its kernel: auto, native, or a name such as arm64 (default auto: what KVM runs here)",
    },
    { flags: "--disk <size>", text: "size of the root disk, which grows as it is used (default 16G)" },
    ...MACHINE_OPTIONS,
    { flags: "--kernel <package>", text: "kernel package (default: Debian's for the architecture)" },
    ...MIRROR_OPTIONS,
    {
      flags: "--second-stage <where>",
      text: "where scripts of another architecture's packages run: auto, host, guest (default auto: the host where it can)",
    },
    {
      flags: "--from <guest>",
      text: "make a clone of a guest that is off instead, which takes a second, and boot that",
    },
    {
      flags: "--installer",
      text: "have Debian's installer make the root disk, unattended (docs/installer.md)",
    },
    {
      flags: "--netboot <what>",
      text: "installer: a folder with its kernel and initrd.gz, or a package of them (default: Debian's for suite and architecture)",
    },
    { flags: "--preseed <file>", text: "installer: answers of your own, which win over bootshare's" },
    { flags: "--interactive", text: "installer: answer its questions on this terminal" },
    {
      flags: "--role <role>",
      text: `what the guest is for: ${WORKER_ROLES.join(", ")} (docs/obs-workers.md)`,
    },
    { flags: "--obs-repo <host:port>", text: "obs-worker: OBS's repository server, as this host reaches it" },
    { flags: "--obs-src <host:port>", text: "obs-worker: OBS's source server, likewise" },
    { flags: "--instances <count>", text: "obs-worker: workers in the guest (default 1)" },
    {
      flags: "--jobs <count>",
      text: "obs-worker: jobs of make in a build (default: the guest's CPUs by its workers)",
    },
    { flags: "--dry-run", text: "say what would be made and why, and make nothing" },
    ...MAKING_OPTIONS,
  ],
  examples: [
    ["bootshare create worker1", "a Debian 13 guest"],
    ["bootshare create old --suite bookworm --share 9p --memory 4G", "a Debian 12 guest, /boot by 9p"],
    ["bootshare create arm1 --arch armhf", "32-bit ARM; under KVM where this host's processor can"],
    [
      "bootshare create b1 --arch armhf --role obs-worker --obs-repo obs.example.org:5252 --obs-src obs.example.org:5352",
      "a build worker of the Open Build Service",
    ],
    ["bootshare create w3 --from worker1", "a clone of worker1, which is off"],
    [
      "bootshare create inst1 --installer --preseed lvm.cfg",
      "installed by Debian's installer, with answers of your own",
    ],
    ["bootshare create w2 --mirror https://mirror.example.org/debian", "from another mirror"],
  ],
  schema: z.object({
    ...newGuestShape,
    suite: z.string().optional(),
    arch: z.string().optional(),
    disk: z.string().optional(),
    kernel: z.string().optional(),
    ...mirrorShape,
    guestKernelArch: z
      .enum(["auto", "native", ...DEBIAN_ARCHES], { error: `auto, native, ${DEBIAN_ARCHES.join(", ")}` })
      .optional(),
    secondStage: z.enum(["auto", "host", "guest"], { error: "auto, host or guest" }).optional(),
    from: z.string().optional(),
    installer: z.boolean().default(false),
    netboot: z.string().optional(),
    preseed: z.string().optional(),
    interactive: z.boolean().default(false),
    role: z.enum(WORKER_ROLES, { error: WORKER_ROLES.join(", ") }).optional(),
    obsRepo: z.string().optional(),
    obsSrc: z.string().optional(),
    instances: countSchema("a number of workers", MAX_INSTANCES),
    jobs: countSchema("a number of jobs", MAX_JOBS),
    dryRun: z.boolean().default(false),
  }),
  action: async ([name = ""], options) => {
    if (options.from !== undefined) return await createClone(options.from, name, options);
    const wishes: CreateOptions = {
      ...guestWishes(name, options),
      suite: options.suite ?? "trixie",
      arch: options.arch,
      guestKernelArch: options.guestKernelArch ?? "auto",
      secondStage: options.secondStage ?? "auto",
      diskBytes: parseSize(options.disk ?? "16G", "--disk", "G"),
      kernelPackage: options.kernel,
      mirror: options.mirror,
      securityMirror: options.securityMirror,
      security: options.security,
      updates: options.updates,
      worker: workerWishes({ ...options, cpus: options.cpus ?? 2 }),
    };
    const installer = installerWishes(options);
    if (installer !== undefined) requireInstallerWishes(wishes, installer, isTerminal());
    const installation = installer === undefined ? undefined : new InstallerDisk(wishes, installer);
    if (options.dryRun) {
      await installation?.check();
      const plan = installation?.plan() ?? planGuest(wishes, foreseenEmulation);
      printLines(planLines(await plan));
      return undefined;
    }
    const disk = installation ?? new DebianDisk(wishes);
    await makeGuest(new Creation(wishes, disk), wishes, { plain: installer?.interactive === true });
    printLines([
      `${name} is up. Log in with 'bootshare ssh ${name}'; see its kernels with 'bootshare kernels ${name}'.`,
    ]);
    return undefined;
  },
});

/** What says how a guest is made, and so nothing of a clone, which is as its source is. */
const NOT_FOR_CLONES = [
  ["suite", "--suite"],
  ["arch", "--arch"],
  ["guestKernelArch", "--guest-kernel-arch"],
  ["disk", "--disk"],
  ["bootSize", "--boot-size"],
  ["share", "--share"],
  ["accel", "--accel"],
  ["network", "--network"],
  ["kernel", "--kernel"],
  ["mirror", "--mirror"],
  ["securityMirror", "--security-mirror"],
  ["sshKey", "--ssh-key"],
  ["secondStage", "--second-stage"],
  ["role", "--role"],
  ["netboot", "--netboot"],
  ["preseed", "--preseed"],
] as const;

interface CloneWishes extends Partial<Record<(typeof NOT_FOR_CLONES)[number][0], unknown>> {
  readonly memory?: string | undefined;
  readonly cpus?: number | undefined;
  readonly tries?: number | undefined;
  readonly bootTimeout?: number | undefined;
  readonly dryRun: boolean;
  readonly keep: boolean;
  readonly installer: boolean;
  readonly interactive: boolean;
}

/** `create --from`: the clone is booted as a new guest is, and nothing is left of one that does not come up. */
async function createClone(source: string, name: string, wishes: CloneWishes): Promise<undefined> {
  const flags: string[] = NOT_FOR_CLONES.flatMap(([key, flag]) => (wishes[key] === undefined ? [] : [flag]));
  if (wishes.dryRun) flags.push("--dry-run");
  if (wishes.installer) flags.push("--installer");
  if (wishes.interactive) flags.push("--interactive");
  const [flag] = flags;
  if (flag !== undefined) {
    throw new UserError(
      "USAGE",
      `${flag} does not go with --from: a clone is as the guest that it is made from.`,
      {
        exitCode: EXIT.usage,
      },
    );
  }
  const { memory, cpus, tries, bootTimeout: seconds } = wishes;
  await endedBySignals(async ({ signal }) => {
    await noteService();
    const memoryBytes = memoryOf(memory);
    const guest = await cloneGuest(source, { name, memoryBytes, cpus, tell: note });
    try {
      changePolicy(guest.paths, { tries, bootTimeout: seconds });
      const { accel } = await definitionOf(guest);
      const limit = bootTimeout(readPolicy(guest.paths).bootTimeout, accel, false);
      signal.throwIfAborted();
      await startGuest(guest, note);
      const timeoutMs = limit === undefined ? Number.POSITIVE_INFINITY : limit * 1000;
      await waitForGood(guest, timeoutMs, undefined, signal);
    } catch (error) {
      if (wishes.keep) printLines([`Kept, because of --keep: ${name}`]);
      else await deleteGuest(guest, true);
      throw error;
    }
  }, interrupted(name));
  printLines([`${name}, a clone of ${printable(source)}, is up. Log in with 'bootshare ssh ${name}'.`]);
  return undefined;
}

/** What `--dry-run` says. */
export function planLines(plan: CreatePlan): string[] {
  const { shape, kernel, transport, bootBytes } = plan;
  const { arch, kernelArch } = shape;
  const rows = [
    ["Guest", `${plan.name}: Debian ${plan.suite}, ${arch}`],
    ["Kernel", `${plan.kernelPackage}${kernelArch === arch ? "" : `, ${kernelArch} under ${arch} programs`}`],
    ["Runs by", `${kernel.accel}: ${kernel.reason}`],
    ["Machine", machineLine(shape)],
    ["/boot", `${transport.name}: ${plan.transportReason}`],
    ["Size of /boot", bootBytes === undefined ? "no limit" : `at most ${toMiB(bootBytes)} MiB`],
    ["Installed by", plan.installer === true ? INSTALLER : STAGES[plan.stage]],
  ];
  if (plan.worker !== undefined) rows.push(["Role", roleLine(plan.worker)]);
  if (kernel.warning !== undefined) rows.push(["Warning", kernel.warning]);
  return [...table(rows), "", "Nothing was made."];
}

function machineLine({ machine, cpu, bus, gic, console: serial, emulator, tested }: MachineShape): string {
  const words = [
    machine,
    `processor ${cpu.mode === "custom" ? cpu.model : cpu.mode}`,
    ...(gic === undefined ? [] : [`GIC ${gic}`]),
    `devices on ${bus} (as its kernel needs, once that is installed)`,
    `console ${serial}`,
    emulator,
  ];
  return `${words.join(", ")}${tested ? "" : "; untested"}`;
}

function roleLine({ role, repo, src, instances, jobs }: WorkerPlan): string {
  const servers = `of ${repo.host}:${repo.port} and ${src.host}:${src.port}`;
  return `${role} ${servers}, ${instances} ${instances === 1 ? "worker" : "workers"}, ${jobs} ${jobs === 1 ? "job" : "jobs"} in a build`;
}

const STAGES: Readonly<Record<SecondStage, string>> = {
  native: "this host's processor",
  "qemu-user": "qemu-user; the guest makes its own initrd in its first boot",
  guest: "the guest itself, in its first boot",
};

const INSTALLER = "Debian's installer, in a machine that is there for that";

/** What `--installer` comes with; undefined without it. @throws {UserError} `USAGE` */
export function installerWishes(options: {
  readonly installer: boolean;
  readonly netboot?: string | undefined;
  readonly preseed?: string | undefined;
  readonly interactive: boolean;
}): InstallerWishes | undefined {
  const { installer, netboot, preseed, interactive } = options;
  if (installer) return { netboot, preseedFile: preseed, interactive };
  const given = Object.entries({ netboot, preseed, interactive: interactive || undefined }).find(
    ([, value]) => value !== undefined,
  );
  if (given === undefined) return undefined;
  throw new UserError("USAGE", `--${given[0]} is for a guest that Debian's installer makes.`, {
    exitCode: EXIT.usage,
    hint: "Add --installer.",
  });
}

function countSchema(what: string, most: number) {
  return z.coerce
    .number({ error: what })
    .int()
    .min(1)
    .max(most, { error: `at most ${most}` })
    .optional();
}

interface WorkerOptions {
  readonly role?: WorkerRole | undefined;
  readonly obsRepo?: string | undefined;
  readonly obsSrc?: string | undefined;
  readonly instances?: number | undefined;
  readonly jobs?: number | undefined;
  readonly cpus: number;
}

function workerWishes({
  role,
  obsRepo,
  obsSrc,
  instances,
  jobs,
  cpus,
}: WorkerOptions): WorkerWishes | undefined {
  if (role !== undefined) {
    const workers = instances ?? 1;
    return {
      role,
      obsRepo,
      obsSrc,
      instances: workers,
      jobs: jobs ?? Math.max(1, Math.floor(cpus / workers)),
    };
  }
  const given = Object.entries({ "obs-repo": obsRepo, "obs-src": obsSrc, instances, jobs }).find(
    ([, value]) => value !== undefined,
  );
  if (given === undefined) return undefined;
  throw new UserError("USAGE", `--${given[0]} is for a guest that has a role.`, {
    exitCode: EXIT.usage,
    hint: "Add --role obs-worker.",
  });
}
