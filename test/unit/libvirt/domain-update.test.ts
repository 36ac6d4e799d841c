import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Layout, MMIO, PCI, PCI_LOW } from "../../../src/kernel/features.ts";
import { parseDomain } from "../../../src/libvirt/domain-parse.ts";
import { setKernelPaths, setLayout, setOnReboot } from "../../../src/libvirt/domain-update.ts";

const UUID = "3b241101-e2bb-4255-8caf-4136c566a962";
const bare = `<domain type='kvm'><name>w</name><uuid>${UUID}</uuid><os><type arch='x86_64'>hvm</type></os></domain>`;
/** As libvirt 9.0 prints an armhf guest that is defined and off. */
const defined = readFileSync(join(import.meta.dirname, "domain-armhf-defined.xml"), "utf8");
const virtiofs = defined.replace(
  /<filesystem type='mount' accessmode='mapped'>/,
  "<filesystem type='mount' accessmode='passthrough'><driver type='virtiofs'/>",
);
/** What a person may have added: things that are not virtio, things that are, and arguments for QEMU. */
const personal = defined
  .replace(
    "<domain type='qemu'>",
    "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>",
  )
  .replace(
    "</devices>",
    `  <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='/srv/data.img'/>
      <target dev='vdb' bus='virtio'/>
      <address type='pci' domain='0x0000' bus='0x07' slot='0x00' function='0x0'/>
    </disk>
    <hostdev mode='subsystem' type='pci' managed='yes'>
      <source><address domain='0x0000' bus='0x3b' slot='0x00' function='0x0'/></source>
      <address type='pci' domain='0x0000' bus='0x08' slot='0x00' function='0x0'/>
    </hostdev>
    <controller type='pci' index='8' model='pcie-root-port'>
      <address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x0'/>
    </controller>
  </devices>
  <qemu:commandline>
    <qemu:arg value='-machine'/>
    <qemu:arg value='gic-version=2,highmem=off'/>
    <qemu:arg value='-no-hpet'/>
    <qemu:env name='A' value='b'/>
  </qemu:commandline>`,
  );

describe("setKernelPaths, setOnReboot", () => {
  const xml = bare.replace(
    "<os>",
    "<metadata><x:y xmlns:x='urn:x' a='1'>t &amp; &lt;<!-- c --></x:y></metadata><on_reboot>restart</on_reboot>" +
      "<os><kernel>/old</kernel><loader readonly='yes'>/l</loader>",
  );

  test("sets kernel and initrd, there or not, and keeps the rest", () => {
    const changed = setKernelPaths(xml, { kernel: "/n <&>", initrd: "/i" });
    expect(parseDomain(changed)).toMatchObject({ kernel: "/n <&>", initrd: "/i", onReboot: "restart" });
    expect(changed).toContain('<loader readonly="yes">/l</loader>');
    expect(changed).toContain("t &amp; &lt;<!-- c -->");
  });

  test("sets what a reboot does", () => {
    expect(parseDomain(setOnReboot(xml, "destroy"))).toMatchObject({ onReboot: "destroy", kernel: "/old" });
    expect(parseDomain(setOnReboot(bare, "destroy")).onReboot).toBe("destroy");
  });

  test("the same change twice is the same text", () => {
    const once = setOnReboot(xml, "destroy");
    expect(setOnReboot(once, "destroy")).toBe(once);
  });
});

