import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UserError } from "../../../src/errors.ts";
import { parseDomain } from "../../../src/libvirt/domain-parse.ts";
import { METADATA_NAMESPACE } from "../../../src/paths.ts";

const UUID = "3b241101-e2bb-4255-8caf-4136c566a962";
const OTHER = "3b241101-e2bb-4255-8caf-4136c566a963";

interface Parts {
  type?: string;
  arch?: string;
  metadata?: string;
  top?: string;
  os?: string;
  devices?: string;
}

function domain(parts: Parts = {}): string {
  return `<domain type='${parts.type ?? "kvm"}' id='3'>
  <name>w</name><uuid>${UUID}</uuid>
  <metadata><other:x xmlns:other='urn:x'><other:guest uuid='1'/></other:x>${parts.metadata ?? ""}</metadata>
  <memory unit='KiB'>2097152</memory><vcpu placement='static'>2</vcpu>
  <os><type arch='${parts.arch ?? "x86_64"}' machine='pc-q35-7.2'>hvm</type>${parts.os ?? ""}</os>
  ${parts.top ?? ""}<devices>${parts.devices ?? ""}</devices>
</domain>`;
}

const ours = (content = "", uuid = UUID, schema = "1", prefix = "bootshare"): string =>
  `<${prefix}:guest xmlns:${prefix}='${METADATA_NAMESPACE}' uuid='${uuid}' schema='${schema}'>${content}</${prefix}:guest>`;
const word = (name: string, text: string): string => `<bootshare:${name}>${text}</bootshare:${name}>`;

describe("parseDomain: whose it is", () => {
  test("without our element it is foreign", () => {
    expect(parseDomain(domain())).toMatchObject({
      foreign: true,
      metadata: undefined,
      copyOf: undefined,
      arch: "amd64",
    });
  });

  test("our namespace in a description, a comment or deeper makes no guest", () => {
    const top = `<description>${METADATA_NAMESPACE} &lt;bootshare:guest></description><!-- ${ours()} -->`;
    expect(parseDomain(domain({ top })).foreign).toBe(true);
    expect(parseDomain(domain({ metadata: `<a:a xmlns:a='urn:a'>${ours()}</a:a>` })).foreign).toBe(true);
    expect(parseDomain(domain({ devices: ours() })).foreign).toBe(true);
  });

  test("our element by any prefix makes a guest", () => {
    expect(parseDomain(domain({ metadata: ours("", UUID, "1", "b") }))).toMatchObject({ foreign: false });
  });

  test("its words", () => {
    const metadata = ours(
      word("arch", "amd64") + word("suite", " trixie ") + word("transport", "9p") + word("role", "builder"),
    );
    expect(parseDomain(domain({ metadata })).metadata).toEqual({
      uuid: UUID,
      schema: 1,
      arch: "amd64",
      suite: "trixie",
      transport: "9p",
      role: "builder",
    });
  });

  test("metadata of another guest is a copy", () => {
    expect(parseDomain(domain({ metadata: ours("", OTHER) }))).toMatchObject({
      foreign: false,
      copyOf: OTHER,
    });
  });

  test.each([
    ["no UUID", ours("", "../../etc")],
    ["an empty UUID", ours("", "")],
    ["no schema", ours("", UUID, "")],
    ["a later schema", ours("", UUID, "2")],
    ["a path for a suite", ours(word("suite", "../../etc"))],
    ["a line break in a word", ours(word("role", "a&#10;b"))],
    ["an unknown architecture", ours(word("arch", "pdp11"))],
    ["an unknown transport", ours(word("transport", "nfs"))],
    ["an endless word", ours(word("suite", "a".repeat(65)))],
  ])("%s in our element is refused", (_what, metadata) => {
    expect(() => parseDomain(domain({ metadata }))).toThrow(
      expect.objectContaining({ code: "METADATA_INVALID" }),
    );
  });
});

