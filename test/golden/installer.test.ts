// The machine that Debian's installer runs in, and its answers, whole. UPDATE_GOLDEN=1 writes the files anew: read the difference before
// you keep it.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { MMIO, PCI_LOW } from "../../src/kernel/features.ts";
import { type InstallerDomain, installerDomainXml } from "../../src/libvirt/domain-installer.ts";
import { parseDomain } from "../../src/libvirt/domain-parse.ts";
import { machineShape } from "../../src/machine/shape.ts";
import { preseed } from "../../src/provision/installer/preseed.ts";
import { findSuite } from "../../src/provision/suites.ts";
import { FACTS } from "../unit/provision/installer/facts.ts";

const WORK = "/var/lib/bootshare/work/3b241101-e2bb-4255-8caf-4136c566a962/root-disk";
const base: InstallerDomain = {
  uuid: "11112222-3333-4444-8555-666677778888",
  name: "install-11112222",
  shape: machineShape("amd64", "tcg"),
  memoryMiB: 1024,
  cpus: 1,
  mac: "52:54:00:12:34:56",
  network: { kind: "user" },
  kernel: `${WORK}/vmlinuz`,
  initrd: `${WORK}/initrd.img`,
  serialLog: `${WORK}/serial.log`,
  disk: `${WORK}/disk.qcow2`,
  result: `${WORK}/result.raw`,
  interactive: false,
};
const domains: [name: string, spec: InstallerDomain][] = [
  ["installer-amd64-tcg", base],
  ["installer-amd64-kvm-interactive", { ...base, shape: machineShape("amd64", "kvm"), interactive: true }],
  ["installer-armhf-tcg", { ...base, shape: machineShape("armhf", "tcg", { layout: PCI_LOW }) }],
  ["installer-arm64-tcg-mmio", { ...base, shape: machineShape("arm64", "tcg", { layout: MMIO }) }],
];

function golden(file: string, made: string): void {
  const path = join(import.meta.dirname, file);
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(path, made);
  expect(existsSync(path)).toBe(true);
  expect(made).toBe(readFileSync(path, "utf8"));
}

describe("the machine of an installer", () => {
  it.each(domains)("%s", (name, spec) => golden(`domain-${name}.xml`, installerDomainXml(spec)));

  it.each(domains)("%s is no guest, so that the hook leaves it alone", (_name, spec) => {
    const xml = installerDomainXml(spec);
    expect(parseDomain(xml)).toMatchObject({ foreign: true, shareDir: undefined });
    expect(xml).not.toContain("<metadata");
  });
});

it("the answers, of an installer that nobody watches", () => {
  const own = "d-i time/zone string Europe/Berlin\n";
  const { text } = preseed({ ...FACTS, suite: findSuite("bookworm"), own });
  golden("preseed.cfg", text);
});
