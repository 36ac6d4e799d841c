// What adoption makes of a hand-made domain, whole, and the diff that a person is shown. UPDATE_GOLDEN=1 writes the files anew:
// read the difference before you keep it. hand-made-*.xml are as libvirt 9.0 printed them, once they were defined.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { diffOf, rewritten } from "../../src/guest/adopt/plan.ts";
import { adoptionFacts, adoptXml } from "../../src/libvirt/domain-adopt.ts";
import { type DomainFacts, parseDomain } from "../../src/libvirt/domain-parse.ts";
import { guestPathsOf } from "../../src/paths.ts";

const read = (file: string): string => readFileSync(join(import.meta.dirname, "adopt", file), "utf8");

function adopted(xml: string, of: DomainFacts = parseDomain(xml)): string {
  const { runKernel: kernel, runInitrd: initrd, share, report, serialLog } = guestPathsOf(of.uuid);
  const { uuid, arch, transport = "9p" } = of;
  return adoptXml(xml, { uuid, arch, transport, kernel, initrd, share, report, serialLog });
}

function holds(file: string, text: string): void {
  const path = join(import.meta.dirname, "adopt", file);
  if (process.env["UPDATE_GOLDEN"] === "1") writeFileSync(path, text);
  expect(existsSync(path)).toBe(true);
  expect(text).toBe(readFileSync(path, "utf8"));
}

describe.each(["armhf", "amd64"] as const)("a hand-made domain, %s", (arch) => {
  const before = read(`hand-made-${arch}.xml`);

  test("is given what a guest needs, and nothing else", async () => {
    const after = adopted(before);
    holds(`hand-made-${arch}-adopted.xml`, after);
    const diff = await diffOf(["before", "after"], rewritten(before), after);
    holds(`hand-made-${arch}.diff`, `${diff}\n`);
  });

  test("keeps all that parseDomain reads but what it is given", () => {
    const [was, is] = [before, adopted(before)].map((xml) => parseDomain(xml));
    const paths = guestPathsOf(was?.uuid ?? "");
    expect({ ...is, cmdline: was?.cmdline }).toEqual({
      ...was,
      foreign: false,
      metadata: { uuid: was?.uuid, schema: 1, transport: "9p", arch },
      kernel: paths.runKernel,
      initrd: paths.runInitrd,
      shareDir: paths.share,
    });
    expect(is?.cmdline).toBe(`${was?.cmdline} panic=10`);
    expect(adoptionFacts(adopted(before)).disks).toEqual(adoptionFacts(before).disks);
  });

  test("twice is the same as once", () => {
    const once = adopted(before);
    expect(adopted(once, parseDomain(before))).toBe(once);
  });
});

describe("what somebody has already", () => {
  const base = read("hand-made-amd64.xml");
  test.each([
    [
      "a panic= of their own",
      "root=/dev/vda1",
      "root=/dev/vda1 panic=60",
      "root=/dev/vda1 panic=60</cmdline>",
    ],
    ["a word that only ends so", "root=/dev/vda1", "oops.panic=1", "oops.panic=1 panic=10</cmdline>"],
    [
      "no command line",
      "    <cmdline>console=ttyS0 root=/dev/vda1</cmdline>\n",
      "",
      "<cmdline>panic=10</cmdline>",
    ],
    ["no metadata", /<metadata>[\s\S]*<\/metadata>\n/, "", '<metadata>\n    <bootshare:guest uuid="5d5ba1aa'],
    [
      "a log of the console",
      "<serial type='pty'>",
      "<serial type='pty'><log file='/srv/their.log' append='off'/>",
      '<log file="/var/lib/bootshare/guests/5d5ba1aa-9f58-4ac1-8f43-6a1e3ad9b6c0/serial.log" append="on"/>',
    ],
    ["a console that is no PTY", "type='pty'", "type='null'", '<serial type="null">'],
    ["a domain that restarts", "<on_reboot>destroy", "<on_reboot>restart", "<on_reboot>destroy</on_reboot>"],
  ])("%s", (_what, from, to, expected) => {
    const changed = typeof from === "string" ? base.replaceAll(from, to) : base.replace(from, to);
    expect(changed).not.toBe(base);
    expect(adopted(changed)).toContain(expected);
  });

  test("the metadata of the guest that it is a copy of goes, and other people's stays", () => {
    const copy = adopted(base).replace('uuid="5d5ba1aa', 'uuid="11111111');
    expect(parseDomain(copy).copyOf).toBe("11111111-9f58-4ac1-8f43-6a1e3ad9b6c0");
    const after = adopted(copy);
    expect(parseDomain(after)).toMatchObject({ copyOf: undefined, foreign: false });
    expect(after).toContain("libosinfo:os");
    expect(after.match(/<bootshare:guest/g)).toHaveLength(1);
  });

  test("a machine with its devices on virtio-mmio gets the report's controller there", () => {
    const mmio = read("hand-made-armhf.xml").replaceAll(
      /(<filesystem[\s\S]*?)<address [^>]*>(\s*<\/filesystem>)/g,
      "$1<address type='virtio-mmio'/>$2",
    );
    expect(adopted(mmio)).toMatch(
      /<controller type="virtio-serial" index="0">\s*<address type="virtio-mmio"\/>\s*<\/controller>/,
    );
  });
});
