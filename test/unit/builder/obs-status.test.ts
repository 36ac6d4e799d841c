import { createServer, type Server } from "node:http";
import fc from "fast-check";
import { afterEach, describe, expect, it } from "vitest";
import { buildingNow, obsStatus, parseWorkerStatus, urlOf } from "../../../src/builder/obs-status.ts";
import { UserError } from "../../../src/errors.ts";
import type { Worker } from "../../../src/guest/worker.ts";

/** As a server of 2.9.4 wrote it. */
const STATUS = `<workerstatus clients="2">
  <idle workerid="b1:1" hostarch="x86_64" uri="http://127.0.0.1:25400" />
  <building workerid="b2:1" hostarch="armv7l" project="home:me" repository="debian" package="hello" arch="armv7l" starttime="1795644683" uri="http://127.0.0.1:25401" />
  <down workerid="b3:1" hostarch="x86_64" />
  <dead workerid="b4:1" hostarch="x86_64" />
  <away workerid="b2:1" hostarch="armv7l" />
  <waiting arch="x86_64" jobs="3" />
  <partition><daemon type="repserver" state="running" starttime="1795644683" /></partition>
</workerstatus>
`;

describe("parseWorkerStatus", () => {
  it("reads each worker, and of one that is said twice what it builds", () => {
    const job = { project: "home:me", repository: "debian", package: "hello", arch: "armv7l" };
    expect(Object.fromEntries(parseWorkerStatus(STATUS))).toEqual({
      "b1:1": { state: "idle" },
      "b2:1": { state: "building", job: { ...job, since: "2026-11-25T22:11:23.000Z" } },
      "b3:1": { state: "down" },
      "b4:1": { state: "dead" },
    });
  });

  it("shows the server's words escaped and cut", () => {
    const hostile = `<workerstatus><building workerid="b:1" project="a&#x202e;b" package="${"p".repeat(999)}" starttime="-1"/></workerstatus>`;
    const job = parseWorkerStatus(hostile).get("b:1")?.job;
    expect(job).toMatchObject({ project: "a\\u202eb", repository: "?", since: undefined });
    expect(job?.package.length).toBeLessThanOrEqual(201);
  });

  const refused: [string, string][] = [
    ["no XML", "it is fine"],
    ["another document", "<status code='ok'/>"],
    ["a document type", "<!DOCTYPE workerstatus [<!ENTITY a 'b'>]><workerstatus/>"],
    ["nothing", ""],
  ];
  it.each(refused)("refuses %s", (_what, xml) => {
    expect(() => parseWorkerStatus(xml)).toThrow();
  });

  it("throws an Error or reads, whatever it gets", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          parseWorkerStatus(`<workerstatus>${text}</workerstatus>`);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
    );
  });
});

describe("obsStatus", () => {
  let server: Server | undefined;
  afterEach(() => server?.close());

  /** A server that answers each path with this. */
  async function serve(answers: Readonly<Record<string, string | number>>): Promise<Worker> {
    const made = createServer((request, response) => {
      const answer = answers[request.url ?? ""] ?? 404;
      if (typeof answer === "number") response.writeHead(answer, { location: "http://127.0.0.1:9/" }).end();
      else response.end(answer);
    });
    server = made;
    await new Promise<void>((resolve) => made.listen(0, "127.0.0.1", resolve));
    const address = made.address();
    const port = typeof address === "object" ? (address?.port ?? 0) : 0;
    const at = { host: "127.0.0.1", port };
    return {
      schema: 1,
      role: "obs-worker",
      repo: at,
      src: at,
      instances: 1,
      jobs: 1,
      hostname: "b2",
      portBase: 25_400,
    };
  }

  it("asks the repository server", async () => {
    const worker = await serve({ "/workerstatus": STATUS });
    expect((await obsStatus(worker)).get("b1:1")).toEqual({ state: "idle" });
    expect(await buildingNow(worker)).toEqual(["home:me/hello (armv7l)"]);
  });

  it("asks the source server where that one does not answer", async () => {
    const worker = await serve({ "/workerstatus": 403, "/build/_workerstatus": STATUS });
    expect((await obsStatus(worker)).size).toBe(4);
  });

  const failing: [string, Record<string, string | number>, RegExp][] = [
    ["an error", { "/workerstatus": 500 }, /it answered 500\. \[|it answered 500\.$/],
    ["a way to another server", { "/workerstatus": 302 }, /does not say how its workers are: /],
    ["too much", { "/workerstatus": "x".repeat(1024 * 1024 + 1) }, /longer than 1048576 bytes/],
    ["something else", { "/workerstatus": "<html/>" }, /its root element is no <workerstatus>/],
  ];
  it.each(failing)("says so for %s", async (_what, answers, message) => {
    const worker = await serve(answers);
    await expect(obsStatus(worker)).rejects.toThrow(message);
    await expect(obsStatus(worker)).rejects.toMatchObject({ code: "OBS_UNREACHABLE" });
    expect(await buildingNow(worker)).toEqual([]);
  });

  it("says so where nobody listens", async () => {
    const at = { host: "127.0.0.1", port: 65_111 };
    const error = await obsStatus({ repo: at, src: at }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UserError);
    expect(String(error)).toContain("ECONNREFUSED");
  });
});

it("writes an IPv6 address into a URL", () => {
  expect(urlOf({ host: "2001:db8::1", port: 5252 })).toBe("http://[2001:db8::1]:5252");
});
