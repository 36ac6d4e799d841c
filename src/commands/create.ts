import { Listr, PRESET_TIMER } from "listr2";
import { z } from "zod";
import { changePolicy, readPolicy } from "../boot/policy.ts";
import { bootTimeout } from "../boot/timeout.ts";
import { EXIT, UserError } from "../errors.ts";
import { cloneGuest } from "../guest/clone.ts";
import { type CreateStep, Creation } from "../guest/create.ts";
import { deleteGuest } from "../guest/delete.ts";
import { definitionOf } from "../guest/inventory.ts";
import { startGuest, waitForGood } from "../guest/life.ts";
import { type CreateOptions, type CreatePlan, planGuest, toMiB } from "../guest/plan.ts";
import { parseSize } from "../guest/size.ts";
import { MAX_INSTANCES, MAX_JOBS, WORKER_ROLES, type WorkerRole } from "../guest/worker.ts";
import type { WorkerPlan, WorkerWishes } from "../guest/worker-plan.ts";
import { DEBIAN_ARCHES } from "../kernel/arch.ts";
import type { NetworkSpec } from "../libvirt/domain-create.ts";
import { ACCEL_CHOICES } from "../machine/accel.ts";
import type { MachineShape } from "../machine/shape.ts";
import type { SecondStage } from "../provision/second-stage.ts";
import { suiteNames } from "../provision/suites.ts";
import { foreseenEmulation } from "../provision/user-emulation.ts";
import { printable } from "../text.ts";
import { defineCommand } from "./command.ts";
import { printLines, table } from "./output.ts";
import {
  BOOT_TIMEOUT_OPTION,
  bootTimeoutSchema,
  cpusSchema,
  MIRROR_OPTIONS,
  memoryOf,
  mirrorShape,
  NO_SERVICE,
  note,
  noteService,
  serviceForStart,
  TRIES_OPTION,
  triesSchema,
} from "./shared.ts";
import { type EndingSignal, endedBySignals } from "./signals.ts";

