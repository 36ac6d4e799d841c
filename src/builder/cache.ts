/**
 * A cache of packages that guests read: a proxy for apt on the host's loopback interface, for as long as the command runs.
 *
 * A guest names a file of the mirrors that its builds use, and nothing else: no other host, no other method. What is kept is what
 * the mirror sent for that name, whole, so nothing that a guest sends reaches another one; and what it gets its own apt verifies,
 * as without a cache. Only files whose name never means other bytes are kept: packages, and lists by their hash. A mirror may send
 * something else for them all the same (a proxy's page that asks for a password): {@link PackageCache.forget}.
 */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream, mkdirSync, readdirSync, statSync, utimesSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { makeStateFolder } from "../folders.ts";
import { statePaths } from "../paths.ts";
import { freeBytes } from "../provision/free-space.ts";
import type { Mirrors } from "../provision/sources.ts";

export interface PackageCache {
  /** The proxy as guests on QEMU's user network reach it: `http://ADDRESS:PORT`. */
  readonly guestAddress: string;
  /** Removes all that guests got from it so far: one of them could not make use of it. Fetched anew where it is wanted again. */
  readonly forget: () => Promise<void>;
  readonly stop: () => void;
}

/** The host's loopback interface as QEMU's user network has it. */
const HOST_IN_GUEST = "10.0.2.2";
/** What nobody wanted for so long is removed, in milliseconds. */
const KEEP_MS = 30 * 24 * 3_600_000;
/** A mirror that is silent for so long is given up, in milliseconds. */
const SILENCE_MS = 60_000;

/** What a guest may ask for. */
export interface Wanted {
  readonly url: string;
  /** The name under which it is kept; undefined where its bytes may change under its name. */
  readonly key: string | undefined;
  /** SHA-256 of its bytes, in hexadecimal, where its name says it. */
  readonly sha256: string | undefined;
}

/**
 * Reads the request line of a guest. Pure.
 *
 * @param target as it stands there: proxies get whole addresses (RFC 9112, 3.2.2)
 * @returns undefined for anything but a file of one of the mirrors
 */
export function wantedOf(target: string, mirrors: Mirrors): Wanted | undefined {
  const base = [mirrors.archive, mirrors.security].find(
    (url) => url !== undefined && target.startsWith(`${url}/`),
  );
  if (base === undefined || target.length > 2000) return undefined;
  const path = target.slice(base.length);
  // apt writes some characters of versions as %2b, %7e; nothing here needs a %2f or a %2e.
  if (!/^(\/[A-Za-z0-9_+~:=@-](?:[A-Za-z0-9._+~:=@-]|%(?:2b|3a|7e))*)+$/i.test(path)) return undefined;
  const sha256 = /^\/dists\/.+\/by-hash\/SHA256\/([0-9a-f]{64})$/.exec(path)?.[1];
  const lasting = sha256 !== undefined || /^\/pool\/.+\.u?deb$/.test(path);
  return {
    url: target,
    key: lasting ? createHash("sha256").update(target).digest("hex") : undefined,
    sha256,
  };
}

/**
 * Starts the cache.
 *
 * @param proxy that the host's own apt goes through
 * @returns why there is none, as half a sentence, where there is none: everything works without
 */
export async function startPackageCache(
  mirrors: Mirrors,
  proxy: string | undefined,
): Promise<PackageCache | string> {
  if ([mirrors.archive, mirrors.security].some((url) => url?.startsWith("https:"))) {
    return "the mirror speaks https, which a cache sees nothing of";
  }
  const { root, packageCache: folder } = statePaths();
  makeStateFolder(root);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  await prune(folder);
  const handed = new Set<string>();
  const server = createServer((asked, answer) => {
    serve({ folder, mirrors, proxy, handed }, asked, answer).catch(() => answer.destroy());
  });
  server.on("clientError", (_error, socket) => socket.destroy());
  await listen(server);
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    guestAddress: `http://${HOST_IN_GUEST}:${address.port}`,
    forget: async () => {
      const files = [...handed];
      handed.clear();
      for (const file of files) await rm(file, { force: true });
    },
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function listen(server: Server): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
}

/** Removes what nobody wanted for long, and what was cut short. */
async function prune(folder: string): Promise<void> {
  const now = Date.now();
  for (const name of readdirSync(folder)) {
    const file = join(folder, name);
    const age = now - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? now);
    const limit = name.endsWith(PART) ? PART_MS : KEEP_MS;
    if (age > limit) await rm(file, { force: true });
  }
}

/** How the name of a file ends that is not whole yet, and how long that may last, in milliseconds. */
const PART = ".part";
const PART_MS = 24 * 3_600_000;

interface Everything {
  readonly folder: string;
  readonly mirrors: Mirrors;
  readonly proxy: string | undefined;
  /** The files that guests asked for so far. */
  readonly handed: Set<string>;
}

async function serve(all: Everything, asked: IncomingMessage, answer: ServerResponse): Promise<void> {
  const wanted = wantedOf(asked.url ?? "", all.mirrors);
  if (asked.method !== "GET" || wanted === undefined) {
    answer.writeHead(403).end();
    return;
  }
  const file = wanted.key === undefined ? undefined : join(all.folder, wanted.key);
  if (file !== undefined) {
    all.handed.add(file);
    if (await serveKept(file, answer)) return;
  }
  await serveFetched(all, wanted, file, asked, answer);
}

