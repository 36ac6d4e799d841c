import { describe, expect, it } from "vitest";
import { planWorker, type WorkerWishes } from "../../../src/guest/worker-plan.ts";
import type { NetworkSpec } from "../../../src/libvirt/domain-create.ts";

const NAMES: Readonly<Record<string, string[]>> = {
  "obs.example.org": ["192.0.2.1", "2001:db8::1"],
  obs: ["127.0.1.1"],
  localhost: ["127.0.0.1", "::1"],
};
const resolve = async (host: string): Promise<string[]> => NAMES[host] ?? [];
const plan = async (obsRepo?: string, obsSrc = obsRepo, network: NetworkSpec = { kind: "user" }) => {
  const wishes: WorkerWishes = { role: "obs-worker", obsRepo, obsSrc, instances: 2, jobs: 3 };
  return await planWorker(wishes, network, resolve);
};
const BRIDGE: NetworkSpec = { kind: "bridge", name: "br0" };

describe("planWorker", () => {
  const seen: [string, NetworkSpec, object][] = [
    ["obs.example.org:5252", { kind: "user" }, { repo: "obs.example.org:5252", hosts: "", forwarded: true }],
    ["OBS.example.org:5252", BRIDGE, { repo: "obs.example.org:5252", hosts: "", forwarded: false }],
    ["[2001:db8::1]:5252", BRIDGE, { repo: "[2001:db8::1]:5252" }],
    ["127.0.0.1:5252", { kind: "user" }, { repo: "10.0.2.2:5252", hosts: "" }],
    ["localhost:5252", { kind: "user" }, { repo: "10.0.2.2:5252", hosts: "" }],
    ["obs:5252", { kind: "user" }, { repo: "obs:5252", hosts: "10.0.2.2 obs" }],
  ];
  it.each(seen)("%s on %j: the guest is told %j", async (server, network, guest) => {
    expect((await plan(server, server, network)).guest).toMatchObject(guest);
  });

  it("keeps the servers as this host reaches them", async () => {
    expect(await plan("127.0.0.1:5252", "obs.example.org:5352")).toMatchObject({
      repo: { host: "127.0.0.1", port: 5252 },
      src: { host: "obs.example.org", port: 5352 },
      instances: 2,
      jobs: 3,
    });
  });

  const refusals: [string | undefined, NetworkSpec, string, RegExp][] = [
    [undefined, BRIDGE, "USAGE", /--obs-repo is missing/],
    ["obs.example.org", BRIDGE, "USAGE", /--obs-repo: obs\.example\.org is no HOST:PORT/],
    ["http://obs.example.org:5252", BRIDGE, "USAGE", /is no HOST:PORT/],
    ["obs.example.org:0", BRIDGE, "USAGE", /is no HOST:PORT/],
    ["obs.example.org:99999", BRIDGE, "USAGE", /is no HOST:PORT/],
    ["-x:5252", BRIDGE, "USAGE", /is no HOST:PORT/],
    ["[nothing]:5252", BRIDGE, "USAGE", /is no HOST:PORT/],
    ["a b:5252", BRIDGE, "USAGE", /is no HOST:PORT/],
    ["nowhere.example.org:5252", BRIDGE, "OBS_NAME_UNKNOWN", /knows no address of the OBS server nowhere/],
    ["localhost:5252", BRIDGE, "OBS_ON_LOOPBACK", /a guest on bridge=br0 cannot reach/],
  ];
  it.each(refusals)("%s on %j: %s", async (server, network, code, message) => {
    const error = await plan(server, server ?? "obs:1", network).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code, exitCode: 2, message: expect.stringMatching(message) });
  });

  it("says which of the two servers is missing", async () => {
    const wishes: WorkerWishes = {
      role: "obs-worker",
      obsRepo: "obs:1",
      obsSrc: undefined,
      instances: 1,
      jobs: 1,
    };
    await expect(planWorker(wishes, { kind: "user" }, resolve)).rejects.toThrow(/--obs-src is missing/);
  });
});
