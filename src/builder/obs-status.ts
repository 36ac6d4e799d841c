/**
 * What an OBS server says of its workers. It may be anybody's: what it answers is taken within limits, read strictly, and its
 * words are shown escaped.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { EXIT, messageOf, UserError } from "../errors.ts";
import { instancesOf, type Server, type Worker } from "../guest/worker.ts";
import { attribute, childrenOf, parseXml } from "../libvirt/domain-parse.ts";
import { printable } from "../text.ts";

/**
 * OBS's words (BSXML.pm, workerstatus): `away` is a worker that has just got a job, or is on its way back from one; `dead` one
 * that the server could not reach.
 */
const STATES = ["idle", "building", "away", "down", "dead"] as const;
export type ObsState = (typeof STATES)[number];

/** What a worker builds. All texts are printable. */
export interface ObsJob {
  readonly project: string;
  readonly repository: string;
  readonly package: string;
  readonly arch: string;
  /** ISO 8601. */
  readonly since: string | undefined;
}

export interface ObsWorkerStatus {
  readonly state: ObsState;
  readonly job?: ObsJob;
}

/** By worker id, as the server writes it: not printable, and only for looking up. */
export type ObsStatus = ReadonlyMap<string, ObsWorkerStatus>;

/** Largest answer that is read, in bytes: parseXml's own limit. */
const MAX_BYTES = 1024 * 1024;
const TIMEOUT_MS = 10_000;
/** Longest word of the server's that is shown. OBS allows 200 characters to a name. */
const MAX_WORD = 200;

/**
 * Reads `<workerstatus>`. Of a worker that is said more than once, what it builds counts first.
 *
 * @param xml not trusted
 * @throws {Error} when it is anything else, with a sentence that says so
 */
export function parseWorkerStatus(xml: string): ObsStatus {
  const root = parseXml(xml).documentElement;
  if (root === null || root.nodeName !== "workerstatus")
    throw new Error("its root element is no <workerstatus>");
  const workers = new Map<string, ObsWorkerStatus>();
  for (const state of STATES) {
    for (const element of childrenOf(root, state)) {
      const id = attribute(element, "workerid");
      if (id === undefined || workers.get(id)?.state === "building") continue;
      if (state !== "building") {
        workers.set(id, { state });
        continue;
      }
      const word = (name: string): string => printable(attribute(element, name) ?? "?", MAX_WORD);
      workers.set(id, {
        state,
        job: {
          project: word("project"),
          repository: word("repository"),
          package: word("package"),
          arch: word("arch"),
          since: timeOf(attribute(element, "starttime")),
        },
      });
    }
  }
  return workers;
}

/** Seconds since 1970, as OBS writes times. */
function timeOf(text: string | undefined): string | undefined {
  return text !== undefined && /^[0-9]{1,10}$/.test(text)
    ? new Date(Number(text) * 1000).toISOString()
    : undefined;
}

/**
 * Asks the repository server, which everybody may ask, else the source server, which knows the same.
 *
 * @throws {UserError} `OBS_UNREACHABLE`
 */
export async function obsStatus({ repo, src }: Pick<Worker, "repo" | "src">): Promise<ObsStatus> {
  let first: unknown;
  for (const url of [`${urlOf(repo)}/workerstatus`, `${urlOf(src)}/build/_workerstatus`]) {
    try {
      return parseWorkerStatus(await get(url));
    } catch (error) {
      first ??= error;
    }
  }
  throw new UserError(
    "OBS_UNREACHABLE",
    `The OBS server ${printable(repo.host)}:${repo.port} does not say how its workers are: ${printable(reasonOf(first), 300)}.`,
    { exitCode: EXIT.failed, hint: "See whether it runs, and whether this host may reach it." },
  );
}

/** `HOST:PORT` as a URL's beginning. */
export function urlOf({ host, port }: Server): string {
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

async function get(url: string): Promise<string> {
  // Aborted by us and not by AbortSignal.timeout, whose timer Node forgets when it is collected.
  const stop = new AbortController();
  const timer = new AbortController();
  void sleep(TIMEOUT_MS, undefined, { signal: timer.signal }).then(
    () => stop.abort(new Error(`no answer within ${TIMEOUT_MS / 1000} s`)),
    () => {},
  );
  try {
    const answer = await fetch(url, { redirect: "error", signal: stop.signal });
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of answer.body ?? []) {
      bytes += piece.length;
      if (bytes > MAX_BYTES) throw new Error(`its answer is longer than ${MAX_BYTES} bytes`);
      pieces.push(piece);
    }
    return Buffer.concat(pieces).toString("utf8");
  } finally {
    timer.abort();
    stop.abort();
  }
}

/** fetch() says "fetch failed" and has the reason as its cause. */
function reasonOf(error: unknown): string {
  if (error instanceof Error && error.cause instanceof Error) return error.cause.message;
  return messageOf(error);
}

/** What the workers of a guest build now, as far as the server tells: `PROJECT/PACKAGE (ARCH)`, printable. */
export async function buildingNow(worker: Worker): Promise<string[]> {
  let status: ObsStatus;
  try {
    status = await obsStatus(worker);
  } catch {
    return [];
  }
  return instancesOf(worker)
    .map(({ id }) => status.get(id)?.job)
    .filter((job) => job !== undefined)
    .map(({ project, package: name, arch }) => `${project}/${name} (${arch})`);
}