export const create = defineCommand({
  name: "create",
  summary: "make a Debian guest and boot it",
  about:
    "Makes a Debian guest, unattended: root disk by mmdebstrap through this host's own apt and keyrings, /boot on a folder of this host, a libvirt domain, a first boot that passes the boot gate. An ordinary user's is made without root, in a user namespace. A step that fails takes away everything that was made.",
  arguments: [["<name>", "name of the new guest"]],
  options: [
    { flags: "--suite <suite>", text: `Debian release: ${suiteNames().join(", ")} (default trixie)` },
    { flags: "--arch <arch>", text: "architecture of the guest's programs (default: this host's)" },
    {
      flags: "--guest-kernel-arch <arch>",
      text: "architecture of its kernel: auto, native, or a name such as arm64 (default auto: what KVM runs here)",
    },
    { flags: "--memory <size>", text: "memory (default 2G)" },
    { flags: "--cpus <count>", text: "virtual CPUs (default 2)" },
    { flags: "--disk <size>", text: "size of the root disk, which grows as it is used (default 16G)" },
    {
      flags: "--boot-size <size>",
      text: "what /boot may take of the host's disk at most, or none for no limit (default 1G; none without root)",
    },
    {
      flags: "--share <how>",
      text: "how /boot is shared: auto, virtiofs, 9p (default auto: virtiofs where libvirt here can serve it)",
    },
    { flags: "--accel <accel>", text: "auto, kvm, tcg (default auto: what a short trial shows to work)" },
    {
      flags: "--network <network>",
      text: "user, network=NAME or bridge=NAME (default user: needs nothing on the host, and no root)",
    },
    { flags: "--kernel <package>", text: "kernel package (default: Debian's for the architecture)" },
    ...MIRROR_OPTIONS,
    { flags: "--ssh-key <file>", text: "public keys that may log in as root, beside bootshare's own" },
    {
      flags: "--second-stage <where>",
      text: "where scripts of another architecture's packages run: auto, host, guest (default auto: the host where it can)",
    },
    {
      flags: "--from <guest>",
      text: "make a clone of a guest that is off instead, which takes a second, and boot that",
    },
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
    { flags: "--keep", text: "when a step fails, leave what was made for a look at it" },
    TRIES_OPTION,
    BOOT_TIMEOUT_OPTION,
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
    ["bootshare create w2 --mirror https://mirror.example.org/debian", "from another mirror"],
  ],
  schema: z.object({
    suite: z.string().optional(),
    arch: z.string().optional(),
    memory: z.string().optional(),
    cpus: cpusSchema,
    disk: z.string().optional(),
    bootSize: z.string().optional(),
    share: z.enum(["auto", "virtiofs", "9p"], { error: "auto, virtiofs or 9p" }).optional(),
    accel: z.enum(["auto", "kvm", "tcg"], { error: ACCEL_CHOICES.join(", ") }).optional(),
    network: z.string().optional(),
    kernel: z.string().optional(),
    ...mirrorShape,
    sshKey: z.string().optional(),
    guestKernelArch: z
      .enum(["auto", "native", ...DEBIAN_ARCHES], { error: `auto, native, ${DEBIAN_ARCHES.join(", ")}` })
      .optional(),
    secondStage: z.enum(["auto", "host", "guest"], { error: "auto, host or guest" }).optional(),
    from: z.string().optional(),
    role: z.enum(WORKER_ROLES, { error: WORKER_ROLES.join(", ") }).optional(),
    obsRepo: z.string().optional(),
    obsSrc: z.string().optional(),
    instances: countSchema("a number of workers", MAX_INSTANCES),
    jobs: countSchema("a number of jobs", MAX_JOBS),
    dryRun: z.boolean().default(false),
    keep: z.boolean().default(false),
    tries: triesSchema,
    bootTimeout: bootTimeoutSchema,
  }),
  action: async ([name = ""], options) => {
    if (options.from !== undefined) return await createClone(options.from, name, options);
    const wishes: CreateOptions = {
      name,
      suite: options.suite ?? "trixie",
      arch: options.arch,
      guestKernelArch: options.guestKernelArch ?? "auto",
      secondStage: options.secondStage ?? "auto",
      memoryBytes: parseSize(options.memory ?? "2G", "--memory", "M"),
      cpus: options.cpus ?? 2,
      diskBytes: parseSize(options.disk ?? "16G", "--disk", "G"),
      bootBytes: bootBytesOf(options.bootSize),
      share: options.share ?? "auto",
      accel: options.accel ?? "auto",
      network: networkOf(options.network ?? "user"),
      kernelPackage: options.kernel,
      mirror: options.mirror,
      securityMirror: options.securityMirror,
      security: options.security,
      updates: options.updates,
      sshKeyFile: options.sshKey,
      keep: options.keep,
      tries: options.tries,
      bootTimeout: options.bootTimeout,
      worker: workerWishes({ ...options, cpus: options.cpus ?? 2 }),
    };
    if (options.dryRun) {
      printLines(planLines(await planGuest(wishes, foreseenEmulation)));
      return undefined;
    }
    const creation = new Creation(wishes);
    await endedBySignals(async ({ signal }) => {
      try {
        await runSteps(creation, signal);
      } catch (error) {
        if (options.keep)
          printLines(["Kept, because of --keep:", ...creation.keep().map((one) => `  ${one}`)]);
        else
          for (const left of await creation.rollBack())
            process.stderr.write(`Could not be removed: ${printable(left)}\n`);
        throw error;
      }
    }, interrupted(name));
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
] as const;

interface CloneWishes extends Partial<Record<(typeof NOT_FOR_CLONES)[number][0], unknown>> {
  readonly memory?: string | undefined;
  readonly cpus?: number | undefined;
  readonly tries?: number | undefined;
  readonly bootTimeout?: number | undefined;
  readonly dryRun: boolean;
  readonly keep: boolean;
}

/** `create --from`: the clone is booted as a new guest is, and nothing is left of one that does not come up. */
async function createClone(source: string, name: string, wishes: CloneWishes): Promise<undefined> {
  const flags: string[] = NOT_FOR_CLONES.flatMap(([key, flag]) => (wishes[key] === undefined ? [] : [flag]));
  if (wishes.dryRun) flags.push("--dry-run");
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
    const guest = await cloneGuest(source, { name, memoryBytes, cpus });
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

/** Runs the steps, each shown with its time as it goes. */
async function runSteps(creation: Creation, signal: AbortSignal): Promise<void> {
  const terminal = process.stdout.isTTY === true;
  const [check, ...rest] = creation.steps();
  const service: CreateStep = {
    title: "See to the service",
    run: async () => {
      const said = await serviceForStart();
      if (said === NO_SERVICE && creation.needsService) throw serviceNeeded();
      return said;
    },
  };
  const list = new Listr(
    [...(check === undefined ? [] : [check]), service, ...rest].map((step) => ({
      title: step.title,
      task: async (_context: unknown, task: { title: string; output: string }) => {
        signal.throwIfAborted();
        const said = await step.run((line) => {
          // Only a terminal has a place for a line that is overwritten by the next one.
          if (terminal) task.output = printable(line, 100);
        }, signal);
        if (said !== undefined) task.title = `${step.title}: ${printable(said)}`;
        const warning = step.warning?.();
        if (warning !== undefined) task.output = `Warning: ${warning}`;
      },
      rendererOptions: { persistentOutput: step.warning !== undefined },
    })),
    {
      renderer: terminal ? "default" : "simple",
      // listr2 would end the process at once on Ctrl-C; ours takes back what was made.
      registerSignalListeners: false,
      rendererOptions: { timer: PRESET_TIMER, showErrorMessage: false, collapseErrors: false },
      fallbackRendererOptions: { timer: PRESET_TIMER },
    },
  );
  await list.run();
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
    ["Installed by", STAGES[plan.stage]],
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

function serviceNeeded(): UserError {
  return new UserError(
    "SERVICE_NEEDED",
    "The guest would install its own packages and restart, and no bootshare service runs that would start it again.",
    { exitCode: EXIT.unusable, hint: "Install it: bootshare service install" },
  );
}

function interrupted(name: string): (signal: EndingSignal) => UserError {
  return (signal) => new UserError("INTERRUPTED", `The making of ${name} was interrupted (${signal}).`);
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

function bootBytesOf(text: string | undefined): number | null | undefined {
  if (text === undefined) return undefined;
  return text === "none" ? null : parseSize(text, "--boot-size", "M");
}

function networkOf(text: string): NetworkSpec {
  if (text === "user") return { kind: "user" };
  const [kind, name] = text.split("=", 2);
  if ((kind === "network" || kind === "bridge") && name !== undefined && /^[A-Za-z0-9][\w.-]*$/.test(name)) {
    return { kind, name };
  }
  throw new UserError("USAGE", `--network: ${printable(text)} is not understood.`, {
    exitCode: EXIT.usage,
    hint: "Write user, network=NAME (a network of libvirt's) or bridge=NAME (a bridge of this host).",
  });
}