async function serveKept(file: string, answer: ServerResponse): Promise<boolean> {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined) return false;
  const now = new Date();
  utimesSync(file, now, now);
  answer.writeHead(200, { "content-length": stats.size, "content-type": "application/octet-stream" });
  await pipeline(createReadStream(file), answer);
  return true;
}

/** Headers of apt's that make a difference to a mirror. */
const PASSED_ON = ["range", "if-range", "if-modified-since", "cache-control"] as const;
/** And those of its answer that make one to apt. */
const PASSED_BACK = ["content-length", "content-type", "content-range", "last-modified"] as const;

async function serveFetched(
  { proxy }: Everything,
  { url, sha256 }: Wanted,
  file: string | undefined,
  asked: IncomingMessage,
  answer: ServerResponse,
): Promise<void> {
  // A file that is to be kept is wanted whole, whatever part of it the guest has.
  const names = file === undefined ? PASSED_ON : [];
  const reply = await fetched(url, proxy, pick(asked.headers, names));
  try {
    answer.writeHead(reply.statusCode ?? 502, pick(reply.headers, PASSED_BACK));
    const length = Number(reply.headers["content-length"]);
    if (file === undefined || reply.statusCode !== 200 || !hasRoom(file, length)) {
      await pipeline(reply, answer);
      return;
    }
    await keep(reply, { length, sha256 }, file, answer);
  } finally {
    reply.destroy();
  }
}

/** Left free where packages are kept, in bytes: guests' disks and records are on the same file system. */
const RESERVE_BYTES = 2 * 2 ** 30;

function hasRoom(file: string, length: number): boolean {
  if (!Number.isSafeInteger(length)) return false;
  return freeBytes(dirname(file)) - length >= RESERVE_BYTES;
}

/** What is known of a file before it is there: its bytes' number, and what {@link Wanted} has. */
interface Expected {
  readonly length: number;
  readonly sha256: string | undefined;
}

/** Hands a reply on, and keeps it when it is whole and what its name says. A disk that is full is no reason not to hand it on. */
async function keep(
  reply: IncomingMessage,
  { length, sha256 }: Expected,
  file: string,
  answer: ServerResponse,
): Promise<void> {
  const part = `${file}.${process.pid}-${Math.random().toString(36).slice(2)}${PART}`;
  const copy = createWriteStream(part, { mode: 0o600, flush: true });
  const hash = sha256 === undefined ? undefined : createHash("sha256");
  let whole = true;
  copy.on("error", () => {
    whole = false;
  });
  try {
    await pipeline(
      reply,
      async function* (source: AsyncIterable<Buffer>) {
        for await (const bytes of source) {
          hash?.update(bytes);
          // Called after an error, too.
          if (whole) await new Promise<void>((resolve) => copy.write(bytes, () => resolve()));
          yield bytes;
        }
      },
      answer,
    );
    if (!whole) return;
    await new Promise<void>((resolve) => copy.end(resolve));
    const right = hash?.digest("hex") === sha256;
    if (whole && right && copy.bytesWritten === length) await rename(part, file);
  } finally {
    // It may be about to be made: what is removed before would come back.
    if (!copy.closed) await new Promise<void>((resolve) => copy.once("close", () => resolve()).destroy());
    await rm(part, { force: true });
  }
}

/** Mirrors may send apt elsewhere (those that choose one nearby do). The guest is told nothing of it. */
const REDIRECTS = 3;

async function fetched(
  url: string,
  proxy: string | undefined,
  headers: Record<string, string>,
): Promise<IncomingMessage> {
  let at = url;
  for (let count = 0; ; count++) {
    const reply = await fetchOnce(at, proxy, headers);
    const { location } = reply.headers;
    const elsewhere = [301, 302, 303, 307, 308].includes(reply.statusCode ?? 0) ? location : undefined;
    if (elsewhere === undefined || count === REDIRECTS) return reply;
    reply.destroy();
    at = new URL(elsewhere, at).href;
    if (!at.startsWith("http:")) throw new Error("the mirror sends elsewhere, and not by http");
  }
}

async function fetchOnce(
  url: string,
  proxy: string | undefined,
  headers: Record<string, string>,
): Promise<IncomingMessage> {
  const { hostname, port, host, pathname } = new URL(url);
  const via = proxy === undefined ? { hostname, port } : new URL(proxy);
  return await new Promise((resolve, reject) => {
    const asking = request(
      {
        hostname: via.hostname,
        port: via.port === "" ? 80 : Number(via.port),
        path: proxy === undefined ? pathname : url,
        headers: { ...headers, host, "user-agent": "bootshare" },
        timeout: SILENCE_MS,
      },
      resolve,
    );
    asking.on("timeout", () => asking.destroy(new Error("the mirror is silent")));
    asking.on("error", reject);
    asking.end();
  });
}

function pick(
  headers: Readonly<Record<string, string | string[] | undefined>>,
  names: readonly string[],
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of names) {
    const value = headers[name];
    if (typeof value === "string") found[name] = value;
  }
  return found;
}
