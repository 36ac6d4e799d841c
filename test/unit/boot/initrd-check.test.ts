import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Pair } from "../../../src/boot/events.ts";
import { checkStoredInitrd } from "../../../src/boot/initrd-check.ts";
import { lookAtNext } from "../../../src/boot/look-next.ts";
import { survey } from "../../../src/boot/prepare.ts";
import { storeCandidate } from "../../../src/boot/stage.ts";
import { type DomainMachine, MMIO } from "../../../src/kernel/features.ts";
import { type GuestPaths, guestPaths } from "../../../src/paths.ts";
import type { LookOptions } from "../../../src/preflight/run.ts";
import { configText } from "../kernel/debian-configs.ts";
import { bzImage } from "../kernel/images.ts";
import { cpio, pack, type TreeOptions, tree } from "../kernel/initrds.ts";
import { AMD64 } from "../machines.ts";
import { preflightProgram } from "../preflight/program.ts";

let options: LookOptions;
beforeAll(async () => {
  options = { program: await preflightProgram() };
});

let paths: GuestPaths;
beforeEach(() => {
  paths = guestPaths(mkdtempSync(join(tmpdir(), "bootshare-initrd-")));
  for (const folder of [paths.share, paths.run, paths.pairs]) mkdirSync(folder);
});
afterEach(() => rmSync(paths.dir, { recursive: true, force: true }));

const initrdOf = (release: string, more: TreeOptions = {}): Buffer =>
  pack("zstd", cpio(tree({ release, ...more })));

/** Puts a kernel, its configuration and an initrd into the share. */
function install(release: string, initrd: Buffer): void {
  writeFileSync(join(paths.share, `vmlinuz-${release}`), bzImage({ release: `${release} (debian@example)` }));
  writeFileSync(join(paths.share, `config-${release}`), configText("6.1.0-50-amd64"));
  writeFileSync(join(paths.share, `initrd.img-${release}`), initrd);
}

/** Installs and stores it. */
function stored(release: string, initrd: Buffer): Pair {
  install(release, initrd);
  const names = { kernel: `vmlinuz-${release}`, initrd: `initrd.img-${release}` };
  const facts = {
    release,
    source: "links",
    arches: ["amd64"],
    config: undefined,
    why: "",
    files: release,
    notes: [],
  } as const;
  return storeCandidate(paths, { ...facts, ...names }, "amd64");
}

const RELEASE = "6.1.0-9-amd64";
/** As an unpacker that must not be called. */
const NEVER: LookOptions = { program: "process.exitCode = 9;" };

describe("checkStoredInitrd", () => {
  it("takes one that brings the guest up", () => {
    expect(checkStoredInitrd(paths, stored(RELEASE, initrdOf(RELEASE)), AMD64, options)).toEqual([]);
  });

  it.each<[string, () => Buffer, string]>([
    [
      "without a driver",
      () => initrdOf(RELEASE, { without: [/virtio_blk/] }),
      "it has no driver for the root disk (virtio_blk)",
    ],
    [
      "that is cut short",
      () => initrdOf(RELEASE).subarray(0, -5),
      "it is damaged or cut short: it cannot be unpacked",
    ],
  ])("refuses one %s, with the file's name", (_what, initrd, reason) => {
    const pair = stored(RELEASE, initrd());
    expect(() => checkStoredInitrd(paths, pair, AMD64, options)).toThrow(
      expect.objectContaining({
        code: "PAIR_UNFIT",
        message: `initrd.img-${RELEASE} cannot be booted: ${reason}.`,
      }),
    );
  });

  it("unpacks the same bytes once, and judges them for each machine anew", () => {
    const pair = stored(RELEASE, initrdOf(RELEASE, { without: [/virtio_mmio/] }));
    expect(checkStoredInitrd(paths, pair, AMD64, options)).toEqual([]);
    expect(statSync(paths.initrds).mode & 0o777).toBe(0o600);
    expect(checkStoredInitrd(paths, pair, AMD64, NEVER)).toEqual([]);
    const onMmio: DomainMachine = { ...AMD64, bus: "mmio", diskBus: "virtio-mmio" };
    expect(() => checkStoredInitrd(paths, pair, onMmio, NEVER)).toThrow(
      "has no driver for the root disk's bus (virtio_mmio)",
    );
    // Also where it was refused, and its bytes have left the store.
    rmSync(join(paths.pairs, pair.id), { recursive: true });
    expect(checkStoredInitrd(paths, pair, AMD64, NEVER)).toEqual([]);
  });

  it("looks again at other bytes, and where what it knew is torn or of another version", () => {
    const pair = stored(RELEASE, initrdOf(RELEASE));
    const failed = [
      `initrd.img-${RELEASE} could not be looked into: the program for it failed (without a word).`,
    ];
    checkStoredInitrd(paths, pair, AMD64, options);
    expect(
      checkStoredInitrd(paths, stored(RELEASE, initrdOf(RELEASE, { maker: "dracut" })), AMD64, NEVER),
    ).toEqual(failed);
    const text = readFileSync(paths.initrds, "utf8");
    for (const other of [
      "",
      text.slice(0, -9),
      text.replace('"schema":1', '"schema":2'),
      text.replace('"zstd"', '"rar"'),
    ]) {
      writeFileSync(paths.initrds, other);
      expect(checkStoredInitrd(paths, pair, AMD64, NEVER)).toEqual(failed);
    }
  });

  it("remembers a bounded number, the newest", () => {
    const pairs = Array.from({ length: 18 }, (_, i) =>
      stored(RELEASE, initrdOf(RELEASE, { builtIn: [`kernel/${i}.ko`] })),
    );
    for (const pair of pairs) checkStoredInitrd(paths, pair, AMD64, options);
    const { initrds } = JSON.parse(readFileSync(paths.initrds, "utf8")) as { initrds: { pair: string }[] };
    expect(initrds.map(({ pair }) => pair)).toEqual(
      pairs
        .map(({ id }) => id)
        .reverse()
        .slice(0, 16),
    );
    expect(readdirSync(paths.dir).sort()).toEqual(["initrds.json", "pairs", "run", "share"]);
  });

  it("does not remember what another look might find otherwise", () => {
    const pair = stored(RELEASE, initrdOf(RELEASE));
    const late: LookOptions = {
      program: "for (;;);",
      confinement: { cpuSeconds: 1, memoryBytes: 2 * 1024 ** 3, timeoutMs: 30_000, maxOutput: 1000 },
    };
    expect(() => checkStoredInitrd(paths, pair, AMD64, late)).toThrow("it takes too long to unpack");
    expect(checkStoredInitrd(paths, pair, AMD64, options)).toEqual([]);
  });

  it("keeps no guest from starting where it cannot write what it found", () => {
    const pair = stored(RELEASE, initrdOf(RELEASE));
    mkdirSync(paths.initrds);
    expect(checkStoredInitrd(paths, pair, AMD64, options)).toEqual([]);
  });
});

