import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { folderInUse } from "../../../src/guest/folder-users.ts";

const FOLDER = "/var/lib/bootshare/guests/3b241101-e2bb-4255-8caf-4136c566a962";
const CLONE_DISK = `${FOLDER}/disk-clone.qcow2`;

function domain({ os = "", devices = "", top = "" }): string {
  return `<domain type='kvm'><name>w2</name>${top}<os>${os}</os><devices>${devices}</devices></domain>`;
}
const disk = (source: string): string => domain({ devices: `<disk type='file'>${source}</disk>` });
const codeOf = (...xmls: string[]): string | undefined =>
  folderInUse("w1", FOLDER, [{ name: "w2", xmls }])?.code;

describe("the folder of a guest stays while another domain names in it", () => {
  it.each<[string, string]>([
    ["a disk", disk(`<source file='${CLONE_DISK}'/>`)],
    ["a disk by a path that is not plain", disk(`<source file='${FOLDER}/../${FOLDER.slice(-36)}//a'/>`)],
    ["a block device's node", disk(`<source dev='${FOLDER}/disk'/>`)],
    [
      "what a disk stands on",
      disk(
        `<source file='/srv/a'/><backingStore><source file='/srv/b'/><backingStore><source file='${CLONE_DISK}'/></backingStore></backingStore>`,
      ),
    ],
    [
      "where a disk is copied to",
      disk(`<source file='/srv/a'/><mirror><source file='${CLONE_DISK}'/></mirror>`),
    ],
    ["its kernel", domain({ os: `<kernel>${FOLDER}/run/vmlinuz</kernel>` })],
    ["its initrd", domain({ os: `<initrd> ${FOLDER}/run/initrd.img </initrd>` })],
    ["its firmware's variables", domain({ os: `<nvram template='/usr/x'>${FOLDER}/vars</nvram>` })],
    ["a shared folder", domain({ devices: `<filesystem><source dir='${FOLDER}/share'/></filesystem>` })],
    ["the folder itself", domain({ devices: `<filesystem><source dir='${FOLDER}/'/></filesystem>` })],
    ["something, and its XML cannot be read", `<domain><disk file='${CLONE_DISK}'>`],
  ])("%s", (_what, xml) => {
    expect([codeOf(xml), codeOf(disk(""), xml)]).toEqual(["FOLDER_IN_USE", "FOLDER_IN_USE"]);
  });
});

describe("the folder of a guest can go where other domains", () => {
  it.each<[string, string[]]>([
    ["name nothing, or are gone", []],
    ["name other folders", [disk(`<source file='${FOLDER}-2/disk.qcow2'/>`)]],
    [
      "stand on a base",
      [disk(`<source file='/a'/><backingStore><source file='${FOLDER}/../../bases/b'/></backingStore>`)],
    ],
    [
      "write their console there",
      [domain({ devices: `<serial><log file='${FOLDER}/serial.log'/></serial>` })],
    ],
    ["report there", [domain({ devices: `<channel><source path='${FOLDER}/report'/></channel>` })]],
    ["speak of it", [domain({ top: `<title>${FOLDER}</title><description>${FOLDER}</description>` })]],
    ["cannot be read", ["<domain>", "no XML"]],
  ])("%s", (_what, xmls) => expect(codeOf(...xmls)).toBeUndefined());

  it("are clones of it", () => {
    const clone = readFileSync(join(import.meta.dirname, "../../golden/domain-clone.xml"), "utf8");
    expect(clone).toContain("/var/lib/bootshare/guests/");
    expect(codeOf(clone)).toBeUndefined();
  });
});

describe("what is said of it", () => {
  it("names the domain, the file, and the way out", () => {
    expect(
      folderInUse("w1", FOLDER, [{ name: "w2", xmls: [disk(`<source file='${CLONE_DISK}'/>`)] }]),
    ).toMatchObject({
      exitCode: 4,
      message: `The folder of the guest w1 cannot be removed: the domain w2 names files in it (${CLONE_DISK}).`,
      hint: "Move a disk elsewhere while its domain is off, and name its new place ('virsh domblklist w2', 'virsh edit w2'), or delete that domain first.",
    });
  });

  it("names few of many, each once, escaped, and what a copy that is not adopted needs", () => {
    const names = ["w2", "w3\u001b", "w4", "w5"];
    const devices = `<filesystem><source dir='${FOLDER}/share'/></filesystem>`;
    const others = names.map((name, index) => {
      const xml = domain({
        devices: `<disk><source file='${FOLDER}/d${index}'/></disk>${index === 1 ? devices : ""}`,
      });
      return { name, xmls: [xml, xml] };
    });
    expect(folderInUse("w1", FOLDER, others)).toMatchObject({
      message: `The folder of the guest w1 cannot be removed: the domains w2, w3\\x1b, w4 and 1 more name files in it (${FOLDER}/d0, ${FOLDER}/d1, ${FOLDER}/share and 2 more).`,
      hint: expect.stringMatching(/first\. 'bootshare adopt w3\\x1b' gives a copy a \/boot of its own\.$/),
    });
  });
});
