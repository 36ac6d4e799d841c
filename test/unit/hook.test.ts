// The hook's program as libvirt's daemon of an ordinary user runs it: as that user, in /, with HOME and nothing of XDG's.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readEvents, readState } from "../../src/boot/log.ts";
import { guestPathsOf, METADATA_NAMESPACE, statePaths } from "../../src/paths.ts";
import { bzImage } from "./kernel/images.ts";
import { cpio, pack, tree } from "./kernel/initrds.ts";
import { preflightProgram } from "./preflight/program.ts";

const UUID = "01234567-89ab-4cde-8f01-23456789abcd";
/** An ordinary user: nobody, or whoever runs this. */
const UID = process.getuid?.() === 0 ? 65534 : process.getuid?.();

let shipped: string;
let program: string;
beforeAll(async () => {
  shipped = mkdtempSync(join(tmpdir(), "bootshare-hook-"));
  chmodSync(shipped, 0o755);
  program = join(shipped, "hook.mjs");
  const entryPoints = [join(import.meta.dirname, "../../src/hook.ts")];
  const banner = {
    js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);',
  };
  const define = { BOOTSHARE_PREFLIGHT: JSON.stringify(await preflightProgram()) };
  await build({
    entryPoints,
    outfile: program,
    bundle: true,
    platform: "node",
    format: "esm",
    banner,
    define,
  });
});
afterAll(() => rmSync(shipped, { recursive: true }));

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), "bootshare-home-"));
  if (UID !== undefined) chownSync(home, UID, UID);
});
afterEach(() => rmSync(home, { recursive: true }));

function makeGuest(root: string, more: Readonly<Record<string, Buffer>> = {}): void {
  const paths = guestPathsOf(UUID, root);
  const release = "6.1.0-9-amd64";
  const initrds = { [release]: pack("zstd", cpio(tree({ release }))), ...more };
  const files = Object.entries(initrds).flatMap(([name, initrd]): [string, Buffer][] => [
    [join(paths.share, `vmlinuz-${name}`), bzImage({ release: `${name} (debian@example)` })],
    [join(paths.share, `initrd.img-${name}`), initrd],
  ]);
  const folders = [paths.share, paths.run, paths.pairs];
  for (const folder of folders) mkdirSync(folder, { recursive: true });
  for (const [file, bytes] of files) writeFileSync(file, bytes);
  if (UID === undefined) return;
  for (const one of [root, join(root, "guests"), paths.dir, ...folders, ...files.map(([file]) => file)])
    chownSync(one, UID, UID);
}

function callHook(phase: string, kernel: string, reason = "-"): { status: number | null; stderr: string } {
  const xml = `<domain type='qemu'><name>w</name><uuid>${UUID}</uuid>
    <metadata><bootshare:guest xmlns:bootshare="${METADATA_NAMESPACE}" uuid="${UUID}" schema="1"><bootshare:arch>amd64</bootshare:arch></bootshare:guest></metadata>
    <memory unit='MiB'>512</memory><vcpu>1</vcpu>
    <os><type arch='x86_64' machine='q35'>hvm</type><kernel>${kernel}</kernel></os></domain>`;
  const args = [program, ...phase.split(" "), "4711", reason];
  const who = UID === undefined ? {} : { uid: UID, gid: UID };
  const options = { input: xml, encoding: "utf8", env: { HOME: home }, cwd: "/", ...who } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, args, options);
  expect(stdout).toBe("");
  return { status, stderr };
}

describe("the hook in session mode", () => {
  it.each([
    ["where the user has it by default", ".local/state/bootshare"],
    ["where XDG_STATE_HOME was when the guest was made", "elsewhere/bootshare"],
  ])("works on the guest's folder %s", (_where, below) => {
    const root = join(home, below);
    makeGuest(root);
    const paths = guestPathsOf(UUID, root);
    expect(callHook("prepare begin", paths.runKernel)).toEqual({ status: 0, stderr: "" });
    expect(existsSync(paths.runKernel)).toBe(true);
    callHook("started begin", paths.runKernel);
    callHook("release end", paths.runKernel, "shutdown");
    expect(readState(paths)).toMatchObject({
      current: { hooked: true, started: expect.any(String), released: expect.any(String) },
      releaseReason: "shutdown",
    });
    const { released, hookLog } = statePaths(root);
    expect(existsSync(join(released, UUID))).toBe(true);
    expect(readFileSync(hookLog, "utf8")).toMatch(/ prepare begin: 01234567\S+ boots 6\.1\.0-9-amd64: /);
  });

  it("passes over a kernel whose initrd would not bring the guest up, and records why", () => {
    const root = join(home, ".local/state/bootshare");
    const [linked, highest] = ["6.1.0-10-amd64", "6.1.0-11-amd64"];
    makeGuest(root, {
      [linked]: pack("gzip", cpio(tree({ release: linked, without: [/ext4/] }))),
      [highest]: pack("xz", cpio(tree({ release: highest, without: [/virtio_net/] }))),
    });
    const paths = guestPathsOf(UUID, root);
    for (const name of ["vmlinuz", "initrd.img"]) writeFileSync(join(paths.share, name), `${name}-${linked}`);
    expect(callHook("prepare begin", paths.runKernel)).toEqual({ status: 0, stderr: "" });
    const reason = `initrd.img-${linked} cannot be booted: it has no driver for the root file system (ext4).`;
    expect(readEvents(paths)).toMatchObject([
      {
        e: "prepare",
        pair: { release: highest },
        notes: [
          `No configuration of ${highest} was found to look at.`,
          "It has no virtio_net that works for the network: that must be on the root disk.",
        ],
        skipped: [{ release: linked, reason }],
      },
    ]);
  });

  it("refuses a guest without a folder", () => {
    const { status, stderr } = callHook("prepare begin", "/boot/vmlinuz");
    expect(status).toBe(1);
    expect(stderr).toContain(`${join(home, ".local/state/bootshare/guests", UUID)} does not exist.`);
  });
});