describe("lookAtNext", () => {
  const next = (machine: DomainMachine = AMD64) =>
    lookAtNext(paths.share, survey(paths, machine).selection, machine, options);

  it("passes over what a start would pass over, and describes what boots", () => {
    install("6.1.0-9-amd64", initrdOf("6.1.0-9-amd64", { without: [/virtio_net/] }));
    install("6.1.0-10-amd64", initrdOf("6.1.0-10-amd64", { init: false }));
    writeFileSync(join(paths.share, "vmlinuz"), "vmlinuz-6.1.0-9-amd64");
    writeFileSync(join(paths.share, "initrd.img"), "initrd.img-6.1.0-9-amd64");
    expect(next()).toMatchObject({
      selection: {
        candidates: [
          {
            release: "6.1.0-9-amd64",
            notes: ["It has no virtio_net that works for the network: that must be on the root disk."],
          },
          { release: "6.1.0-10-amd64", notes: [] },
        ],
        skipped: [],
      },
      initrd: expect.stringMatching(
        /^Its initrd \(zstd; 1 archive, 1 MB unpacked\), made by initramfs-tools, holds virtio_blk, /,
      ),
    });
    for (const name of ["vmlinuz", "initrd.img"]) rmSync(join(paths.share, name));
    expect(next().selection).toMatchObject({
      candidates: [],
      skipped: [
        {
          release: "6.1.0-10-amd64",
          reason:
            "initrd.img-6.1.0-10-amd64 cannot be booted: it holds no /init, so nothing in it would be started.",
        },
      ],
    });
  });

  it("asks for the drivers of the machine as it will be", () => {
    install(RELEASE, initrdOf(RELEASE, { without: [/virtio_mmio/] }));
    const { selection } = survey(paths, AMD64);
    const [candidate] = selection.candidates;
    if (candidate === undefined) throw new Error("no candidate");
    const wanted = {
      ...selection,
      candidates: [],
      reshape: { candidate, layout: MMIO, reason: "needs devices on virtio-mmio" },
    };
    expect(lookAtNext(paths.share, wanted, AMD64, options)).toMatchObject({
      selection: { reshape: undefined, skipped: [{ reason: expect.stringContaining("(virtio_mmio)") }] },
    });
  });

  it("passes over what vanishes meanwhile", () => {
    install(RELEASE, initrdOf(RELEASE));
    const { selection } = survey(paths, AMD64);
    rmSync(join(paths.share, `initrd.img-${RELEASE}`));
    expect(lookAtNext(paths.share, selection, AMD64, options).selection).toMatchObject({
      candidates: [],
      skipped: [{ release: RELEASE, reason: expect.stringContaining("is not there any more") }],
    });
  });
});