describe("parseDomain: what it is", () => {
  test.each([
    ["x86_64", undefined, "amd64"],
    ["aarch64", undefined, "arm64"],
    ["armv7l", undefined, "armhf"],
    ["armv7l", "armel", "armel"],
    ["armv7l", "armhf", "armhf"],
    ["x86_64", "armhf", "amd64"],
  ])("%s with %s in the metadata is %s", (arch, named, expected) => {
    const metadata = ours(named === undefined ? "" : word("arch", named));
    expect(parseDomain(domain({ arch, metadata })).arch).toBe(expected);
  });

  test("a foreign domain of a strange architecture can be read, but for that", () => {
    const facts = parseDomain(domain({ arch: "alpha" }));
    expect(facts.foreign).toBe(true);
    expect(() => facts.arch).toThrow(UserError);
    expect(() => parseDomain(domain({ arch: "alpha", metadata: ours() }))).toThrow(
      expect.objectContaining({ code: "ARCH_UNKNOWN" }),
    );
  });

  test("kernel, initrd and command line", () => {
    const os = "<kernel>/a &amp; b</kernel><initrd>/i</initrd><cmdline>a='1' b=&lt;</cmdline>";
    expect(parseDomain(domain({ os }))).toMatchObject({
      kernel: "/a & b",
      initrd: "/i",
      cmdline: "a='1' b=<",
    });
    expect(parseDomain(domain())).toMatchObject({ kernel: undefined, initrd: undefined, cmdline: undefined });
  });

  test("reboot, by default, restarts", () => {
    expect(parseDomain(domain()).onReboot).toBe("restart");
    expect(parseDomain(domain({ top: "<on_reboot>destroy</on_reboot>" })).onReboot).toBe("destroy");
  });

  test.each([
    ["kvm", "kvm"],
    ["qemu", "tcg"],
    ["xen", "other"],
  ])("type %s is %s", (type, accel) => expect(parseDomain(domain({ type })).accel).toBe(accel));

  const fs = (driver: string, tag = "virtio-boot"): string =>
    `<filesystem type='mount'>${driver}<source dir='/share'/><target dir='${tag}'/></filesystem>`;
  test.each([
    ["no driver", fs(""), "9p"],
    ["driver path", fs("<driver type='path'/>"), "9p"],
    ["virtiofs", fs("<driver type='virtiofs' queue='1024'/>"), "virtiofs"],
    ["another tag", fs("", "home"), undefined],
    ["behind another", fs("<driver type='virtiofs'/>", "home") + fs(""), "9p"],
    ["a driver of tomorrow", fs("<driver type='warp'/>"), undefined],
    ["none", "", undefined],
  ])("transport: %s", (_what, devices, transport) => {
    expect(parseDomain(domain({ devices })).transport).toBe(transport);
  });

  const disk = (bus: string, address: string, device = " device='disk'"): string =>
    `<disk type='file'${device}><target dev='vda' bus='${bus}'/>${address}</disk>`;
  test.each([
    ["an address on PCI", disk("virtio", "<address type='pci' slot='0x00'/>"), "virtio-pci"],
    ["an address on MMIO", disk("virtio", "<address type='virtio-mmio'/>"), "virtio-mmio"],
    ["no address yet", disk("virtio", ""), "virtio-pci"],
    ["s390's channel", disk("virtio", "<address type='ccw'/>"), "virtio-ccw"],
    ["an address of another kind", disk("virtio", "<address type='isa'/>"), undefined],
    ["SATA", disk("sata", ""), undefined],
    ["no kind said", disk("virtio", "", ""), "virtio-pci"],
    ["behind a CD", disk("sata", "", " device='cdrom'") + disk("virtio", ""), "virtio-pci"],
    ["none", "", undefined],
  ])("bus of the disk: %s", (_what, devices, bus) =>
    expect(parseDomain(domain({ devices })).diskBus).toBe(bus),
  );

  test.each([
    [
      "<interface type='user'><mac address='52:54:00:AA:00:01'/></interface>",
      { kind: "user", mac: "52:54:00:aa:00:01" },
    ],
    [
      "<interface type='network'><source network='default' portid='x' bridge='virbr0'/></interface>",
      { kind: "network", name: "default" },
    ],
    ["<interface type='bridge'><source bridge='br0'/></interface>", { kind: "bridge", name: "br0" }],
    ["<interface type='direct'><source dev='eth0'/></interface>", { kind: "other" }],
    ["", undefined],
  ])("network %s", (devices, network) => expect(parseDomain(domain({ devices })).network).toEqual(network));

  test.each([
    ["<memory>1048576</memory>", 1024],
    ["<memory unit='MiB'>512</memory>", 512],
    ["<memory unit='G'>2</memory>", 2048],
    ["<memory unit='GB'>2</memory>", 1907],
    ["<memory unit='b'>1048576</memory>", 1],
    ["<memory unit='furlong'>5</memory>", 0],
    ["<memory unit='constructor'>5</memory>", 0],
    ["<memory>much</memory>", 0],
    ["<memory>-5</memory>", 0],
    ["", 0],
  ])("%s is %i MiB", (memory, expected) => {
    const xml = domain().replace(/<memory .*<\/memory>/, memory);
    expect(parseDomain(xml).memoryMiB).toBe(expected);
  });
});

