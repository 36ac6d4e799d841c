// The XML of clones, whole. UPDATE_GOLDEN=1 writes the files anew: read the difference before you keep it.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type CloneSpec, cloneDomainXml, isDiskOwned, setDiskOwned } from "../../src/libvirt/domain-clone.ts";
import { parseDomain } from "../../src/libvirt/domain-parse.ts";
import { guestPathsOf } from "../../src/paths.ts";

const read = (file: string): string => readFileSync(join(import.meta.dirname, file), "utf8");
/** As libvirt 9.0 prints an armhf guest that is defined and off. */
const armhf = read("../unit/libvirt/domain-armhf-defined.xml");
const amd64 = read("domain-amd64-tcg-virtiofs-user.xml");
const UUID = "11112222-3333-4444-8555-666677778888";

function specFor(xml: string, more: Partial<CloneSpec> = {}): CloneSpec {
  const from = guestPathsOf(parseDomain(xml).uuid);
  const to = guestPathsOf(UUID);
  return {
    uuid: UUID,
    name: "copy",
    mac: "52:54:00:aa:bb:cc",
    from: from.dir,
    to: to.dir,
    disk: to.disk,
    owned: true,
    ...more,
  };
}

const cases: [string, string, Partial<CloneSpec>][] = [
  ["clone", amd64, {}],
  ["clone-armhf", armhf, { memoryMiB: 768, cpus: 1 }],
  ["clone-ephemeral", amd64, { unsafe: true, role: "builder", owned: false }],
];

describe("the domain of a clone", () => {
  it.each(cases)("%s", (name, xml, more) => {
    const file = join(import.meta.dirname, `domain-${name}.xml`);
    const made = cloneDomainXml(xml, specFor(xml, more));
    if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(file, made);
    expect(existsSync(file)).toBe(true);
    expect(made).toBe(readFileSync(file, "utf8"));
  });

  it.each(cases)("%s names nothing of the guest that it is a clone of", (_name, xml, more) => {
    const source = parseDomain(xml);
    const made = cloneDomainXml(xml, specFor(xml, more));
    expect(made).not.toContain(source.uuid);
    expect(made).not.toContain(source.network?.mac);
    expect(parseDomain(made)).toMatchObject({
      uuid: UUID,
      name: "copy",
      copyOf: undefined,
      metadata: { uuid: UUID },
      network: { mac: "52:54:00:aa:bb:cc" },
      transport: source.transport,
      bus: source.bus,
      highmem: source.highmem,
    });
  });

  it("gives a clone of a clone a machine id of its own", () => {
    const once = cloneDomainXml(amd64, specFor(amd64));
    const other = "99992222-3333-4444-8555-666677778888";
    const { dir, disk } = guestPathsOf(other);
    const spec = { ...specFor(once), uuid: other, to: dir, disk };
    const words = parseDomain(cloneDomainXml(once, spec)).cmdline?.split(" ") ?? [];
    expect(words.filter((word) => word.startsWith("systemd.machine_id="))).toEqual([
      `systemd.machine_id=${other.replaceAll("-", "")}`,
    ]);
  });

  it("lets libvirt choose the MAC addresses of further interfaces", () => {
    const second = '<interface type="user"><mac address="52:54:00:00:00:02"/></interface>';
    const made = cloneDomainXml(amd64.replace("</devices>", `${second}</devices>`), specFor(amd64));
    expect(made).not.toContain("52:54:00:00:00:02");
    expect(made.match(/<mac /g)).toHaveLength(1);
  });

  it("may have the same CD as others, and no second disk", () => {
    const disk = (device: string, more: string): string =>
      `<disk type="file" device="${device}"><source file="/srv/x.img"/><target dev="vdb"/>${more}</disk>`;
    const withDisk = (one: string): string => amd64.replace("</devices>", `${one}</devices>`);
    const spec = specFor(amd64);
    expect(cloneDomainXml(withDisk(disk("cdrom", "")), spec)).toContain("/srv/x.img");
    expect(cloneDomainXml(withDisk(disk("disk", "<readonly/>")), spec)).toContain("/srv/x.img");
    expect(() => cloneDomainXml(withDisk(disk("disk", "")), spec)).toThrow(
      expect.objectContaining({
        code: "CLONE_OTHER_DISK",
        message: expect.stringContaining("vdb (/srv/x.img)"),
      }),
    );
  });
});

describe("setDiskOwned", () => {
  const { disk } = guestPathsOf(parseDomain(amd64).uuid);

  it("is told from a disk that libvirt gives away", () => {
    const owned = setDiskOwned(amd64, disk);
    expect([isDiskOwned(amd64, disk), isDiskOwned(owned, disk)]).toEqual([false, true]);
    expect(setDiskOwned(owned, disk).match(/<seclabel/g)).toHaveLength(1);
  });

  it("leaves other disks to libvirt", () => {
    expect(setDiskOwned(amd64, "/srv/other.qcow2")).not.toContain("seclabel");
  });
});
