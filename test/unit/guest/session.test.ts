import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { appendEvents, readEvents, readState } from "../../../src/boot/log.ts";
import { standInForHook } from "../../../src/guest/launch.ts";
import { chooseTransport } from "../../../src/guest/plan.ts";
import { requireNetwork, virtiofsObstacle } from "../../../src/guest/session.ts";
import { type GuestPaths, guestPaths } from "../../../src/paths.ts";
import { bzImage, zstdInitrd } from "../kernel/images.ts";
import { AMD64 } from "../machines.ts";

describe("what stands in for the hook", () => {
  let paths: GuestPaths;
  beforeEach(() => {
    paths = guestPaths(mkdtempSync(join(tmpdir(), "bootshare-launch-")));
    for (const folder of [paths.share, paths.run, paths.pairs]) mkdirSync(folder);
  });
  afterEach(() => rmSync(paths.dir, { recursive: true, force: true }));
  const off = (saved: boolean) => ({
    name: "w",
    paths,
    status: { state: "shut off", reason: "shutdown", saved },
  });

  it("stages the guest's next kernel, and writes down that no hook will tell of its end", () => {
    writeFileSync(join(paths.share, "vmlinuz-6.1.0-9-amd64"), bzImage({ release: "6.1.0-9-amd64 (debian)" }));
    writeFileSync(join(paths.share, "initrd.img-6.1.0-9-amd64"), zstdInitrd());
    standInForHook(off(false), AMD64);
    expect(readFileSync(paths.runInitrd)).toEqual(Buffer.from(zstdInitrd()));
    expect(readState(paths).current).toMatchObject({ hooked: false, pair: { release: "6.1.0-9-amd64" } });
  });

  it("refuses a start with nothing to boot", () => {
    expect(() => standInForHook(off(false), AMD64)).toThrow(
      /^Nothing in the \/boot of guest w can be booted/,
    );
    expect(readEvents(paths).map(({ e }) => e)).toEqual(["refused"]);
  });

  it("leaves a saved guest the kernel that it was saved with", () => {
    appendEvents(paths, [{ e: "desired", state: "off", why: "a test" }]);
    standInForHook(off(true), AMD64);
    expect(readEvents(paths).map(({ e }) => e)).toEqual(["desired", "restore"]);
    expect(readState(paths).desired).toBe("on");
  });
});

describe("virtiofs for users", () => {
  it.each([
    [[10, 0], undefined],
    [[11, 3], undefined],
    [[9, 10], "libvirt 9.10 serves virtiofs to root's guests alone (libvirt 10.0 to anybody's)"],
    [undefined, "libvirt serves virtiofs to root's guests alone (libvirt 10.0 to anybody's)"],
  ] as const)("libvirt %j: %s", (version, obstacle) => expect(virtiofsObstacle(version)).toBe(obstacle));

  const obstacle = "libvirt 9.0 does not";
  it("gives way to 9p, with the reason, unless it was asked for", () => {
    expect(chooseTransport("auto", "/usr/libexec/virtiofsd", obstacle)).toMatchObject({
      transport: { name: "9p" },
      reason: obstacle,
    });
    expect(chooseTransport("9p", "/usr/libexec/virtiofsd", obstacle).transport.name).toBe("9p");
    expect(() => chooseTransport("virtiofs", "/usr/libexec/virtiofsd", obstacle)).toThrow(
      "virtiofs was asked for, and libvirt 9.0 does not.",
    );
    expect(chooseTransport("auto", "/usr/libexec/virtiofsd").transport.name).toBe("virtiofs");
  });
});

describe("networks", () => {
  const network = { kind: "network", name: "default" } as const;
  const bridge = { kind: "bridge", name: "br0" } as const;
  it("are all root's to choose from", () => {
    for (const one of [network, bridge, { kind: "user" } as const]) requireNetwork(one, "system", false);
  });

  it("of users are QEMU's own, and bridges where an administrator lets them", () => {
    requireNetwork({ kind: "user" }, "session", false);
    requireNetwork(bridge, "session", true);
    expect(() => requireNetwork(bridge, "session", false)).toThrow(
      "An ordinary user's guest cannot be connected to the bridge br0: QEMU's helper has no rights here.",
    );
    for (const bridges of [true, false]) {
      expect(() => requireNetwork(network, "session", bridges)).toThrow(
        "An ordinary user's guest cannot be connected to libvirt's network default.",
      );
    }
  });
});