describe("parseDomain: the machine", () => {
  test.each([
    ["aarch64", word("arch", "armhf") + word("kernel-arch", "arm64"), "arm64", "armhf"],
    ["armv7l", word("arch", "armel") + word("kernel-arch", "armhf"), "armhf", "armel"],
    ["x86_64", word("arch", "i386") + word("kernel-arch", "amd64"), "amd64", "i386"],
    ["x86_64", word("arch", "i386"), "amd64", "i386"],
    ["armv7l", word("arch", "armel"), "armel", "armel"],
    ["x86_64", word("arch", "armhf") + word("kernel-arch", "arm64"), "amd64", "armhf"],
    ["x86_64", "", "amd64", "amd64"],
  ])("%s with %s runs %s kernels and %s programs", (arch, words, kernel, userland) => {
    expect(parseDomain(domain({ arch, metadata: ours(words) }))).toMatchObject({ arch: kernel, userland });
  });

  test("a kernel of an architecture that Debian has not is refused", () => {
    expect(() => parseDomain(domain({ metadata: ours(word("kernel-arch", "pdp11")) }))).toThrow(
      expect.objectContaining({ code: "METADATA_INVALID" }),
    );
  });

  const PCI = "<address type='pci'/>";
  const MMIO = "<address type='virtio-mmio'/>";
  const disk = (address: string): string =>
    `<disk type='file'><target dev='vda' bus='virtio'/>${address}</disk>`;
  const card = (address: string, model = "virtio"): string =>
    `<interface type='user'><model type='${model}'/>${address}</interface>`;
  const share = (address: string): string =>
    `<filesystem type='mount'><target dir='virtio-boot'/>${address}</filesystem>`;
  const serial = (address: string): string => `<controller type='virtio-serial'>${address}</controller>`;
  test.each([
    ["all on PCI", disk(PCI) + card(PCI) + share(PCI) + serial(PCI), "pci"],
    ["not defined yet", disk("") + card("") + share(""), "pci"],
    ["all on MMIO", disk(MMIO) + card(MMIO) + share(MMIO) + serial(MMIO), "mmio"],
    ["the card on PCI", disk(MMIO) + card(PCI) + share(MMIO), "mixed"],
    ["the report on PCI", disk(MMIO) + card(MMIO) + serial(PCI), "mixed"],
    ["a card that is not virtio", disk(MMIO) + card(PCI, "e1000"), "mmio"],
    ["another controller", `${disk(MMIO)}<controller type='usb'>${PCI}</controller>`, "mmio"],
    ["channel I/O", disk("<address type='ccw'/>"), "ccw"],
    ["nothing", "", undefined],
  ])("bus: %s", (_what, devices, bus) => {
    expect(parseDomain(domain({ arch: "armv7l", devices })).bus).toBe(bus);
  });

  test("an s390x domain that is not defined yet is on channel I/O", () => {
    expect(parseDomain(domain({ arch: "s390x", devices: disk("") }))).toMatchObject({
      bus: "ccw",
      diskBus: "virtio-ccw",
    });
  });

  const args = (prefix: string, ...values: string[]): string =>
    `<${prefix}:commandline xmlns:${prefix}='http://libvirt.org/schemas/domain/qemu/1.0'>` +
    `${values.map((value) => `<${prefix}:arg value='${value}'/>`).join("")}</${prefix}:commandline>`;
  test.each([
    ["nothing said", "", true, false],
    ["highmem off", args("qemu", "-machine", "highmem=off"), false, false],
    ["by another prefix", args("q", "-M", "gic-version=3,highmem=no"), false, false],
    ["said twice", args("qemu", "-machine", "highmem=off", "-machine", "highmem=on"), true, false],
    ["modern", args("qemu", "-global", "virtio-mmio.force-legacy=false"), true, true],
    ["both", args("qemu", "-machine", "highmem=off", "-global", "virtio-mmio.force-legacy=off"), false, true],
    [
      "other arguments",
      args("qemu", "-append", "highmem=off", "-global", "x.force-legacy=false"),
      true,
      false,
    ],
    ["no value", args("qemu", "-machine"), true, false],
    ["another namespace", args("qemu", "-machine", "highmem=off").replace("/1.0", "/2.0"), true, false],
  ])("QEMU's arguments: %s", (_what, top, highmem, modernMmio) => {
    expect(parseDomain(domain({ top }))).toMatchObject({ highmem, modernMmio });
  });
});

