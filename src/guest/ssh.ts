/** Reaching a guest's ssh server, with bootshare's own key and the host key that was made for the guest. */
import { createServer } from "node:net";
import { EXIT, UserError } from "../errors.ts";
import { domainAddresses, monitorCommand } from "../libvirt/virsh.ts";
import { missingProgram, type RunResult, run } from "../process.ts";
import { definitionOf, type Guest } from "./inventory.ts";

/** What ssh(1) returns when the trouble is its own and not the program's. */
export const SSH_FAILED = 255;

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/**
 * Where the guest's ssh server can be reached from this host. With libvirt's user networking nothing can reach the
 * guest as it comes, so QEMU is asked to forward a port of the loopback interface; the forward lives as long as QEMU.
 *
 * @throws {UserError} `GUEST_OFF`, `NO_ADDRESS`
 */
export async function sshEndpoint(guest: Guest): Promise<Endpoint> {
  if (guest.status.state !== "running") {
    throw new UserError("GUEST_OFF", `The guest ${guest.name} is ${guest.status.state}.`, {
      exitCode: EXIT.conflict,
      hint: `Start it with 'bootshare start ${guest.name}'.`,
    });
  }
  const { network } = await definitionOf(guest);
  if (network?.kind === "user") return { host: "127.0.0.1", port: await forwardedPort(guest) };
  const [address] = await domainAddresses(guest.uuid);
  if (address === undefined) {
    throw new UserError("NO_ADDRESS", `No address of the guest ${guest.name} is known.`, {
      hint: "It may still be booting: bootshare asks libvirt's DHCP leases and the guest's agent.",
    });
  }
  return { host: address, port: 22 };
}

const FORWARD_TRIES = 5;

async function forwardedPort(guest: Guest): Promise<number> {
  const present = parseForwards(await monitorCommand(guest.uuid, "info usernet"));
  const own = present.find(({ address, guestPort }) => address === "127.0.0.1" && guestPort === 22);
  if (own !== undefined) return own.port;
  for (let attempt = 0; attempt < FORWARD_TRIES; attempt++) {
    const port = await freePort();
    // QEMU says something only when it could not: the port may have been taken in the meantime.
    const answer = await monitorCommand(guest.uuid, `hostfwd_add tcp:127.0.0.1:${port}-:22`);
    if (answer.trim() === "") return port;
  }
  throw new UserError("NO_FORWARD", `QEMU could not forward a port to the ssh server of ${guest.name}.`);
}

/** A port of this host that QEMU forwards to the guest. */
export interface Forward {
  readonly address: string;
  readonly port: number;
  readonly guestPort: number;
}

/** The forwards in what QEMU's `info usernet` prints: `TCP[HOST_FORWARD] FD ADDRESS PORT GUEST_ADDRESS GUEST_PORT …`. */
export function parseForwards(usernet: string): Forward[] {
  const lines = usernet.matchAll(/TCP\[HOST_FORWARD\]\s+\d+\s+([0-9.*]+)\s+(\d+)\s+\S+\s+(\d+)\s/g);
  return [...lines].map(([, address = "", port, guestPort]) => ({
    address,
    port: Number(port),
    guestPort: Number(guestPort),
  }));
}

/** A port of the loopback interface that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => {
        if (address !== null && typeof address === "object") resolve(address.port);
        else reject(new Error("no port"));
      });
    });
  });
}

/** How long the guest's sshd may take to say its first word, in seconds: an emulated guest on a busy host is slow. */
const CONNECT_S = 30;
/**
 * A guest that says nothing for three minutes is given up. While sshd opens a session it answers nobody, and in an emulated guest
 * that has just booted it waits for systemd to start a whole user manager: 45 seconds were too few.
 */
const ALIVE_S = 15;
const ALIVE_COUNT = 12;

/**
 * Arguments for ssh(1).
 *
 * @param command the program and its arguments to run in the guest, or none for a login. ssh hands one string to the
 *   login shell there, so each argument is quoted for it and arrives as it was given.
 * @param terminal a command gets a terminal too
 */
export function sshArguments(
  guest: Guest,
  endpoint: Endpoint,
  command: readonly string[],
  { terminal = false }: { readonly terminal?: boolean } = {},
): string[] {
  return [
    ...(terminal ? ["-t"] : []),
    ...["-i", guest.paths.sshKey, "-p", String(endpoint.port), "-l", "root"],
    ...["-o", "IdentitiesOnly=yes", "-o", `UserKnownHostsFile=${guest.paths.knownHosts}`],
    ...[
      "-o",
      `HostKeyAlias=${guest.uuid}`,
      "-o",
      "StrictHostKeyChecking=yes",
      "-o",
      "GlobalKnownHostsFile=/dev/null",
    ],
    ...["-o", "LogLevel=ERROR", "-o", `ConnectTimeout=${CONNECT_S}`],
    ...["-o", `ServerAliveInterval=${ALIVE_S}`, "-o", `ServerAliveCountMax=${ALIVE_COUNT}`],
    // A configuration file of whoever calls must not change whom we talk to.
    ...["-F", "/dev/null"],
    ...(command.length === 0 ? [] : ["-o", "BatchMode=yes"]),
    "--",
    endpoint.host,
    ...(command.length === 0 ? [] : [command.map(quoteForShell).join(" ")]),
  ];
}

/** What a program in a guest may take, in milliseconds, and what ends it before. */
export interface CaptureOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** The program's standard input. Empty by default. */
  readonly input?: string;
  /** Called with each line that it prints, as it comes. Not trusted. */
  readonly onLine?: (line: string) => void;
}

/**
 * Runs a program in a guest as root, keeps what it prints and returns what came of it (in-guest.ts lets it print to our own streams). What it prints is the guest's and not trusted; the exit code is
 * the program's, or {@link SSH_FAILED}.
 *
 * @throws {UserError} `GUEST_OFF`, `NO_ADDRESS`
 */
export async function captureInGuest(
  guest: Guest,
  command: readonly [string, ...string[]],
  options: CaptureOptions,
): Promise<RunResult> {
  const result = await run("ssh", sshArguments(guest, await sshEndpoint(guest), command), options);
  if (result.missing) throw missingProgram("ssh");
  return result;
}

/** Quotes one argument for a POSIX shell. */
export function quoteForShell(argument: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}
