import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type PackageCache, startPackageCache, wantedOf } from "../../../src/builder/cache.ts";

const MIRRORS = {
  archive: "http://mirror.example.org/debian",
  security: "http://mirror.example.org/debian-security",
  updates: true,
};
const HASH = "0".repeat(64);

describe("wantedOf", () => {
  it.each([
    ["/debian/pool/main/h/hello/hello_2.10-5_amd64.deb", true],
    ["/debian/pool/main/libs/libs_1%3a2.0%2bdfsg%7erc1-1_all.deb", true],
    ["/debian-security/pool/updates/main/a/a_1_all.udeb", true],
    [`/debian/dists/trixie/main/binary-amd64/by-hash/SHA256/${HASH}`, true],
    ["/debian/dists/trixie/InRelease", false],
    ["/debian/dists/trixie/main/binary-amd64/Packages.xz", false],
  ])("lets %s pass, kept: %s", (path, kept) => {
    const wanted = wantedOf(`http://mirror.example.org${path}`, MIRRORS);
    expect(wanted?.url).toBe(`http://mirror.example.org${path}`);
    expect(wanted?.key !== undefined).toBe(kept);
  });

  it.each([
    "http://elsewhere.example.org/debian/pool/a_1_all.deb",
    "http://mirror.example.org/other/a_1_all.deb",
    "http://mirror.example.org/debian-other/a_1_all.deb",
    "http://mirror.example.org/debian/../secret/a_1_all.deb",
    "http://mirror.example.org/debian/%2e%2e/secret/a_1_all.deb",
    "http://mirror.example.org/debian/pool/%2e%2e%2fa_1_all.deb",
    "http://mirror.example.org/debian/pool/a_1_all.deb?x",
    "http://mirror.example.org/debian/pool/a_1_all.deb#x",
    "http://mirror.example.org/debian/pool//a_1_all.deb",
    "http://mirror.example.org/debian/pool/.a_1_all.deb",
    "http://mirror.example.org/debian",
    "http://mirror.example.org@127.0.0.1/debian/pool/a_1_all.deb",
    "/debian/pool/a_1_all.deb",
    "https://mirror.example.org/debian/pool/a_1_all.deb",
    "",
  ])("refuses %s", (target) => {
    expect(wantedOf(target, MIRRORS)).toBeUndefined();
  });

  it("never leaves the mirrors", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 80 }), (tail) => {
        const wanted = wantedOf(`${MIRRORS.archive}/${tail}`, MIRRORS);
        if (wanted === undefined) return;
        expect(new URL(wanted.url).href.startsWith(`${MIRRORS.archive}/`)).toBe(true);
      }),
    );
  });
});

