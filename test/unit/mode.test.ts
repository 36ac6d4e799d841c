import { describe, expect, it } from "vitest";
import { modeOf } from "../../src/mode.ts";
import { guestPathsOf, stateRootIn } from "../../src/paths.ts";

const UUID = "01234567-89ab-4cde-8f01-23456789abcd";

describe("modeOf", () => {
  it("is the machine's for root, whatever root's environment says", () => {
    expect(modeOf(0, { XDG_STATE_HOME: "/tmp/x", XDG_CACHE_HOME: "/tmp/y" }, "/root")).toMatchObject({
      name: "system",
      uri: "qemu:///system",
      stateRoot: "/var/lib/bootshare",
      folderMode: 0o711,
      daemonDir: "/run",
      qemuLogDir: "/var/log/libvirt/qemu",
      serviceUnit: "/etc/systemd/system/bootshare.service",
    });
  });

  it("is a user's own for anybody else", () => {
    expect(modeOf(1000, {}, "/home/u")).toEqual({
      name: "session",
      uri: "qemu:///session",
      stateRoot: "/home/u/.local/state/bootshare",
      folderMode: 0o700,
      daemonDir: "/home/u/.cache/libvirt",
      qemuLogDir: "/home/u/.cache/libvirt/qemu/log",
      serviceUnit: "/home/u/.config/systemd/user/bootshare.service",
    });
  });

  it("follows XDG's variables, but no relative or empty ones", () => {
    const env = {
      XDG_STATE_HOME: "/s",
      XDG_CACHE_HOME: "/c",
      XDG_RUNTIME_DIR: "/run/user/1000",
      XDG_CONFIG_HOME: "/e",
    };
    expect(modeOf(1000, env, "/home/u")).toMatchObject({
      stateRoot: "/s/bootshare",
      daemonDir: "/run/user/1000/libvirt",
      qemuLogDir: "/c/libvirt/qemu/log",
      serviceUnit: "/e/systemd/user/bootshare.service",
    });
    expect(modeOf(1000, { XDG_CACHE_HOME: "/c" }, "/home/u").daemonDir).toBe("/c/libvirt");
    for (const bad of ["", "state", "./state", "../state"]) {
      const relative = {
        XDG_STATE_HOME: bad,
        XDG_CACHE_HOME: bad,
        XDG_RUNTIME_DIR: bad,
        XDG_CONFIG_HOME: bad,
      };
      expect(modeOf(1000, relative, "/home/u")).toEqual(modeOf(1000, {}, "/home/u"));
    }
  });
});

describe("stateRootIn", () => {
  it("finds the root that a guest's paths were made with", () => {
    for (const root of ["/home/u/.local/state/bootshare", "/s"]) {
      expect(stateRootIn(guestPathsOf(UUID, root).runKernel, UUID)).toBe(root);
    }
  });

  it.each([
    ["another guest's kernel", "/s/guests/11111111-89ab-4cde-8f01-23456789abcd/run/vmlinuz"],
    ["a kernel elsewhere", "/boot/vmlinuz"],
    ["a root that is none", `/guests/${UUID}/run/vmlinuz`],
    ["a relative path", `s/guests/${UUID}/run/vmlinuz`],
    ["a path that goes up", `/s/../t/guests/${UUID}/run/vmlinuz`],
    ["the initrd", `/s/guests/${UUID}/run/initrd.img`],
    ["no kernel", ""],
  ])("believes nothing of %s", (_what, kernel) => {
    expect(stateRootIn(kernel, UUID)).toBeUndefined();
  });
});
