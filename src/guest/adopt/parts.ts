/**
 * Putting the parts that report its boots into a guest that bootshare did not install: over ssh with the user's own key, or
 * through the guest's agent. What comes back is the guest's word: parsed strictly, and shown escaped.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { replaceFile } from "../../boot/replace-file.ts";
import { EXIT, UserError } from "../../errors.ts";
import { agentCommand } from "../../libvirt/virsh.ts";
import { SHARE_TAG } from "../../paths.ts";
import { run, runOk } from "../../process.ts";
import { publicKeysIn } from "../../provision/guest-files.ts";
import { buildGuestPackage } from "../../provision/guest-package.ts";
import type { ShareTransport } from "../../share/transport.ts";
import { lastLines, printable } from "../../text.ts";
import type { Guest } from "../inventory.ts";
import { quoteForShell, SSH_FAILED } from "../ssh.ts";

/** What came of a program in the guest. Not trusted. */
interface Ran {
  readonly exitCode: number;
  /** Both streams. */
  readonly output: string;
}

/** A way into a guest, as root. */
export interface WayIn {
  /** For a person. */
  readonly name: string;
  /** @throws {UserError} while there is no way in */
  readonly run: (command: readonly string[], input?: string) => Promise<Ran>;
}

/** Where to reach a guest's ssh server. */
export interface SshTarget {
  readonly user: string;
  readonly host: string;
  readonly port: number | undefined;
}

/** Reads `[USER@]HOST[:PORT]`; an IPv6 address with a port stands in brackets. @throws {UserError} `USAGE` */
export function parseSshTarget(text: string): SshTarget {
  const match =
    /^(?:([a-z_][a-z0-9_-]{0,31})@)?(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9][A-Za-z0-9.-]*))(?::(\d{1,5}))?$/.exec(
      text,
    );
  const port = match?.[4] === undefined ? undefined : Number(match[4]);
  const host = match?.[2] ?? match?.[3];
  if (host === undefined || (port !== undefined && (port < 1 || port > 65535))) {
    throw new UserError("USAGE", `--ssh: ${printable(text)} is not understood.`, {
      exitCode: EXIT.usage,
      hint: "Write root@HOST or root@HOST:PORT; an IPv6 address in brackets.",
    });
  }
  return { user: match?.[1] ?? "root", host, port };
}

/** By the ssh of whoever calls: their keys, agent, configuration and known hosts. */
export function bySsh({ user, host, port }: SshTarget): WayIn {
  const name = `${user}@${host}`;
  return {
    name: `ssh (${name})`,
    run: async (command, input) => {
      const args = [
        ...["-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15"],
        ...(port === undefined ? [] : ["-p", String(port)]),
        ...["-l", user, "--", host, command.map(quoteForShell).join(" ")],
      ];
      const result = await run("ssh", args, {
        timeoutMs: 300_000,
        ...(input === undefined ? {} : { input }),
      });
      if (result.exitCode !== SSH_FAILED && !result.timedOut)
        return { exitCode: result.exitCode, output: result.stdout + result.stderr };
      throw new UserError("SSH_FAILED", `${printable(name)} could not be reached by ssh.`, {
        detail: lastLines(result.stderr, 4),
        hint: "It must let this user's key in without a question: try 'ssh' with the same address first.",
      });
    },
  };
}

const executed = z.object({ return: z.object({ pid: z.number().int() }) });
const execStatus = z.object({
  return: z.object({
    exited: z.boolean(),
    exitcode: z.number().int().optional(),
    "out-data": z.string().optional(),
    "err-data": z.string().optional(),
  }),
});

/** How long a program may run in the guest, in milliseconds. */
const AGENT_RUN_MS = 300_000;

/** By qemu-guest-agent, which must be in the guest and have its channel in the domain. */
export function byAgent({ uuid, name }: Pick<Guest, "uuid" | "name">): WayIn {
  const ask = async <T>(schema: z.ZodType<T>, command: object): Promise<T> => {
    const answer = schema.safeParse(await agentCommand(uuid, command, 30));
    if (answer.success) return answer.data;
    throw new UserError(
      "AGENT_UNAVAILABLE",
      `The agent of ${printable(name)} answered with something else than asked for.`,
    );
  };
  return {
    name: "the guest's agent",
    run: async ([path, ...arg], input) => {
      const { pid } = (
        await ask(executed, {
          execute: "guest-exec",
          arguments: {
            path,
            arg,
            "capture-output": true,
            ...(input === undefined ? {} : { "input-data": Buffer.from(input).toString("base64") }),
          },
        })
      ).return;
      const until = Date.now() + AGENT_RUN_MS;
      for (;;) {
        const status = (await ask(execStatus, { execute: "guest-exec-status", arguments: { pid } })).return;
        if (status.exited) {
          const text = (data = ""): string => Buffer.from(data, "base64").toString("utf8");
          return {
            exitCode: status.exitcode ?? -1,
            output: text(status["out-data"]) + text(status["err-data"]),
          };
        }
        if (Date.now() > until) return { exitCode: -1, output: "it did not end" };
        await sleep(1000);
      }
    },
  };
}

