import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { UserError } from "../../../src/errors.ts";
import {
  checkPublicKey,
  enabledUnits,
  fillIn,
  type GuestFacts,
  hostNameFor,
  templateValues,
  writeGuestFiles,
} from "../../../src/provision/guest-files.ts";
import { findSuite } from "../../../src/provision/suites.ts";

const KEY =
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEX me@example.org";
const FACTS: GuestFacts = {
  suite: findSuite("trixie"),
  arch: "amd64",
  transport: "9p",
  hostname: "worker-1",
  mac: "52:54:00:AB:cd:01",
  rootUuid: "2785e801-94e2-43df-8fd9-d412eed81ff9",
  shareFstabLine: "virtio-boot /boot 9p trans=virtio,version=9p2000.L,x-systemd.automount 0 0",
  authorizedKeys: [`${KEY}\n`, "ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB"],
  stage: "native",
  narrow: false,
};

const codeOf = (action: () => unknown): string => {
  try {
    action();
  } catch (error) {
    if (error instanceof UserError) return error.code;
    throw error;
  }
  return "none";
};

describe("hostNameFor", () => {
  it.each([
    ["worker", "worker"],
    ["My_Guest.1", "my-guest-1"],
    ["--a--", "a"],
    ["ÄÖ", "guest"],
    ["", "guest"],
    [`${"x".repeat(62)}.y`, "x".repeat(62)],
  ])("%j is %j", (name, expected) => {
    expect(hostNameFor(name)).toBe(expected);
  });

  it("always makes a name that a guest accepts", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (name) => {
        expect(templateValues({ ...FACTS, hostname: hostNameFor(name) })["HOSTNAME"]).toMatch(
          /^[a-z0-9-]{1,63}$/,
        );
      }),
    );
  });
});

describe("templateValues", () => {
  it.each([
    ["HOSTNAME_INVALID", { hostname: "a b" }],
    ["HOSTNAME_INVALID", { hostname: "-a" }],
    ["HOSTNAME_INVALID", { hostname: "a\n127.0.0.1 evil" }],
    ["MAC_INVALID", { mac: "52:54:00:00:00" }],
    ["MAC_INVALID", { mac: "52:54:00:00:00:01\nDHCP=no" }],
    ["SSH_KEY_INVALID", { authorizedKeys: ["-----BEGIN OPENSSH PRIVATE KEY-----"] }],
    ["SSH_KEY_INVALID", { authorizedKeys: [`${KEY}\n${KEY}`] }],
    ["SSH_KEY_INVALID", { authorizedKeys: [`command="x" ${KEY}`] }],
    ["SSH_KEY_INVALID", { authorizedKeys: [""] }],
  ])("%s for %j", (code, change) => {
    expect(codeOf(() => templateValues({ ...FACTS, ...change }))).toBe(code);
  });

  it.each([
    { shareFstabLine: "virtio-boot /boot 9p defaults 0 0\n/dev/vda /mnt ext4 defaults 0 0" },
    { shareFstabLine: "virtio-boot /etc 9p defaults 0 0" },
    { rootUuid: "x" },
  ])("does not take %j from bootshare itself", (change) => {
    expect(() => templateValues({ ...FACTS, ...change })).toThrow(/^not a/);
  });

  it.each(["ssh-rsa AAAA", "ecdsa-sha2-nistp256 AAAA= x y", "sk-ssh-ed25519@openssh.com AAAA"])(
    "takes %j",
    (key) => {
      expect(codeOf(() => checkPublicKey(key))).toBe("none");
    },
  );
});

describe("fillIn", () => {
  it("fills in names, leaves mail addresses, and does not fill in what it filled in", () => {
    expect(fillIn("@A@ me@example.org @A_B@", { A: "@A_B@", A_B: "$&" })).toBe("@A_B@ me@example.org $&");
  });

  it.each(["@NOPE@", "@CONSTRUCTOR@", "@A__B@ @A@"])("throws for %j", (text) => {
    expect(() => fillIn(text, {})).toThrow(/no value/);
  });
});

