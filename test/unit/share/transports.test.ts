import { execFileSync, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { catalogue } from "../../../src/kernel/catalogue.ts";
import { SHARE_TAG } from "../../../src/paths.ts";
import { readBootFolder } from "../../../src/share/folder.ts";
import { ninep } from "../../../src/share/ninep.ts";
import { seedShare } from "../../../src/share/seed.ts";
import type { ShareTransport } from "../../../src/share/transport.ts";
import { TRANSPORTS, transportNamed } from "../../../src/share/transports.ts";
import { virtiofs } from "../../../src/share/virtiofs.ts";
import { bzImage, zstdInitrd } from "../kernel/images.ts";

const REL = "6.12.48+deb13-amd64";
const QEMU = { uid: 12_345, gid: 23_456 };
const root = process.geteuid?.() === 0;

let dir = "";
let share = "";
let sources = "";
const at = (name: string): string => join(share, name);

beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), "bootshare-"));
  share = join(dir, "a share");
  sources = join(dir, "sources");
  fs.mkdirSync(share);
  fs.mkdirSync(sources);
  fs.writeFileSync(join(sources, "k"), bzImage({ release: REL }));
  fs.writeFileSync(join(sources, "i"), zstdInitrd(200_000));
});
afterEach(() => fs.rmSync(dir, { recursive: true }));

const files = () => [
  { from: join(sources, "k"), name: `vmlinuz-${REL}`, mode: 0o644 },
  { from: join(sources, "i"), name: `initrd.img-${REL}`, mode: 0o600 },
];
const links = [
  { name: "vmlinuz", target: `vmlinuz-${REL}` },
  { name: "initrd.img", target: `initrd.img-${REL}` },
];

/** user.virtfs.* of a file as numbers, as QEMU reads them: little-endian, 32 bits. */
function virtfs(name: string): Record<string, number> {
  const args = ["--absolute-names", "--dump", "--encoding=hex", "--match=^user.virtfs", at(name)];
  const dump = execFileSync("getfattr", args, { encoding: "utf8" });
  const values = [...dump.matchAll(/^user\.virtfs\.(\w+)=0x([0-9a-f]{8})$/gm)];
  return Object.fromEntries(
    values.map(([, key, hex]) => [key, Buffer.from(hex ?? "", "hex").readUInt32LE()]),
  );
}

const permissions = (path: string): string => (fs.lstatSync(path).mode & 0o7777).toString(8);
const owner = (path: string) => ({ uid: fs.lstatSync(path).uid, gid: fs.lstatSync(path).gid });

describe("the transports", () => {
  it("are found by their names", () => {
    expect(transportNamed("9p")).toBe(ninep);
    expect(transportNamed("virtiofs")).toBe(virtiofs);
    for (const name of ["", "nfs", "constructor"]) expect(transportNamed(name)).toBeUndefined();
    for (const [name, transport] of Object.entries(TRANSPORTS)) expect(transport.name).toBe(name);
  });

  it.each(Object.values(TRANSPORTS))("have a line for fstab: $name", ({ fstabLine, name }) => {
    const fields = fstabLine.split(" ");
    expect(fields).toHaveLength(6);
    expect([fields[0], fields[1], fields[2], fields[4], fields[5]]).toEqual([
      SHARE_TAG,
      "/boot",
      name,
      "0",
      "0",
    ]);
    // QEMU can save a guest only while no 9p share is mounted in it.
    expect(fields[3]?.includes("x-systemd.idle-timeout=")).toBe(fields[2] === "9p");
    expect(fields[3]?.split(",")).toEqual(expect.arrayContaining(["x-systemd.automount", "nofail"]));
  });

  it("say who owns a share on the host", () => {
    expect(ninep.owner(QEMU)).toEqual(QEMU);
    expect(virtiofs.owner(QEMU)).toEqual({ uid: 0, gid: 0 });
  });
});

const noAttr = spawnSync("getfattr", ["--version"]).error !== undefined;
const both: [string, ShareTransport][] = noAttr
  ? [["virtiofs", virtiofs]]
  : Object.entries(TRANSPORTS).map(([k, v]) => [k, v]);

