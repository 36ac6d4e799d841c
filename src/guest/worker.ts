/** What a guest that builds for somebody else is told: its servers, how many workers it has, and whether it is drained. */
import { readdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { z } from "zod";
import { replaceFile } from "../boot/replace-file.ts";
import { EXIT, errnoOf, UserError } from "../errors.ts";
import { type GuestPaths, guestPathsOf, statePaths, UUID_PATTERN, WORKER_FILE } from "../paths.ts";

/** What a guest can be for. */
export const WORKER_ROLES = ["obs-worker"] as const;
export type WorkerRole = (typeof WORKER_ROLES)[number];

/** Most workers in one guest, and most jobs that one of them runs side by side. */
export const MAX_INSTANCES = 32;
export const MAX_JOBS = 256;

const serverSchema = z.object({
  /** A name or an address, as this host reaches it. */
  host: z.string(),
  port: z.number().int().min(1).max(65_535),
});
export type Server = z.infer<typeof serverSchema>;

const workerSchema = z.object({
  schema: z.literal(1),
  role: z.enum(WORKER_ROLES),
  /** OBS's repository server and source server. */
  repo: serverSchema,
  src: serverSchema,
  /** The guest has the workers HOSTNAME:1 to HOSTNAME:instances. */
  instances: z.number().int().min(1).max(MAX_INSTANCES),
  /** What each worker tells its builds to run side by side. */
  jobs: z.number().int().min(1).max(MAX_JOBS),
  /** Its host name: what its workers' ids begin with, and so must stay. */
  hostname: z.string(),
  /** The server calls worker N back on port portBase + N - 1. */
  portBase: z.number().int().min(1).max(65_535),
  /** Since when it is to take no more jobs, ISO 8601. */
  drained: z.string().optional(),
  /** Where that is not a person's wish: a roll-out's, which puts it back. */
  drainedBy: z.literal("upgrade").optional(),
});
export type Worker = z.infer<typeof workerSchema>;

/** A worker of OBS's in a guest. */
export interface Instance {
  /** From 1. */
  readonly number: number;
  /** As OBS knows it. */
  readonly id: string;
  readonly port: number;
}

export function instancesOf({ hostname, instances, portBase }: Worker): Instance[] {
  return Array.from({ length: instances }, (_, i) => ({
    number: i + 1,
    id: `${hostname}:${i + 1}`,
    port: portBase + i,
  }));
}

/** What a guest works for; undefined for one that has no such role. @throws {UserError} `WORKER_UNREADABLE` */
export function readWorker(paths: Pick<GuestPaths, "worker">): Worker | undefined {
  try {
    return workerSchema.parse(JSON.parse(readFileSync(paths.worker, "utf8")));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw new UserError(
      "WORKER_UNREADABLE",
      `The file ${paths.worker} does not say in a way that this version understands what the guest works for.`,
      { hint: "Put it right, or remove it: the guest is a worker no more then.", cause: error },
    );
  }
}

/** The caller holds the guest's lock, or nobody knows of the guest yet. */
export function writeWorker(paths: Pick<GuestPaths, "worker">, worker: Worker): void {
  replaceFile(paths.worker, `${JSON.stringify(workerSchema.parse(worker), null, 2)}\n`);
}

/** Ports that workers are given: no service of Debian's is there, and Linux takes none of them by itself. */
const PORTS = { first: 25_400, last: 25_999 } as const;

/**
 * A row of ports that no other guest has, not even one that is off or just being made, and that nothing on this host listens
 * on now. The caller holds {@link StatePaths.workerPorts} until it has written them down.
 *
 * @throws {UserError} `NO_WORKER_PORTS`
 */
export async function freePorts(count: number): Promise<number> {
  const taken = takenPorts();
  for (let base = PORTS.first; base + count - 1 <= PORTS.last; base++) {
    const ports = Array.from({ length: count }, (_, i) => base + i);
    if (ports.some((port) => taken.has(port))) continue;
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
  throw new UserError(
    "NO_WORKER_PORTS",
    `There are no ${count} ports in a row left between ${PORTS.first} and ${PORTS.last} for workers.`,
    { exitCode: EXIT.conflict, hint: "Delete a guest that is a worker, or take fewer --instances." },
  );
}

/** Ports of all guests' workers, and of those of guests that are being made. */
function takenPorts(): Set<number> {
  const { guests, work } = statePaths();
  const files = [
    ...uuidsIn(guests).map((uuid) => guestPathsOf(uuid).worker),
    ...uuidsIn(work).map((uuid) => join(work, uuid, WORKER_FILE)),
  ];
  const taken = new Set<number>();
  for (const file of files) {
    const worker = readWorker({ worker: file });
    for (const { port } of worker === undefined ? [] : instancesOf(worker)) taken.add(port);
  }
  return taken;
}

function uuidsIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => UUID_PATTERN.test(name));
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
}

/** Nothing of this host listens on it, on whatever address. */
async function isFree(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.on("error", () => resolve(false));
    server.listen(port, "0.0.0.0", () => server.close(() => resolve(true)));
  });
}
