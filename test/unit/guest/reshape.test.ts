import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { appendEvents, readEvents, readState } from "../../../src/boot/log.ts";
import { prepareBoot } from "../../../src/boot/prepare.ts";
import { UserError } from "../../../src/errors.ts";
import type { Guest } from "../../../src/guest/inventory.ts";
import { type Definitions, type ReshapeOutcome, reshape } from "../../../src/guest/reshape.ts";
import { configName } from "../../../src/kernel/config.ts";
import { type Layout, MMIO, PCI, PCI_LOW } from "../../../src/kernel/features.ts";
import { judge } from "../../../src/kernel/verdict.ts";
import { parseDomain } from "../../../src/libvirt/domain-parse.ts";
import { setLayout } from "../../../src/libvirt/domain-update.ts";
import { type GuestPaths, guestPaths } from "../../../src/paths.ts";
import { configText, debianConfig } from "../kernel/debian-configs.ts";
import { zImage, zstdInitrd } from "../kernel/images.ts";

/** As libvirt 9.0 prints an armhf guest that is defined and off: devices on PCI, 9p. */
const DEFINED = readFileSync(join(import.meta.dirname, "../libvirt/domain-armhf-defined.xml"), "utf8");
const UUID = parseDomain(DEFINED).uuid;
const OTHER = "11111111-1111-4111-8111-111111111111";
const [ARMMP, LPAE] = ["6.12.107+deb13-armmp", "6.12.107+deb13-armmp-lpae"] as const;
const WHY =
  "needs devices on virtio-mmio, and the machine has them on PCI: it has no LPAE, so it cannot reach PCI devices above 4 GiB";

let paths: GuestPaths;
/** What libvirt has, and what was asked of it. */
let xml: string;
let calls: string[];
let refuse: UserError | undefined;

const libvirt: Definitions = {
  dumpXml: async (uuid, options = {}) => {
    calls.push(`dump ${uuid === UUID ? "the guest" : uuid} ${Object.keys(options).join(" ")}`);
    return xml;
  },
  defineDomain: async (changed) => {
    calls.push("define");
    if (refuse !== undefined) throw refuse;
    xml = changed;
  },
};

beforeEach(() => {
  paths = guestPaths(mkdtempSync(join(tmpdir(), "bootshare-reshape-")));
  for (const folder of [paths.share, paths.run, paths.pairs]) mkdirSync(folder);
  xml = DEFINED;
  calls = [];
  refuse = undefined;
});
afterEach(() => rmSync(paths.dir, { recursive: true, force: true }));

function install(release: typeof ARMMP | typeof LPAE, config = configText(release)): void {
  writeFileSync(join(paths.share, `vmlinuz-${release}`), Buffer.concat([zImage(), Buffer.from(release)]));
  writeFileSync(join(paths.share, `initrd.img-${release}`), zstdInitrd());
  writeFileSync(join(paths.share, configName(release)), config);
  for (const stem of ["vmlinuz", "initrd.img"]) writeFileSync(join(paths.share, stem), `${stem}-${release}`);
}

function removeAll(): void {
  for (const name of readdirSync(paths.share)) rmSync(join(paths.share, name));
}

const off = { state: "shut off", reason: "shutdown", saved: false };
const run = async (status = off): Promise<ReshapeOutcome | undefined> => {
  const guest: Guest = { uuid: UUID, name: "worker-1", status, paths };
  return await reshape(guest, libvirt);
};
const layout = (): Layout => {
  const { bus, highmem } = parseDomain(xml);
  if (bus === undefined || bus === "mixed") throw new Error(`devices are on ${bus}`);
  return { bus, highmem };
};
const events = () => readEvents(paths).map(({ e }) => e);
/** What the hook does at the start that follows. */
const boot = (): string => prepareBoot(paths, "worker-1", parseDomain(xml)).pair.release;