describe("writeGuestFiles", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "bootshare-files-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const read = (path: string): string => readFileSync(join(folder, "o", path), "utf8");
  const mode = (path: string): string => (statSync(join(folder, "o", path)).mode & 0o7777).toString(8);

  it("fills in every template", async () => {
    const paths = await writeGuestFiles(join(folder, "o"), FACTS);
    for (const path of paths) expect(read(path), path).not.toMatch(/@[A-Z_]+@/);
    expect(read("etc/fstab")).toContain(
      "UUID=2785e801-94e2-43df-8fd9-d412eed81ff9 / ext4 errors=remount-ro 0 1\n",
    );
    expect(read("etc/fstab")).toContain(`\n${FACTS.shareFstabLine}\n`);
    expect(read("etc/hostname")).toBe("worker-1\n");
    expect(read("etc/hosts")).toContain("127.0.1.1\tworker-1\n");
    expect(read("etc/systemd/network/10-bootshare.network")).toContain("MACAddress=52:54:00:ab:cd:01\n");
    expect(read("root/.ssh/authorized_keys")).toBe(`${KEY}\nssh-rsa AAAAB3NzaC1yc2EAAAADAQAB\n`);
    expect(read("etc/bootshare/guest.conf")).toMatch(/\nSUITE=trixie\nARCHITECTURE=amd64\nTRANSPORT=9p\n$/);
  });

  const OWN_INITRD = [
    "etc/bootshare/make-own-initrd",
    "usr/lib/bootshare/own-initrd",
    "usr/lib/systemd/system/bootshare-own-initrd.service",
  ];
  const SECOND_STAGE = "var/lib/bootshare/second-stage";
  const INIT32 = "usr/lib/bootshare/init32";
  const special: [GuestFacts["stage"], boolean, string[]][] = [
    ["native", false, []],
    ["native", true, [INIT32]],
    ["qemu-user", false, OWN_INITRD],
    ["qemu-user", true, [...OWN_INITRD, INIT32]],
    ["guest", false, [SECOND_STAGE]],
    ["guest", true, [INIT32, SECOND_STAGE]],
  ];
  it.each(special)("stage %s, narrow %s: %j beside the usual", async (stage, narrow, expected) => {
    const paths = await writeGuestFiles(join(folder, "o"), { ...FACTS, stage, narrow });
    const known = [...OWN_INITRD, SECOND_STAGE, INIT32];
    expect(paths.filter((path) => known.includes(path)).sort()).toEqual([...expected].sort());
    expect(enabledUnits(stage).includes("bootshare-own-initrd.service")).toBe(stage === "qemu-user");
  });

  it("makes a worker of a guest that has that role, and of no other", async () => {
    const files = [
      "etc/bootshare/obs-worker.conf",
      "usr/lib/bootshare/obs-worker",
      "usr/lib/systemd/system/bootshare-obs-worker@.service",
    ];
    const plain = await writeGuestFiles(join(folder, "plain"), FACTS);
    expect(plain.filter((path) => path.includes("obs-worker"))).toEqual([]);
    const obsWorker = {
      repo: "obs.example.org:5252",
      src: "obs.example.org:5352",
      instances: 2,
      jobs: 4,
      portBase: 25_400,
      forwarded: true,
      hosts: "10.0.2.2 obs.example.org",
    };
    const paths = await writeGuestFiles(join(folder, "o"), { ...FACTS, obsWorker });
    expect(paths.filter((path) => path.includes("obs-worker"))).toEqual(files);
    expect(mode("usr/lib/bootshare/obs-worker")).toBe("755");
    expect(read("etc/bootshare/obs-worker.conf")).toMatch(/^OBS_REPO="obs\.example\.org:5252"$/m);
    expect(read("etc/bootshare/obs-worker.conf")).toMatch(/^OBS_HOSTS="10\.0\.2\.2 obs\.example\.org"$/m);
    expect(enabledUnits("native", obsWorker).slice(-2)).toEqual([
      "bootshare-obs-worker@1.service",
      "bootshare-obs-worker@2.service",
    ]);
    const evil = { ...obsWorker, repo: 'x"; rm -rf / #' };
    await expect(writeGuestFiles(join(folder, "evil"), { ...FACTS, obsWorker: evil })).rejects.toThrow(
      /not a server/,
    );
  });

  it("sets modes whatever the umask", async () => {
    const umask = process.umask(0o077);
    try {
      await writeGuestFiles(join(folder, "o"), FACTS);
    } finally {
      process.umask(umask);
    }
    expect([".", "etc", "usr/lib/bootshare", "root", "root/.ssh"].map(mode)).toEqual([
      "755",
      "755",
      "755",
      "700",
      "700",
    ]);
    expect(mode("root/.ssh/authorized_keys")).toBe("600");
    expect(mode("etc/fstab")).toBe("644");
    for (const script of [
      "usr/lib/bootshare/gate",
      "usr/lib/bootshare/report",
      "usr/lib/systemd/system-shutdown/bootshare-end",
      "usr/share/initramfs-tools/hooks/bootshare",
      "etc/systemd/system-generators/systemd-ssh-generator",
    ]) {
      expect(mode(script), script).toBe("755");
      expect(read(script), script).toMatch(/^#!\/bin\/sh\n/);
    }
  });

  it("does not write over anything", async () => {
    await writeGuestFiles(join(folder, "o"), FACTS);
    await expect(writeGuestFiles(join(folder, "o"), FACTS)).rejects.toThrow(/EEXIST/);
  });
});

describe("in-guest scripts", () => {
  it("report and bootshare-end succeed without a port, whatever they are told", () => {
    const script = new URL("../../../in-guest/usr/lib/bootshare/report", import.meta.url).pathname;
    for (const args of [["up"], ["good"], ["end", "reboot"], ["end"], [], ["nonsense"]]) {
      expect(execFileSync("sh", [script, ...args], { encoding: "utf8" })).toBe("");
    }
  });
});
