import { describe, expect, it } from "vitest";
import { forwardChanges } from "../../../src/builder/forwards.ts";
import { type Forward, parseForwards } from "../../../src/guest/ssh.ts";
import type { Worker } from "../../../src/guest/worker.ts";

const at = { host: "obs.example.org", port: 5252 };
const WORKER: Worker = {
  schema: 1,
  role: "obs-worker",
  repo: at,
  src: at,
  instances: 2,
  jobs: 1,
  hostname: "b1",
  portBase: 25_400,
};
const forward = (address: string, port: number, guestPort = port): Forward => ({ address, port, guestPort });
const LOCAL = [forward("127.0.0.1", 25_400), forward("127.0.0.1", 25_401)];
const LAN = [forward("192.0.2.7", 25_400), forward("192.0.2.7", 25_401)];
const SSH = forward("127.0.0.1", 40_001, 22);

describe("forwardChanges", () => {
  const rows: [string, string, Forward[], Forward[], Forward[]][] = [
    ["a guest that was just started, its server on this host", "127.0.0.1", [SSH], [], LOCAL],
    ["its server elsewhere: the loopback interface is the last", "192.0.2.7", [], [], [...LAN, ...LOCAL]],
    ["all there", "192.0.2.7", [SSH, ...LAN, ...LOCAL], [], []],
    ["one missing", "127.0.0.1", [LOCAL[0] as Forward], [], [LOCAL[1] as Forward]],
    [
      "this host has another address now",
      "198.51.100.2",
      [...LAN, ...LOCAL],
      LAN,
      [forward("198.51.100.2", 25_400), forward("198.51.100.2", 25_401)],
    ],
  ];
  it.each(rows)("%s", (_what, address, present, remove, add) => {
    expect(forwardChanges(WORKER, [address], present)).toEqual({ remove, add });
  });
});

describe("parseForwards", () => {
  it("reads what QEMU 7.2 prints, and no connections", () => {
    const text = `Hub -1 (hostnet0):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[ESTABLISHED]   32       127.0.0.1 25400       10.0.2.15 25400     0     0
  TCP[HOST_FORWARD]  30       127.0.0.1 25400               * 25400     0     0
  TCP[HOST_FORWARD]  28       127.0.0.1 40001       10.0.2.15    22     0     0
  UDP[236 sec]       29       10.0.2.15 54321        10.0.2.3    53     0     0
`;
    expect(parseForwards(text)).toEqual([forward("127.0.0.1", 25_400), forward("127.0.0.1", 40_001, 22)]);
    expect(parseForwards("")).toEqual([]);
  });
});
