/** A new guest as a worker: a person's wishes, held against the network that it will have and what this host's names mean. */
import { lookup } from "node:dns/promises";
import { isIP } from "node:net";
import { EXIT, UserError } from "../errors.ts";
import type { NetworkSpec } from "../libvirt/domain-create.ts";
import type { ObsWorkerFacts } from "../provision/obs-worker.ts";
import { printable } from "../text.ts";
import type { Server, Worker, WorkerRole } from "./worker.ts";

/** As a person typed them, but for the numbers. */
export interface WorkerWishes {
  readonly role: WorkerRole;
  /** `HOST:PORT` of the repository server and the source server, as this host reaches them. */
  readonly obsRepo: string | undefined;
  readonly obsSrc: string | undefined;
  readonly instances: number;
  readonly jobs: number;
}

/** What is known of a worker before its ports are. */
export type WorkerPlan = Pick<Worker, "role" | "repo" | "src" | "instances" | "jobs"> & {
  readonly guest: Pick<ObsWorkerFacts, "repo" | "src" | "forwarded" | "hosts">;
};

/** Where a guest on QEMU's user-mode networking finds its host's loopback interface (slirp's default). */
const SLIRP_HOST = "10.0.2.2";

/** The addresses that a name has on this host; none for a name that it does not know. */
export type Resolve = (host: string) => Promise<readonly string[]>;

const resolveHere: Resolve = async (host) => {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch {
    return [];
  }
};

/**
 * @throws {UserError} `USAGE` for a server that is missing or none, `OBS_NAME_UNKNOWN`, `OBS_ON_LOOPBACK`
 */
export async function planWorker(
  { role, obsRepo, obsSrc, instances, jobs }: WorkerWishes,
  network: NetworkSpec,
  resolve: Resolve = resolveHere,
): Promise<WorkerPlan> {
  const repo = parseServer("--obs-repo", obsRepo);
  const src = parseServer("--obs-src", obsSrc);
  const seen = [
    await asSeenInGuest(repo, network, resolve),
    await asSeenInGuest(src, network, resolve),
  ] as const;
  const names = new Set(seen.map(({ name }) => name).filter((name) => name !== undefined));
  return {
    role,
    repo,
    src,
    instances,
    jobs,
    guest: {
      repo: seen[0].address,
      src: seen[1].address,
      forwarded: network.kind === "user",
      hosts: names.size === 0 ? "" : [SLIRP_HOST, ...names].join(" "),
    },
  };
}

function parseServer(option: string, text: string | undefined): Server {
  if (text === undefined) throw usage(`${option} is missing: an OBS worker needs both servers`);
  const match =
    /^(?:([A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)|\[([0-9A-Fa-f:.]+)\]):([0-9]{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port < 1 || port > 65_535 || (match?.[2] !== undefined && isIP(host) !== 6)) {
    throw usage(`${option}: ${printable(text)} is no HOST:PORT`);
  }
  return { host: host.toLowerCase(), port };
}

function usage(sentence: string): UserError {
  return new UserError("USAGE", `${sentence}.`, {
    exitCode: EXIT.usage,
    hint: "For example --obs-repo obs.example.org:5252 --obs-src obs.example.org:5352",
  });
}

/**
 * A server that is on this host's loopback interface is at another address for a guest: a name stays, as the server's own
 * answers may hold it, and is to mean that address there.
 */
async function asSeenInGuest(
  { host, port }: Server,
  network: NetworkSpec,
  resolve: Resolve,
): Promise<{ readonly address: string; readonly name?: string }> {
  const bare = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  const addresses = isIP(host) === 0 ? await resolve(host) : [host];
  if (addresses.length === 0) {
    throw new UserError(
      "OBS_NAME_UNKNOWN",
      `This host knows no address of the OBS server ${printable(host)}.`,
      {
        exitCode: EXIT.usage,
        hint: "Name it as this host finds it: in DNS, in /etc/hosts, or by address.",
      },
    );
  }
  if (!addresses.every(isLoopback)) return { address: bare };
  if (network.kind !== "user") {
    throw new UserError(
      "OBS_ON_LOOPBACK",
      `The OBS server ${printable(host)} is this host's loopback interface, which a guest on ${network.kind}=${network.name} cannot reach.`,
      {
        exitCode: EXIT.usage,
        hint: "Name an address of this host's on that network, or take --network user.",
      },
    );
  }
  // A guest has its own "localhost".
  if (isIP(host) !== 0 || host === "localhost") return { address: `${SLIRP_HOST}:${port}` };
  return { address: bare, name: host };
}

function isLoopback(address: string): boolean {
  return address === "::1" || address.startsWith("127.");
}