describe("the cache", () => {
  let state = "";
  let mirror: Server;
  let asked: string[] = [];
  let cache: PackageCache;
  let port = 0;
  let body = Buffer.from("the package");
  let cut = false;

  beforeEach(async () => {
    state = mkdtempSync(join(tmpdir(), "bootshare-cache-"));
    vi.spyOn(process, "getuid").mockReturnValue(1000);
    vi.stubEnv("XDG_STATE_HOME", state);
    asked = [];
    cut = false;
    body = Buffer.from("the package");
    mirror = createServer((query, answer) => {
      asked.push(`${query.method} ${query.url}`);
      if (query.url?.includes("moved") === true) {
        answer.writeHead(302, { location: "/debian/pool/there_1_all.deb" }).end();
        return;
      }
      if (query.url?.includes("missing") === true) {
        answer.writeHead(404).end();
        return;
      }
      answer.writeHead(200, { "content-length": body.length });
      if (cut) {
        answer.write(body.subarray(0, 3));
        setTimeout(() => answer.destroy(), 20);
      } else answer.end(body);
    });
    await new Promise<void>((resolve) => mirror.listen(0, "127.0.0.1", resolve));
    const address = mirror.address();
    const archive = `http://127.0.0.1:${address !== null && typeof address === "object" ? address.port : 0}/debian`;
    const started = await startPackageCache({ archive, security: undefined, updates: true }, undefined);
    if (typeof started === "string") throw new Error(started);
    cache = started;
    port = Number(new URL(cache.guestAddress).port);
    base = archive;
  });
  afterEach(() => {
    cache.stop();
    mirror.close();
    vi.restoreAllMocks();
    vi.unstubAllEnvs();
    rmSync(state, { recursive: true });
  });
  let base = "";

  interface Answer {
    readonly status: number;
    readonly body: string;
    readonly whole: boolean;
  }
  async function get(path: string, method = "GET"): Promise<Answer> {
    return await new Promise((resolve) => {
      const query = request({ host: "127.0.0.1", port, path, method }, (answer) => {
        let text = "";
        answer.on("data", (bytes: Buffer) => {
          text += bytes.toString();
        });
        answer.on("error", () => {});
        answer.on("close", () =>
          resolve({ status: answer.statusCode ?? 0, body: text, whole: answer.complete }),
        );
      });
      query.on("error", () => resolve({ status: 0, body: "", whole: false }));
      query.end();
    });
  }
  const kept = (): string[] => {
    const folder = join(state, "bootshare/packages");
    return existsSync(folder) ? readdirSync(folder) : [];
  };

  it("fetches a package once", async () => {
    const url = `${base}/pool/a_1_all.deb`;
    expect(await get(url)).toMatchObject({ status: 200, body: "the package" });
    await vi.waitFor(() => expect(kept()).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]));
    body = Buffer.from("other bytes");
    expect(await get(url)).toMatchObject({ status: 200, body: "the package" });
    expect(asked).toEqual(["GET /debian/pool/a_1_all.deb"]);
  });

  it("keeps a list by its hash only where it has that hash", async () => {
    const lists = `${base}/dists/trixie/main/binary-amd64/by-hash/SHA256`;
    const hash = createHash("sha256").update("the lists").digest("hex");
    expect((await get(`${lists}/${hash}`)).body).toBe("the package");
    await vi.waitFor(() => expect(kept()).toEqual([]));
    body = Buffer.from("the lists");
    expect((await get(`${lists}/${hash}`)).body).toBe("the lists");
    await vi.waitFor(() => expect(kept()).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]));
    body = Buffer.from("other lists");
    expect((await get(`${lists}/${hash}`)).body).toBe("the lists");
  });

  it("forgets what it handed out, kept before or not, and nothing else", async () => {
    const [a, b, c] = ["a", "b", "c"].map((name) => `${base}/pool/${name}_1_all.deb`) as [
      string,
      string,
      string,
    ];
    await get(a);
    await get(b);
    await vi.waitFor(() => expect(kept()).toHaveLength(2));
    await cache.forget();
    expect(kept()).toEqual([]);
    await get(a);
    await vi.waitFor(() => expect(kept()).toHaveLength(1));
    const other = await startPackageCache({ archive: base, security: undefined, updates: true }, undefined);
    if (typeof other === "string") throw new Error(other);
    port = Number(new URL(other.guestAddress).port);
    await get(c);
    await vi.waitFor(() => expect(kept()).toHaveLength(2));
    await other.forget();
    other.stop();
    expect(kept()).toHaveLength(1);
    port = Number(new URL(cache.guestAddress).port);
    body = Buffer.from("other bytes");
    expect((await get(a)).body).toBe("the package");
    await cache.forget();
    expect((await get(a)).body).toBe("other bytes");
  });

  it("fetches what changes under its name each time", async () => {
    const url = `${base}/dists/trixie/InRelease`;
    await get(url);
    body = Buffer.from("newer");
    expect((await get(url)).body).toBe("newer");
    expect(kept()).toEqual([]);
  });

  it("keeps nothing that was cut short", async () => {
    cut = true;
    expect((await get(`${base}/pool/a_1_all.deb`)).whole).toBe(false);
    await vi.waitFor(() => expect(kept()).toEqual([]));
    cut = false;
    expect((await get(`${base}/pool/a_1_all.deb`)).body).toBe("the package");
  });

  it("keeps no answer that is an error", async () => {
    expect((await get(`${base}/pool/missing_1_all.deb`)).status).toBe(404);
    expect(kept()).toEqual([]);
  });

  it("follows a mirror that sends elsewhere", async () => {
    expect(await get(`${base}/pool/moved_1_all.deb`)).toMatchObject({ status: 200, body: "the package" });
  });

  it.each([
    ["a method that writes", "PUT", "/pool/a_1_all.deb"],
    ["another one", "POST", "/pool/a_1_all.deb"],
    ["a path out of the mirror", "GET", "/../a_1_all.deb"],
  ])("refuses %s, and asks the mirror nothing", async (_what, method, path) => {
    expect((await get(`${base}${path}`, method)).status).toBe(403);
    expect(asked).toEqual([]);
  });

  it("is no way to this host or any other", async () => {
    expect((await get("http://127.0.0.1:22/debian/pool/a_1_all.deb")).status).toBe(403);
    expect((await get("/")).status).toBe(403);
  });
});
