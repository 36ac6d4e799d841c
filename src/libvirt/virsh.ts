/**
 * The one module that talks to libvirt, through virsh, its official client. Domains are named by UUID: a name can be
 * another domain's tomorrow. All functions throw {@link virshError}'s errors.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EXIT, UserError } from "../errors.ts";
import { workMode } from "../mode.ts";
import { UUID_PATTERN } from "../paths.ts";
import { missingProgram, run } from "../process.ts";
import {
  type DomainEntry,
  parseAddresses,
  parseDaemonVersion,
  parseStatuses,
  virshError,
} from "./virsh-output.ts";

export type { DomainEntry } from "./virsh-output.ts";

/** What a question to libvirt may take, in milliseconds. A domain that is being started answers when its hook is done. */
const TIMEOUT_MS = 60_000;
/** What a start may take: the hook reads and copies a kernel, libvirt labels files, a managed save is read. */
const START_TIMEOUT_MS = 300_000;

export interface VirshOptions {
  readonly timeoutMs?: number;
}

/**
 * Runs a virsh command and returns what it prints.
 *
 * @param args an argument vector; a text of a user's goes after `--` or is a UUID
 * @throws {UserError} `LIBVIRT_UNREACHABLE`, `LIBVIRT_TIMEOUT`, `GUEST_NOT_FOUND`, … (see virsh-output.ts)
 */
export async function virsh(args: readonly string[], options: VirshOptions = {}): Promise<string> {
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const result = await run("virsh", ["-c", workMode().uri, ...args], { timeoutMs });
  if (result.missing) throw missingProgram("virsh");
  if (result.timedOut) {
    throw new UserError("LIBVIRT_TIMEOUT", `libvirt did not answer within ${timeoutMs / 1000} s.`, {
      exitCode: EXIT.timeout,
      hint: "It may be waiting for a hook or a hanging QEMU: see libvirtd's log.",
    });
  }
  if (result.exitCode !== 0) throw virshError(args[0] ?? "", result.stderr || result.stdout);
  return result.stdout;
}

/** The version of libvirt's daemon; undefined where it does not tell. */
export async function daemonVersion(): Promise<readonly [major: number, minor: number] | undefined> {
  return parseDaemonVersion(await virsh(["version", "--daemon"]));
}

/** Stands between the outputs of the commands of one virsh. */
const MARKER = "--bootshare--";

/** All domains, running or not, with their states: one virsh, however many there are. */
export async function domainStatuses(): Promise<DomainEntry[]> {
  // virsh takes several commands, separated by semicolons, in one argument.
  const commands = [
    "list --all --uuid --name",
    `echo -- ${MARKER}`,
    "list --all --uuid --with-managed-save",
    `echo -- ${MARKER}`,
    "domstats --state --raw",
  ];
  return parseStatuses(await virsh([commands.join("; ")]), MARKER);
}

export interface DumpOptions {
  /** The definition that the next start uses, where the domain runs with another one. */
  readonly inactive?: boolean;
  /** With passwords (of a VNC screen, say): for a definition that is written back, never for showing or keeping. */
  readonly secrets?: boolean;
}

/** The domain's XML, without passwords unless told otherwise. */
export async function dumpXml(uuid: string, options: DumpOptions = {}): Promise<string> {
  const flags = [
    ...(options.inactive === true ? ["--inactive"] : []),
    ...(options.secrets === true ? ["--security-info"] : []),
  ];
  return await virsh(["dumpxml", ...flags, checked(uuid)]);
}

/** Defines a domain, or redefines the one of the same UUID and name. libvirt checks the XML against its schema. */
export async function defineDomain(xml: string): Promise<void> {
  await withXmlFile(xml, async (file) => await virsh(["define", "--validate", file]));
}

/** Starts a domain that libvirt forgets when it goes off. */
export async function createTransientDomain(xml: string): Promise<void> {
  await withXmlFile(
    xml,
    async (file) => await virsh(["create", "--validate", file], { timeoutMs: START_TIMEOUT_MS }),
  );
}

