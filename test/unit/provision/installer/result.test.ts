import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isRootSpec } from "../../../../src/libvirt/domain-create.ts";
import { parseFacts, takeResult } from "../../../../src/provision/installer/result.ts";

const KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0c1Gm2";
const FACTS = [
  "bootshare-installer 1",
  "root UUID=6b2b3ad5-58c1-4b0b-8d3e-0c55c1e2a4f7",
  "arch amd64",
  `hostkey ${KEY}`,
  "link vmlinuz vmlinuz-6.12",
  "end",
];
const text = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join("");
const changed = (from: string, to: string): string => text(FACTS.map((line) => (line === from ? to : line)));

describe("what the installer's script says", () => {
  it("is read", () => {
    expect(parseFacts(text(FACTS))).toEqual({
      root: "UUID=6b2b3ad5-58c1-4b0b-8d3e-0c55c1e2a4f7",
      arch: "amd64",
      hostKeys: [KEY],
      links: [{ name: "vmlinuz", target: "vmlinuz-6.12" }],
      passphrase: false,
    });
  });

  it("may be a volume, with a passphrase", () => {
    const lines = [
      ...FACTS.slice(0, 1),
      "root /dev/mapper/inst--vg-root",
      "passphrase yes",
      ...FACTS.slice(2),
    ];
    expect(parseFacts(text(lines))).toMatchObject({ root: "/dev/mapper/inst--vg-root", passphrase: true });
  });

  it.each([
    ["is cut short", text(FACTS.slice(0, -1))],
    ["is of another version", changed("bootshare-installer 1", "bootshare-installer 2")],
    ["names no root", changed(FACTS[1] ?? "", "root ")],
    ["adds a word to the command line", changed(FACTS[1] ?? "", "root UUID=1 init=/bin/sh")],
    ["leads out of /dev", changed(FACTS[1] ?? "", "root /dev/../etc/shadow")],
    ["has an odd architecture", changed("arch amd64", "arch ../x")],
    ["is too long", text([...FACTS.slice(0, -1), `x ${"y".repeat(70_000)}`, "end"])],
    ["is nothing", ""],
  ])("is not believed where it %s", (_what, facts) => {
    expect(parseFacts(facts)).toBeUndefined();
  });

  it.each(["link a/b c", "link .. c", "link a ../../etc/passwd", "link a", "link a b c"])(
    "has no %s",
    (line) => {
      expect(parseFacts(text([...FACTS.slice(0, -1), line, "end"]))?.links).toHaveLength(1);
    },
  );

  it("never names a root that is more than a word of a command line", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary" }),
        fc.constantFrom("", "UUID=", "/dev/", "LABEL="),
        (rest, start) => {
          const root = start + rest;
          if (isRootSpec(root)) expect(root).toMatch(/^[\w/.:+=-]{1,200}$/);
          const found = parseFacts(changed(FACTS[1] ?? "", `root ${root}`));
          if (found !== undefined) expect(isRootSpec(found.root)).toBe(true);
        },
      ),
    );
  });
});

describe("the disk that it comes on", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "bootshare-result-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** As the script makes it: an archive at the beginning of a disk. */
  function disk(files: Record<string, string>, order = Object.keys(files)): string {
    const tree = join(folder, "tree");
    mkdirSync(tree);
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(tree, name)), { recursive: true });
      writeFileSync(join(tree, name), content);
    }
    const input = order.map((name) => `${name}\n`).join("");
    const { stdout } = spawnSync("cpio", ["--create", "--quiet", "--format=newc"], {
      cwd: tree,
      input,
      maxBuffer: 2 ** 26,
    });
    const file = join(folder, "result.raw");
    writeFileSync(file, stdout);
    truncateSync(file, 4 * 2 ** 20);
    return file;
  }
  const boot = { "boot/vmlinuz-6.12": "kernel", "boot/initrd.img-6.12": "i".repeat(1_500_000) };

  it("has the files of /boot, and its links", () => {
    const bootDir = join(folder, "boot");
    const found = takeResult(disk({ "bootshare-result": text(FACTS), ...boot }), bootDir);
    expect(found).toMatchObject({ arch: "amd64" });
    expect(readdirSync(bootDir).sort()).toEqual(["initrd.img-6.12", "vmlinuz", "vmlinuz-6.12"]);
    expect(readFileSync(join(bootDir, "vmlinuz-6.12"), "utf8")).toBe("kernel");
    expect(readlinkSync(join(bootDir, "vmlinuz"))).toBe("vmlinuz-6.12");
  });

  it("has nothing from elsewhere", () => {
    const files = { "bootshare-result": text(FACTS), ...boot, "boot/grub/grub.cfg": "x", "etc/passwd": "x" };
    takeResult(disk(files), join(folder, "boot"));
    expect(readdirSync(join(folder, "boot"))).not.toContain("grub");
    expect(existsSync(join(folder, "etc"))).toBe(false);
  });

  it.each<[what: string, make: () => string]>([
    ["is empty", () => disk({})],
    ["has no facts", () => disk(boot)],
    [
      "has them at the end",
      () => disk({ "bootshare-result": text(FACTS), ...boot }, [...Object.keys(boot), "bootshare-result"]),
    ],
    [
      "is cut short",
      () => {
        const file = disk({ "bootshare-result": text(FACTS), ...boot });
        truncateSync(file, 1_000_000);
        return file;
      },
    ],
  ])("is not taken where it %s", (_what, make) => {
    expect(takeResult(make(), join(folder, "boot"))).toBeUndefined();
  });

  it("is not followed where it is a link", () => {
    const link = join(folder, "link");
    symlinkSync(disk({ "bootshare-result": text(FACTS), ...boot }), link);
    expect(() => takeResult(link, join(folder, "boot"))).toThrow("ELOOP");
  });

  it("may hold any bytes", () => {
    let count = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
        const file = join(folder, "any");
        writeFileSync(file, bytes);
        takeResult(file, join(folder, `boot-${count++}`));
      }),
      { numRuns: 50 },
    );
  });
});
