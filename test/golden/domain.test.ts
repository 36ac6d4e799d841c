// The XML of new domains, whole. UPDATE_GOLDEN=1 writes the files anew: read the difference before you keep it.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { MMIO, PCI_LOW } from "../../src/kernel/features.ts";
import { type DomainSpec, domainXml, type NetworkSpec } from "../../src/libvirt/domain-create.ts";
import { parseDomain } from "../../src/libvirt/domain-parse.ts";
import { machineShape, shapedArches } from "../../src/machine/shape.ts";
import { guestPathsOf } from "../../src/paths.ts";
import type { Transport } from "../../src/share/transport.ts";

const UUID = "3b241101-e2bb-4255-8caf-4136c566a962";
const paths = guestPathsOf(UUID);
const base: DomainSpec = {
  uuid: UUID,
  name: "worker-1",
  shape: machineShape("amd64", "kvm"),
  memoryMiB: 2048,
  cpus: 2,
  kernel: paths.runKernel,
  initrd: paths.runInitrd,
  disk: paths.disk,
  serialLog: paths.serialLog,
  report: paths.report,
  share: paths.share,
  transport: "9p",
  root: "UUID=6b2b3ad5-58c1-4b0b-8d3e-0c55c1e2a4f7",
  mac: "52:54:00:12:34:56",
  network: { kind: "user" },
  suite: "trixie",
};

const networks: NetworkSpec[] = [
  { kind: "user" },
  { kind: "network", name: "default" },
  { kind: "bridge", name: "br0" },
];
const transports: Transport[] = ["9p", "virtiofs"];
const cases: [name: string, spec: DomainSpec][] = (["kvm", "tcg"] as const).flatMap((accel) =>
  transports.flatMap((transport) =>
    networks.map((network): [string, DomainSpec] => [
      `amd64-${accel}-${transport}-${network.kind}`,
      { ...base, shape: machineShape("amd64", accel), transport, network },
    ]),
  ),
);
cases.push([
  "arm64-kvm-virtiofs-user",
  { ...base, shape: machineShape("arm64", "kvm"), transport: "virtiofs" },
]);
cases.push(["arm64-tcg-9p-user", { ...base, shape: machineShape("arm64", "tcg") }]);

// Every row of the table of shapes; amd64 and arm64 have theirs above.
const rows: [name: string, shape: DomainSpec["shape"], transport?: Transport][] = [
  ["arm64-kvm-9p-gic2", machineShape("arm64", "kvm", { gic: 2 })],
  ["arm64-tcg-virtiofs-mmio", machineShape("arm64", "tcg", { layout: MMIO }), "virtiofs"],
  ["i386-kvm-9p", machineShape("i386", "kvm")],
  ["i386-tcg-9p", machineShape("i386", "tcg")],
  ["i386-kvm-9p-kernel-amd64", machineShape("i386", "kvm", { kernelArch: "amd64" })],
  ["armhf-kvm-9p", machineShape("armhf", "kvm")],
  ["armhf-kvm-9p-gic3", machineShape("armhf", "kvm", { gic: 3 })],
  ["armhf-tcg-9p", machineShape("armhf", "tcg")],
  ["armhf-tcg-9p-mmio", machineShape("armhf", "tcg", { layout: MMIO })],
  ["armhf-tcg-virtiofs-mmio", machineShape("armhf", "tcg", { layout: MMIO }), "virtiofs"],
  ["armhf-kvm-virtiofs-mmio", machineShape("armhf", "kvm", { layout: MMIO, gic: 3 }), "virtiofs"],
  ["armhf-tcg-9p-low", machineShape("armhf", "tcg", { layout: PCI_LOW })],
  ["armhf-kvm-virtiofs-low", machineShape("armhf", "kvm", { layout: PCI_LOW, gic: 3 }), "virtiofs"],
  ["armhf-kvm-9p-kernel-arm64", machineShape("armhf", "kvm", { kernelArch: "arm64", gic: 3 })],
  ["armhf-tcg-9p-kernel-arm64", machineShape("armhf", "tcg", { kernelArch: "arm64" })],
  ["armel-kvm-9p", machineShape("armel", "kvm")],
  ["armel-tcg-9p", machineShape("armel", "tcg")],
  ["armel-kvm-9p-kernel-arm64", machineShape("armel", "kvm", { kernelArch: "arm64" })],
  ["riscv64-kvm-9p", machineShape("riscv64", "kvm")],
  ["riscv64-tcg-9p", machineShape("riscv64", "tcg")],
  ["riscv64-tcg-virtiofs", machineShape("riscv64", "tcg"), "virtiofs"],
  ["ppc64el-kvm-9p", machineShape("ppc64el", "kvm")],
  ["ppc64el-tcg-9p", machineShape("ppc64el", "tcg")],
  ["s390x-kvm-9p", machineShape("s390x", "kvm")],
  ["s390x-tcg-9p", machineShape("s390x", "tcg")],
  ["s390x-tcg-virtiofs", machineShape("s390x", "tcg"), "virtiofs"],
];
for (const [name, shape, transport = "9p"] of rows) cases.push([name, { ...base, shape, transport }]);
cases.push([
  "amd64-everything",
  {
    ...base,
    name: "R&D <1>",
    description: 'first line\nsecond "line" & <tags>',
    role: "builder",
    cmdlineExtra: ["mitigations=auto", "a='b'"],
    disk: "/srv/with space & 'quotes'/disk.qcow2",
  },
]);