async function withXmlFile(xml: string, act: (file: string) => Promise<unknown>): Promise<void> {
  // virsh opens a file by name, and /dev/stdin cannot be opened where it is a socket, as Node's pipes are.
  const dir = await mkdtemp(join(tmpdir(), "bootshare-define-"));
  try {
    const file = join(dir, "domain.xml");
    await writeFile(file, xml, { mode: 0o600 });
    await act(file);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Names of a domain's snapshots. Not trusted. */
export async function snapshotNames(uuid: string): Promise<string[]> {
  const printed = await virsh(["snapshot-list", "--name", checked(uuid)]);
  return printed.split("\n").filter((name) => name !== "");
}

/** Forgets a domain that is off, with its managed save and firmware variables. Its disks and folders stay. */
export async function undefineDomain(uuid: string): Promise<void> {
  await virsh([
    "undefine",
    "--managed-save",
    "--snapshots-metadata",
    "--checkpoints-metadata",
    "--nvram",
    checked(uuid),
  ]);
}

/** Starts a domain. @throws {UserError} `HOOK_REFUSED_START` with the hook's own line, `GUEST_RUNNING`, … */
export async function startDomain(uuid: string): Promise<void> {
  await virsh(["start", checked(uuid)], { timeoutMs: START_TIMEOUT_MS });
}

/** How a guest is asked to shut down: its agent, its power button, or libvirt's choice (the agent where it answers). */
export type ShutdownMode = "agent" | "acpi" | "any";

/** Asks the guest to shut down, and returns at once. */
export async function shutdownDomain(uuid: string, mode: ShutdownMode = "any"): Promise<void> {
  await virsh(["shutdown", checked(uuid), ...(mode === "any" ? [] : ["--mode", mode])]);
}

/** Ends the domain at once, as if its power was cut. */
export async function destroyDomain(uuid: string): Promise<void> {
  await virsh(["destroy", checked(uuid)]);
}

/** Presses the reset button: with on_reboot destroy the domain then is "shut off (shutdown)". */
export async function resetDomain(uuid: string): Promise<void> {
  await virsh(["reset", checked(uuid)]);
}

/** Deletes the managed save, so that the next start boots. */
export async function removeManagedSave(uuid: string): Promise<void> {
  await virsh(["managedsave-remove", checked(uuid)]);
}

/**
 * Sends a command to the guest's agent and returns its answer, which is the guest's and not trusted.
 *
 * @param seconds to wait for the answer
 * @throws {UserError} `AGENT_UNAVAILABLE`
 */
export async function agentCommand(uuid: string, command: object, seconds: number): Promise<unknown> {
  const args = [
    "qemu-agent-command",
    checked(uuid),
    JSON.stringify(command),
    "--timeout",
    String(Math.ceil(seconds)),
  ];
  const answer = await virsh(args, { timeoutMs: (seconds + 15) * 1000 });
  try {
    return JSON.parse(answer);
  } catch {
    throw new UserError("AGENT_UNAVAILABLE", "The guest's agent answered with something that is not JSON.");
  }
}

/** Sends a command to QEMU's human monitor and returns what it prints. libvirt marks the domain as tainted. */
export async function monitorCommand(uuid: string, command: string): Promise<string> {
  return await virsh(["qemu-monitor-command", checked(uuid), "--hmp", command]);
}

/** libvirt's number of a running domain, undefined when it is off. Each start has another one. */
export async function domainId(uuid: string): Promise<number | undefined> {
  const text = (await virsh(["domid", checked(uuid)])).trim();
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

/** Whether libvirt starts the domain when its daemon starts. */
export async function isAutostart(uuid: string): Promise<boolean> {
  return /^Autostart:\s+enable/m.test(await virsh(["dominfo", checked(uuid)]));
}

export async function setAutostart(uuid: string, on: boolean): Promise<void> {
  await virsh(["autostart", checked(uuid), ...(on ? [] : ["--disable"])]);
}

/**
 * Addresses of the guest, the most useful first: from the leases of libvirt's DHCP server, else from the guest's agent.
 * The agent's are the guest's own word.
 */
export async function domainAddresses(uuid: string): Promise<string[]> {
  const leases = parseAddresses(await virsh(["domifaddr", checked(uuid), "--source", "lease"]));
  if (leases.length > 0) return leases;
  try {
    return parseAddresses(await virsh(["domifaddr", checked(uuid), "--source", "agent"]));
  } catch (error) {
    if (error instanceof UserError && error.code === "AGENT_UNAVAILABLE") return [];
    throw error;
  }
}

/** The program and arguments that open the guest's console on this terminal. */
export function consoleArguments(uuid: string, force: boolean): [program: string, ...args: string[]] {
  return ["virsh", "-c", workMode().uri, "console", ...(force ? ["--force"] : []), checked(uuid)];
}

/** virsh takes a name or a number where it takes a UUID, and options everywhere: nothing but a UUID may get there. */
function checked(uuid: string): string {
  if (!UUID_PATTERN.test(uuid)) throw new Error(`not a UUID: ${JSON.stringify(uuid)}`);
  return uuid;
}