describe("parseDomain: hostile XML", () => {
  const entities = `<!DOCTYPE domain [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>`;
  test.each([
    ["empty", ""],
    ["no XML", "hello"],
    ["cut off", domain().slice(0, 200)],
    ["two roots", domain() + domain()],
    ["another root", "<network/>"],
    [
      "a domain of another namespace",
      domain().replace("<domain ", "<x:domain xmlns:x='urn:x' ").replace("</domain>", "</x:domain>"),
    ],
    ["entities", entities + domain({ top: "<description>&b;</description>" })],
    [
      "a file as an entity",
      `<!DOCTYPE domain [<!ENTITY x SYSTEM "file:///etc/passwd">]>${domain({ top: "<title>&x;</title>" })}`,
    ],
    ["a document type alone", `<!doctype domain>${domain()}`],
    ["an unknown entity", domain({ top: "<title>&x;</title>" })],
    ["an unbound prefix", domain({ top: "<x:y/>" })],
    ["an attribute twice", domain({ top: "<title a='1' a='2'/>" })],
    ["no name", domain().replace("<name>w</name>", "")],
    ["no UUID", domain().replace(UUID, "")],
    ["a path for a UUID", domain().replace(`<uuid>${UUID}`, "<uuid>../../../etc")],
    ["deep nesting", domain({ top: "<a>".repeat(100_000) })],
    ["deep nesting that is closed", domain({ top: "<a>".repeat(1000) + "</a>".repeat(1000) })],
    ["a megabyte", domain({ top: `<title>${"a".repeat(1024 * 1024)}</title>` })],
  ])("%s is a UserError", (_what, xml) => {
    expect(() => parseDomain(xml)).toThrow(expect.objectContaining({ code: "DOMAIN_XML_INVALID" }));
  });

  test("many elements and attributes do not take long", () => {
    const start = performance.now();
    parseDomain(domain({ top: "<a b='1'/>".repeat(50_000) }));
    parseDomain(domain({ top: `<a ${Array.from({ length: 5000 }, (_, i) => `a${i}='1'`).join(" ")}/>` }));
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  test("any damage gives facts or a UserError", () => {
    const xml = domain({ metadata: ours(word("arch", "amd64")), os: "<kernel>/k</kernel>" });
    const damage = fc.array(
      fc.tuple(
        fc.nat(xml.length),
        fc.nat(20),
        fc.oneof(
          fc.string({ unit: "binary", maxLength: 6 }),
          fc.constantFrom("<", ">", "&", "]]>", "<!--", "'", "<![CDATA["),
        ),
      ),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(damage, (changes) => {
        let text = xml;
        for (const [at, length, put] of changes) text = text.slice(0, at) + put + text.slice(at + length);
        try {
          expect(typeof parseDomain(text).foreign).toBe("boolean");
        } catch (error) {
          if (!(error instanceof UserError)) throw error;
        }
      }),
      { numRuns: 500 },
    );
  });
});