/** libvirt's own schema, by its test driver: it needs virsh, and no daemon. */
const hasVirsh = spawnSync("virsh", ["--version"]).error === undefined;

function libvirtSays(file: string): string {
  const { stdout, stderr } = spawnSync("virsh", ["-c", "test:///default", "define", "--validate", file], {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C" },
  });
  return stdout + stderr;
}

describe("domain XML", () => {
  test("every architecture and accelerator has a golden file", () => {
    const covered = new Set(cases.map(([, { shape }]) => `${shape.arch} ${shape.accel}`));
    for (const arch of shapedArches()) {
      for (const accel of ["kvm", "tcg"]) expect(covered).toContain(`${arch} ${accel}`);
    }
  });

  test("no two cases are the same machine", () => {
    expect(new Set(cases.map(([, spec]) => domainXml(spec))).size).toBe(cases.length);
  });

  test.each(cases)("%s", (name, spec) => {
    const file = join(import.meta.dirname, `domain-${name}.xml`);
    const xml = domainXml(spec);
    if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(file, xml);
    expect(existsSync(file)).toBe(true);
    expect(xml).toBe(readFileSync(file, "utf8"));
  });

  test.each(cases)("%s reads back as it was meant", (_name, spec) => {
    const { network, shape, transport } = spec;
    expect(parseDomain(domainXml(spec))).toMatchObject({
      uuid: UUID,
      name: spec.name,
      foreign: false,
      copyOf: undefined,
      arch: shape.kernelArch,
      userland: shape.arch,
      accel: shape.accel,
      kernel: spec.kernel,
      initrd: spec.initrd,
      onReboot: "destroy",
      transport,
      shareDir: spec.share,
      diskBus: `virtio-${shape.bus}`,
      bus: shape.bus,
      highmem: shape.highmem,
      modernMmio: shape.bus === "mmio" && transport === "virtiofs",
      network: { ...network, mac: spec.mac },
      memoryMiB: spec.memoryMiB,
      cpus: spec.cpus,
      metadata: { uuid: UUID, schema: 1, arch: shape.arch, suite: spec.suite, transport },
    });
  });

  describe.skipIf(!hasVirsh)("libvirt's schema (skipped where virsh is not installed)", () => {
    test.each(cases)("accepts %s", (name) => {
      expect(libvirtSays(join(import.meta.dirname, `domain-${name}.xml`))).toContain("defined from");
    });

    test("is really asked", () => {
      const dir = mkdtempSync(join(tmpdir(), "bootshare-test-"));
      const file = join(dir, "domain.xml");
      writeFileSync(file, domainXml(base).replace("<on_crash>", "<on_monday/><on_crash>"));
      expect(libvirtSays(file)).toContain("failed to validate against schema");
      rmSync(dir, { recursive: true });
    });
  });

  test("says nothing of paths in the metadata", () => {
    const metadata = /<metadata>[\s\S]*<\/metadata>/.exec(domainXml(base))?.[0] ?? "";
    expect(metadata).toContain(UUID);
    expect(metadata).not.toContain("/var/");
  });

  test.each<[string, Partial<DomainSpec>]>([
    ["a UUID in capitals", { uuid: UUID.toUpperCase() }],
    ["an empty name", { name: "" }],
    ["a name with a slash", { name: "a/b" }],
    ["a name with a line break", { name: "a\nb" }],
    ["a name with spaces around it", { name: " a" }],
    ["a root UUID with more words", { root: "UUID=1234-5678 init=/bin/sh" }],
    ["a root that is no device", { root: "/etc/passwd" }],
    ["a root that leads out of /dev", { root: "/dev/../etc/passwd" }],
    ["a bare UUID as root", { root: "6b2b3ad5-58c1-4b0b-8d3e-0c55c1e2a4f7" }],
    ["a multicast MAC", { mac: "53:54:00:12:34:56" }],
    ["half a MiB", { memoryMiB: 512.5 }],
    ["no processor", { cpus: 0 }],
    ["a relative path", { disk: "disk.qcow2" }],
    ["a path with a line break", { share: "/a\nb" }],
    ["a word with a space", { cmdlineExtra: ["quiet splash"] }],
  ])("refuses %s", (_what, change) => {
    expect(() => domainXml({ ...base, ...change })).toThrow(
      expect.objectContaining({ code: "DOMAIN_SPEC_INVALID" }),
    );
  });

  test.each<[string, Partial<DomainSpec>]>([
    ["more processors than ARM's GICv2 has room for", { shape: machineShape("arm64", "tcg"), cpus: 9 }],
    ["more processors than Debian's armmp kernel", { shape: machineShape("armhf", "kvm"), cpus: 9 }],
    [
      "more memory than there is below 4 GiB",
      { shape: machineShape("armhf", "tcg", { layout: PCI_LOW }), memoryMiB: 3073 },
    ],
  ])("refuses %s", (_what, change) => {
    expect(() => domainXml({ ...base, ...change })).toThrow(
      expect.objectContaining({ code: "MACHINE_TOO_LARGE" }),
    );
  });

  test("refuses text that XML cannot hold", () => {
    expect(() => domainXml({ ...base, description: "a\u0000b" })).toThrow(
      expect.objectContaining({ code: "TEXT_NOT_XML" }),
    );
  });
});