describe("reshape", () => {
  it("puts the domain into the layout of its next kernel, once, and tells", async () => {
    install(ARMMP);
    expect(await run()).toEqual({
      done: true,
      sentence: `Changed the machine: ${ARMMP} ${WHY}.`,
    });
    // A person's passwords stay in a definition that is written back.
    expect(calls).toEqual(["dump the guest inactive secrets", "define"]);
    expect(layout()).toEqual(MMIO);
    expect(readEvents(paths)).toEqual([
      { v: 1, t: expect.any(String), e: "reshaped", to: MMIO, release: ARMMP, why: WHY },
    ]);
    expect(boot()).toBe(ARMMP);
    expect(readState(paths).current?.reshaped).toEqual({
      t: expect.any(String),
      to: MMIO,
      release: ARMMP,
      why: WHY,
    });
    expect(await run()).toBeUndefined();
    expect(calls.filter((call) => call === "define")).toHaveLength(1);
  });

  it("does nothing where the next kernel fits", async () => {
    install(LPAE);
    expect(await run()).toBeUndefined();
    expect(calls).not.toContain("define");
    expect(events()).toEqual([]);
  });

  it("does nothing for a kernel that another layout would not help", async () => {
    install(ARMMP, configText(ARMMP).replace(/^CONFIG_(PCI_HOST_GENERIC|VIRTIO_MMIO)=.*\n/gm, ""));
    expect(await run()).toBeUndefined();
    expect(xml).toBe(DEFINED);
  });

  it.each([
    ["runs", { ...off, state: "running" }],
    ["is saved", { ...off, saved: true }],
    ["was saved just now", { ...off, reason: "saved" }],
  ])("leaves a guest alone that %s", async (_what, status) => {
    install(ARMMP);
    expect(await run(status)).toBeUndefined();
    expect(calls).toEqual([]);
  });

  it.each([
    ["has lost our metadata", (text: string) => text.replace(/<metadata>.*<\/metadata>/s, "")],
    [
      "carries the metadata of another guest",
      (text: string) => text.replace(`uuid="${UUID}"`, `uuid="${OTHER}"`),
    ],
  ])("leaves a domain alone that %s", async (_what, change) => {
    install(ARMMP);
    xml = change(DEFINED);
    expect(xml).not.toBe(DEFINED);
    expect(await run()).toBeUndefined();
    expect(calls).not.toContain("define");
  });

  it("goes back for the last good pair, when the new kernel is gone", async () => {
    // A kernel that drives PCI alone was good, then one without LPAE came, and went.
    install(LPAE, configText(LPAE).replace(/^CONFIG_VIRTIO_MMIO=.*\n/m, ""));
    boot();
    const { current } = readState(paths);
    appendEvents(paths, [{ e: "good", attempt: current?.id ?? "", release: LPAE }]);
    install(ARMMP);
    expect(await run()).toMatchObject({ done: true });
    expect(boot()).toBe(ARMMP);
    removeAll();
    expect(boot).toThrow(
      `Nothing in the /boot of guest worker-1 can be booted (${LPAE}: needs devices on PCI, and the machine has them on virtio-mmio: it has LPAE and drives the machine's PCI host).`,
    );
    expect(await run()).toEqual({
      done: true,
      sentence: `Changed the machine: ${LPAE} needs devices on PCI, and the machine has them on virtio-mmio: it has LPAE and drives the machine's PCI host.`,
    });
    expect(layout()).toEqual(PCI);
    expect(boot()).toBe(LPAE);
    expect(readState(paths).current?.source).toBe("good");
  });

  it("changes nothing for a kernel that cannot be copied out of the share", async () => {
    install(ARMMP);
    rmSync(paths.pairs, { recursive: true });
    writeFileSync(paths.pairs, "no folder: stands for a disk that takes nothing");
    const told = await run();
    expect(told?.done).toBe(false);
    expect(told?.sentence).toMatch(/^The machine could not be changed for .*: .*ENOTDIR/);
    expect(calls).not.toContain("define");
    expect(existsSync(paths.boots)).toBe(false);
  });

  it("tells what libvirt has against it, and the start goes on with what fits", async () => {
    install(LPAE);
    install(ARMMP);
    refuse = new UserError("LIBVIRT_FAILED", "libvirt refused: XML error: \u001b[2J.");
    expect(await run()).toEqual({
      done: false,
      sentence: `The machine could not be changed for ${ARMMP}: libvirt refused: XML error: \\x1b[2J.`,
    });
    expect(events()).toEqual([]);
    expect(boot()).toBe(LPAE);
  });

  it("was killed after the definition: the change is there, and nothing is done twice", async () => {
    install(ARMMP);
    xml = setLayout(xml, MMIO);
    expect(await run()).toBeUndefined();
    expect(boot()).toBe(ARMMP);
  });
});

it("whatever a kernel's configuration says: a domain that was changed for it fits it", () => {
  const virtiofs = DEFINED.replace(
    /<filesystem type='mount' accessmode='mapped'>/,
    "<filesystem type='mount' accessmode='passthrough'><driver type='virtiofs'/>",
  );
  const domains = [DEFINED, virtiofs].flatMap((one) => [PCI, PCI_LOW, MMIO].map((to) => setLayout(one, to)));
  const buses = ["PCI", "PCI_HOST_GENERIC", "VIRTIO_PCI", "VIRTIO_MMIO", "ARM_LPAE"] as const;
  let changed = 0;
  for (let set = 0; set < 2 ** buses.length; set++) {
    const missing = buses.filter((_, i) => (set & (1 << i)) !== 0).map((name) => [name, "n"]);
    const pair = { release: LPAE, config: { ...debianConfig(LPAE), ...Object.fromEntries(missing) } };
    for (const domain of domains) {
      const verdict = judge(pair, parseDomain(domain));
      if (verdict.kind !== "reshape") continue;
      changed++;
      expect(judge(pair, parseDomain(setLayout(domain, verdict.layout))).kind).toBe("fits");
    }
  }
  // 56 without PCI and with virtio-mmio, 2 with LPAE and PCI alone, 2 without LPAE, and 4 that want PCI below 4 GiB.
  expect(changed).toBe(64);
});