/** Waits for a way in. @throws {UserError} what it says at last */
export async function waitForWayIn(way: WayIn, timeoutMs: number): Promise<void> {
  const until = Date.now() + timeoutMs;
  for (;;) {
    try {
      await way.run(["/bin/true"]);
      return;
    } catch (error) {
      if (Date.now() > until || !(error instanceof UserError)) throw error;
    }
    await sleep(5000);
  }
}

const PACKAGE = "/run/bootshare-guest.deb";
// Constant text: what varies comes as arguments and as standard input.
const STORE = `umask 077 && base64 -d >${PACKAGE}`;
const AUTHORIZE =
  'umask 077 && mkdir -p /root/.ssh && touch /root/.ssh/authorized_keys && { grep -qxF -- "$1" /root/.ssh/authorized_keys || printf "%s\\n" "$1" >>/root/.ssh/authorized_keys; }';
const HOST_KEYS = "cat /etc/ssh/ssh_host_*_key.pub 2>/dev/null || true";
const FSTAB = "grep -E '^[^#[:space:]]+[[:space:]]+/boot/?[[:space:]]' /etc/fstab || true";

/**
 * Installs the package, lets bootshare's own key in, and notes the guest's host keys.
 *
 * @returns what a person should do in the guest, a sentence each
 * @throws {UserError} `PARTS_NOT_INSTALLED`, and what the way in throws
 */
export async function installParts(guest: Guest, way: WayIn, transport: ShareTransport): Promise<string[]> {
  const must = async (what: string, command: readonly string[], input?: string): Promise<string> => {
    const { exitCode, output } = await way.run(command, input);
    if (exitCode === 0) return output;
    throw new UserError(
      "PARTS_NOT_INSTALLED",
      `The guest ${printable(guest.name)} took the parts that report its boots not: ${what} failed with exit code ${exitCode}.`,
      {
        detail: lastLines(output),
        hint: "'bootshare adopt --deb FILE' writes the package, to be installed in the guest by hand.",
      },
    );
  };
  await must("copying the package", ["/bin/sh", "-c", STORE], await packageText());
  await must("dpkg", ["/usr/bin/env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--install", PACKAGE]);
  await must("removing the package's file", ["/bin/rm", "-f", PACKAGE]);
  await must("adding bootshare's key", ["/bin/sh", "-c", AUTHORIZE, "sh", await publicKey(guest)]);
  replaceFile(
    guest.paths.knownHosts,
    knownHosts(guest.uuid, await must("reading host keys", ["/bin/sh", "-c", HOST_KEYS])),
  );
  return fstabAdvice(await must("reading fstab", ["/bin/sh", "-c", FSTAB]), transport);
}

async function packageText(): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "bootshare-parts-"));
  try {
    const file = join(dir, "bootshare-guest.deb");
    await buildGuestPackage(file);
    return readFileSync(file).toString("base64");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function publicKey({ paths }: Guest): Promise<string> {
  return (await runOk("ssh-keygen", ["-y", "-f", paths.sshKey])).trim();
}

/** Lines of a known_hosts file, of what a guest says are its public host keys. At most eight. */
export function knownHosts(uuid: string, said: string): string {
  return publicKeysIn(said)
    .slice(0, 8)
    .map((key) => `${uuid} ${key}\n`)
    .join("");
}

/** What is to be changed about a guest's line of fstab for /boot. @param said the lines for it. Not trusted */
export function fstabAdvice(said: string, { name, fstabLine }: ShareTransport): string[] {
  const lines = said.split("\n").filter((line) => line.trim() !== "");
  const put = `put this line into the guest's /etc/fstab: ${fstabLine}`;
  const [line, ...more] = lines;
  if (line === undefined) return [`Nothing mounts /boot at the guest's boot: ${put}`];
  if (more.length > 0)
    return [`The guest's /etc/fstab has ${lines.length} lines for /boot; leave one: ${fstabLine}`];
  const [source, , type] = line.trim().split(/\s+/);
  if (source === SHARE_TAG && type === name) return [];
  return [`The guest's /etc/fstab mounts something else on /boot (${printable(line.trim())}): ${put}`];
}