describe.each(both)("seedShare by %s", (_name, transport) => {
  it("makes a share whose links name a complete pair", async () => {
    await seedShare(transport, share, files(), links, QEMU);
    expect(catalogue(readBootFolder(share), "amd64").linked).toMatchObject({ release: REL, complete: true });
    expect(fs.readFileSync(at(`initrd.img-${REL}`)).equals(zstdInitrd(200_000))).toBe(true);
  });

  it("can be done again, over what a guest left there", async () => {
    const victim = join(dir, "victim");
    fs.writeFileSync(victim, "untouched");
    for (const name of [`vmlinuz-${REL}`, `initrd.img-${REL}`, "vmlinuz"]) fs.symlinkSync(victim, at(name));
    execFileSync("mkfifo", [at("initrd.img")]);
    fs.writeFileSync(at("config-1"), "stays");
    for (const _ of [1, 2]) await seedShare(transport, share, files(), links, QEMU);
    expect(fs.readFileSync(victim, "utf8")).toBe("untouched");
    expect(fs.readFileSync(at("config-1"), "utf8")).toBe("stays");
    expect(catalogue(readBootFolder(share), "amd64").linked).toMatchObject({ complete: true });
  });

  it.each<[string, () => Promise<void>, string]>([
    [
      "a source that is not there",
      () => seedShare(transport, share, [{ from: "/nonexistent", name: "x", mode: 0o644 }], [], QEMU),
      "SHARE_SEED_SOURCE",
    ],
    [
      "a source that is a link",
      () => {
        fs.symlinkSync("k", join(sources, "link"));
        return seedShare(
          transport,
          share,
          [{ from: join(sources, "link"), name: "x", mode: 0o644 }],
          [],
          QEMU,
        );
      },
      "SHARE_SEED_SOURCE",
    ],
    [
      "a source that is a folder",
      () => seedShare(transport, share, [{ from: sources, name: "x", mode: 0o644 }], [], QEMU),
      "SHARE_SEED_SOURCE",
    ],
    [
      "a name that is a path",
      () => seedShare(transport, share, [{ from: join(sources, "k"), name: "../x", mode: 0o644 }], [], QEMU),
      "SHARE_BAD_NAME",
    ],
    [
      "a link that leads out",
      () => seedShare(transport, share, [], [{ name: "vmlinuz", target: "/x" }], QEMU),
      "SHARE_BAD_NAME",
    ],
    [
      "a folder in the place of a file",
      () => {
        fs.mkdirSync(at("x"));
        return seedShare(transport, share, [{ from: join(sources, "k"), name: "x", mode: 0o644 }], [], QEMU);
      },
      "SHARE_NAME_TAKEN",
    ],
    ["no share", () => seedShare(transport, join(dir, "none"), [], [], QEMU), "SHARE_MISSING"],
  ])("throws for %s", async (_what, act, code) => {
    await expect(act()).rejects.toMatchObject({ name: "UserError", code });
  });
});

describe.skipIf(noAttr)("a share by 9p", () => {
  it("shows the guest files, links and folder of root's with their modes", async () => {
    const odd = { from: join(sources, "k"), name: "my $kernel \\ größe", mode: 0o755 };
    await seedShare(ninep, share, [...files(), odd], links, QEMU);
    expect(virtfs(".")).toEqual({ uid: 0, gid: 0, mode: 0o040755 });
    expect(virtfs(`vmlinuz-${REL}`)).toEqual({ uid: 0, gid: 0, mode: 0o100644 });
    expect(virtfs(`initrd.img-${REL}`)).toEqual({ uid: 0, gid: 0, mode: 0o100600 });
    expect(virtfs(odd.name)).toEqual({ uid: 0, gid: 0, mode: 0o100755 });
    expect(virtfs("vmlinuz")).toEqual({ uid: 0, gid: 0, mode: 0o120777 });
    expect(fs.readFileSync(at("vmlinuz"), "utf8")).toBe(`vmlinuz-${REL}`);
    expect(fs.lstatSync(at("vmlinuz")).isFile()).toBe(true);
  });

  it.skipIf(!root)("belongs to QEMU's user alone on the host", async () => {
    await seedShare(ninep, share, files(), links, QEMU);
    expect([permissions(share), owner(share)]).toEqual(["700", QEMU]);
    for (const name of fs.readdirSync(share)) {
      expect([name, permissions(at(name)), owner(at(name))]).toEqual([name, "600", QEMU]);
    }
  });

  it("sets no attributes through a link", async () => {
    const victim = join(dir, "victim");
    fs.writeFileSync(victim, "");
    fs.symlinkSync(victim, at("x"));
    await expect(ninep.present(share, [{ name: "x", mode: 0o100644 }])).rejects.toMatchObject({
      name: "UserError",
    });
    expect(execFileSync("getfattr", ["--dump", victim], { encoding: "utf8" })).toBe("");
  });
});

describe("a share by virtiofs", () => {
  it.skipIf(!root)("has the guest's own owners, modes and links on the host", async () => {
    await seedShare(virtiofs, share, files(), links, QEMU);
    expect([permissions(share), owner(share)]).toEqual(["755", { uid: 0, gid: 0 }]);
    expect(permissions(at(`vmlinuz-${REL}`))).toBe("644");
    expect(permissions(at(`initrd.img-${REL}`))).toBe("600");
    expect(fs.readlinkSync(at("vmlinuz"))).toBe(`vmlinuz-${REL}`);
    for (const name of fs.readdirSync(share)) expect(owner(at(name))).toEqual({ uid: 0, gid: 0 });
  });
});