describe("setLayout", () => {
  const layouts: [string, Layout][] = [
    ["PCI", PCI],
    ["PCI below 4 GiB", PCI_LOW],
    ["virtio-mmio", MMIO],
  ];
  const domains: [string, string][] = [
    ["9p", defined],
    ["virtiofs", virtiofs],
    ["personal", personal],
  ];

  describe.each(domains)("%s", (_what, xml) => {
    test.each(layouts)("is moved to %s, and is the same guest", (_name, layout) => {
      const before = parseDomain(xml);
      const after = parseDomain(setLayout(xml, layout));
      expect(after).toMatchObject({
        ...layout,
        modernMmio: layout.bus === "mmio" && before.transport === "virtiofs",
        diskBus: `virtio-${layout.bus}`,
      });
      for (const key of [
        "uuid",
        "name",
        "metadata",
        "arch",
        "cmdline",
        "network",
        "memoryMiB",
        "cpus",
      ] as const) {
        expect(after[key]).toEqual(before[key]);
      }
      expect(after.transport).toBe(before.transport);
      expect(after.shareDir).toBe(before.shareDir);
    });

    test.each(layouts)("moved to %s twice is the same text", (_name, layout) => {
      const once = setLayout(xml, layout);
      expect(setLayout(once, layout)).toBe(once);
    });

    test.each(layouts)("from any layout to %s it is the same machine", (_name, layout) => {
      const dense = (text: string): string => text.replace(/>\s+</g, "><");
      const direct = dense(setLayout(setLayout(xml, MMIO), layout));
      for (const [, first] of layouts) {
        expect(dense(setLayout(setLayout(setLayout(xml, first), MMIO), layout))).toBe(direct);
      }
    });
  });

  test("to virtio-mmio: no ROM, no empty ports, every virtio device", () => {
    const xml = setLayout(defined, MMIO);
    expect(xml).not.toContain("<rom");
    expect(xml).not.toContain("pcie-root-port");
    expect(xml).not.toContain('type="pci" domain');
    // Disk, channels' controller, share, network card, balloon, rng.
    expect(xml.split('<address type="virtio-mmio"/>')).toHaveLength(7);
    expect(xml).not.toMatch(/\n\s*\n/);
    expect(xml).not.toContain("commandline");
  });

  test("to virtio-mmio: an explicit controller for the channels where there is none", () => {
    const none = defined.replace(/<controller type='virtio-serial'[\s\S]*?<\/controller>/, "");
    const xml = setLayout(none, MMIO);
    expect(xml).toContain(
      '<controller type="virtio-serial" index="0"><address type="virtio-mmio"/></controller>',
    );
  });

  test("to virtio-mmio: what is said of PCI alone goes", () => {
    const xml = setLayout(
      defined.replace("<model type='virtio'/>", "<model type='virtio-transitional'/>"),
      MMIO,
    );
    expect(xml).toContain('<model type="virtio"/>');
  });

  test("what a person added stays", () => {
    for (const [, layout] of layouts) {
      const xml = setLayout(personal, layout);
      expect(xml).toContain("/srv/data.img");
      expect(xml).toContain('bus="0x3b"');
      expect(xml).toContain('<address type="pci" domain="0x0000" bus="0x08" slot="0x00" function="0x0"/>');
      // The port that the host's own device is behind.
      expect(xml).toContain('index="8" model="pcie-root-port"');
      expect(xml).toContain('<qemu:arg value="gic-version=2"/>');
      expect(xml).toContain('<qemu:arg value="-no-hpet"/>');
      expect(xml).toContain('<qemu:env name="A" value="b"/>');
    }
  });

  test("back to PCI: libvirt chooses the addresses, and no ROM is needed", () => {
    const xml = setLayout(setLayout(defined, MMIO), PCI);
    expect(xml).not.toContain("virtio-mmio");
    expect(xml).toContain('<rom enabled="no"/>');
    expect(xml).not.toMatch(/<address type="pci"/);
  });

  test("on PCI already: nothing changes but the way it is written", () => {
    expect(setLayout(defined, PCI)).toBe(setOnReboot(defined, "destroy"));
  });

  test("a domain without devices", () => {
    expect(parseDomain(setLayout(bare, PCI_LOW))).toMatchObject({ highmem: false, bus: undefined });
  });

  const hasVirsh = spawnSync("virsh", ["--version"]).error === undefined;
  test
    .skipIf(!hasVirsh)
    .each(domains.flatMap(([what, xml]) => layouts.map(([name, to]) => [what, name, xml, to] as const)))(
    "libvirt's schema accepts %s on %s",
    (_what, _name, xml, layout) => {
      const dir = mkdtempSync(join(tmpdir(), "bootshare-test-"));
      const file = join(dir, "domain.xml");
      writeFileSync(file, setLayout(xml, layout));
      const { stdout, stderr } = spawnSync("virsh", ["-c", "test:///default", "define", "--validate", file], {
        encoding: "utf8",
        env: { ...process.env, LC_ALL: "C" },
      });
      rmSync(dir, { recursive: true });
      expect(stdout + stderr).toContain("defined from");
    },
  );
});
