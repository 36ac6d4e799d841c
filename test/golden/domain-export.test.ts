// The XML of exported guests, whole. UPDATE_GOLDEN=1 writes the files anew: read the difference before you keep it.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { finishingDomainXml, ordinaryDomainXml } from "../../src/libvirt/domain-export.ts";
import { parseDomain } from "../../src/libvirt/domain-parse.ts";
import { guestPathsOf } from "../../src/paths.ts";

const read = (file: string): string => readFileSync(join(import.meta.dirname, file), "utf8");
/** As libvirt 9.0 prints an armhf guest that is defined and off. */
const armhf = read("../unit/libvirt/domain-armhf-defined.xml");
const amd64 = read("domain-amd64-tcg-virtiofs-user.xml");

const FILE = "/srv/images/g1.qcow2";
const diskOf = (xml: string) => guestPathsOf(parseDomain(xml).uuid).disk;
const ordinary = (xml: string, boots: Parameters<typeof ordinaryDomainXml>[2]): string =>
  ordinaryDomainXml(xml, { old: diskOf(xml), file: FILE, format: "qcow2" }, boots);
const named = { kernel: `${FILE}.vmlinuz`, initrd: `${FILE}.initrd.img` };
const UUID = "11112222-3333-4444-8555-666677778888";

const cases: [string, string][] = [
  ["export-loader", ordinary(amd64, "loader")],
  ["export-own-loader", ordinary(amd64, "own loader")],
  ["export-armhf", ordinary(armhf, named)],
  [
    "export-finishing",
    finishingDomainXml(amd64, {
      name: "export-1",
      uuid: UUID,
      disk: { old: diskOf(amd64), file: "/work/disk.raw", format: "raw" },
      boots: { kernel: "/work/vmlinuz", initrd: "/work/initrd.img" },
      serialLog: "/work/serial.log",
    }),
  ],
];

describe("the domains of an export", () => {
  it.each(cases)("%s", (name, made) => {
    const file = join(import.meta.dirname, `domain-${name}.xml`);
    if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(file, made);
    expect(existsSync(file)).toBe(true);
    expect(made).toBe(readFileSync(file, "utf8"));
  });

  it.each(cases)("%s is nothing of bootshare's", (_name, made) => {
    expect(parseDomain(made)).toMatchObject({ foreign: true, shareDir: undefined });
    expect(made).not.toMatch(/bootshare/);
    expect(made).not.toContain("/guests/");
  });

  it("keeps who the guest is", () => {
    for (const xml of [amd64, armhf]) {
      const { uuid, name, network, memoryMiB, cpus } = parseDomain(xml);
      expect(parseDomain(ordinary(xml, named))).toMatchObject({ uuid, name, network, memoryMiB, cpus });
    }
  });
});
