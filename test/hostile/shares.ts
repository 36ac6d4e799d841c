/**
 * Shares as a hostile guest leaves them, and what must come of each: this kernel is staged and those are passed over for
 * these reasons, or the start is refused with this sentence.
 *
 * A guest cannot replace the share's folder itself, which is above what it is shown, nor touch policy, events and pairs, which
 * lie beside the share and are root's: there are no rows for these.
 */
import { chmodSync, chownSync } from "node:fs";
import { elf, zImage } from "../unit/kernel/images.ts";
import { ALL_FORMS, type Form, type HostileShare } from "./disk.ts";
import { ENTRIES } from "./entries.ts";
import { initrdOf, kernelOf, STORED } from "./ground.ts";
import { INITRDS } from "./initrds.ts";
import { boots, fallsBack, links, NEW, OLD, pair, REAL, type Row, refused } from "./row.ts";

/** A link `vmlinuz` with this text beside a whole older pair: the links are passed over, and the pair boots. */
function linkText(name: string, text: string | Buffer, problem: string, forms?: readonly Form[]): Row {
  return {
    name: `a link that holds ${name}`,
    ...(forms === undefined ? {} : { forms }),
    make: (share) => {
      pair(share, OLD);
      share.link("vmlinuz", text);
      share.link("initrd.img", `initrd.img-${OLD}`);
    },
    expect: () => fallsBack(`(links): ${problem}`),
  };
}

const holds = (problem: string): string => `the text of the link vmlinuz ${problem}`;
const slash = (shown: string): string =>
  holds(`holds a slash, but must name a file in the same folder: "${shown}"`);

const LINK_TEXTS: readonly Row[] = [
  linkText("an absolute path", "/etc/passwd", slash("/etc/passwd")),
  linkText(
    "an absolute path to the other guest's kernel",
    "/var/lib/bootshare/guests/0d9e6f3a-5c1b-4c1e-9f53-0b1f4a7a2c11/run/vmlinuz",
    slash("/var/lib/bootshare/guests/0d9e6f3a-5c1b-4c1e-9f53-0b1f4a7a2c11/run/vmlinuz"),
  ),
  linkText("a way up", "../../../../../../etc/passwd", slash("../../../../../../etc/passwd")),
  linkText("a way up to the guest's own policy", "../policy.json", slash("../policy.json")),
  linkText("a way up and back", `../share/vmlinuz-${OLD}`, slash(`../share/vmlinuz-${OLD}`)),
  linkText("a path that stays in the folder", `./vmlinuz-${OLD}`, slash(`./vmlinuz-${OLD}`)),
  linkText("a path through /proc", "/proc/self/fd/0", slash("/proc/self/fd/0")),
  linkText("the folder", ".", holds('names a folder: "."')),
  linkText("the folder above", "..", holds('names a folder: ".."')),
  linkText("options of ln", "-a -- passwd -tetc", holds('begins with "-": "-a -- passwd -tetc"')),
  linkText("an option", "--help", holds('begins with "-": "--help"')),
  linkText(
    "spaces",
    `vmlinuz-${OLD} vmlinuz-${NEW}`,
    `vmlinuz names vmlinuz-${OLD} vmlinuz-${NEW}, which is not there`,
  ),
  linkText(
    "a command",
    "$(reboot);`reboot`|reboot&",
    "vmlinuz names $(reboot);`reboot`|reboot&, which is not there",
  ),
  linkText("a glob", "vmlinuz-*", "vmlinuz names vmlinuz-*, which is not there"),
  linkText(
    "markup",
    "<img src=x onerror=alert(1)>&amp;",
    "vmlinuz names <img src=x onerror=alert(1)>&amp;, which is not there",
  ),
  linkText(
    "a newline at its end",
    `vmlinuz-${OLD}\n`,
    holds(`holds a control character: "vmlinuz-${OLD}\\n"`),
  ),
  linkText(
    "two lines",
    "a\nboots: all is well",
    holds('holds a control character: "a\\nboots: all is well"'),
  ),
  linkText(
    "a carriage return",
    "a\rboots: all is well",
    holds('holds a control character: "a\\rboots: all is well"'),
  ),
  linkText(
    "a terminal's escapes",
    "\x1b]0;owned\x07\x1b[2J\x1b[31m",
    holds('holds a control character: "\\x1b]0;owned\\x07\\x1b[2J\\x1b[31m"'),
  ),
  linkText(
    "a terminal's escapes of one character",
    "\u009b2J\u0085",
    holds('holds a control character: "\\x9b2J\\x85"'),
  ),
  linkText(
    "text that runs from right to left",
    "vmlinuz\u202egpj.exe",
    holds('holds a control character: "vmlinuz\\u202egpj.exe"'),
  ),
  linkText(
    "separators of lines and paragraphs",
    "a\u2028b\u2029c",
    holds('holds a control character: "a\\u2028b\\u2029c"'),
  ),
  linkText("a NUL", `vmlinuz-${OLD}\0.txt`, holds(`holds a NUL character: "vmlinuz-${OLD}\\x00.txt"`), [
    "9p",
  ]),
  linkText("nothing", "", holds("is empty"), ["9p"]),
  linkText(
    "bytes that are not UTF-8",
    Buffer.from([0x76, 0xff, 0xfe]),
    "vmlinuz holds text that is not UTF-8",
  ),
  linkText(
    "half of a surrogate pair",
    Buffer.from([0xed, 0xa0, 0x80]),
    "vmlinuz holds text that is not UTF-8",
  ),
  linkText("256 bytes", "a".repeat(256), holds(`is longer than 255 bytes: "${"a".repeat(80)}…"`)),
  linkText("4095 bytes", "a".repeat(4095), holds(`is longer than 255 bytes: "${"a".repeat(80)}…"`)),
  linkText("4 KiB", "a".repeat(4096), holds(`is longer than 255 bytes: "${"a".repeat(80)}…"`), ["9p"]),
  linkText("1 MiB", "a".repeat(1024 * 1024), "vmlinuz is a file and not a link", ["9p"]),
  linkText("its own name", "vmlinuz", "vmlinuz names vmlinuz, which is a link itself"),
  linkText("the other link's name", "initrd.img", "vmlinuz names initrd.img, which is a link itself"),
];

const LINKS: readonly Row[] = [
  {
    name: "links in a loop",
    make: (share) => {
      pair(share, OLD);
      share.link("vmlinuz", "initrd.img");
      share.link("initrd.img", "vmlinuz");
    },
    expect: () => fallsBack("(links): vmlinuz names initrd.img, which is a link itself"),
  },
  {
    name: "a chain of links that ends at a whole kernel",
    forms: REAL,
    make: (share) => {
      pair(share, OLD);
      for (let i = 0; i < 40; i++) share.link(`l${i}`, i === 39 ? `vmlinuz-${OLD}` : `l${i + 1}`);
      share.link("vmlinuz", "l0");
      share.link("initrd.img", `initrd.img-${OLD}`);
    },
    expect: () => fallsBack("(links): vmlinuz names l0, which is a link itself"),
  },
  {
    name: "a kernel's name that is a link out of the share, to a whole kernel",
    forms: REAL,
    make: (share) => {
      pair(share, OLD);
      share.link(`vmlinuz-${NEW}`, "../../0d9e6f3a-5c1b-4c1e-9f53-0b1f4a7a2c11/run/vmlinuz");
      share.file(`initrd.img-${NEW}`, initrdOf(NEW));
      links(share, NEW);
    },
    expect: () =>
      fallsBack(
        `${NEW}: vmlinuz-${NEW} is a link, not a file`,
        `(links): vmlinuz names vmlinuz-${NEW}, which is a link itself`,
      ),
  },
  {
    name: "a kernel's name that is a link of mapped mode, out of the share",
    forms: ["9p"],
    make: (share) => {
      pair(share, OLD);
      share.link(`vmlinuz-${NEW}`, "/etc/passwd");
      share.file(`initrd.img-${NEW}`, initrdOf(NEW));
    },
    expect: () => fallsBack(`${NEW}: vmlinuz-${NEW} is no kernel image that is known here`),
  },
  {
    name: "an initrd's name that is a link to the host's passwords",
    forms: REAL,
    make: (share) => {
      share.file(`vmlinuz-${NEW}`, kernelOf(NEW));
      share.link(`initrd.img-${NEW}`, "/etc/shadow");
    },
    expect: () => refused(`${NEW}: initrd.img-${NEW} is a link, not a file`),
  },
  {
    name: "an initrd's name that is a link to the reader's own memory",
    forms: REAL,
    make: (share) => {
      pair(share, OLD);
      share.file(`vmlinuz-${NEW}`, kernelOf(NEW));
      share.link(`initrd.img-${NEW}`, "/proc/self/mem");
    },
    expect: () => fallsBack(`${NEW}: initrd.img-${NEW} is a link, not a file`),
  },
  {
    name: "a configuration that is a link to the host's passwords",
    forms: REAL,
    make: (share) => {
      pair(share, OLD);
      share.link(`config-${OLD}`, "/etc/shadow");
    },
    expect: () => fallsBack(),
  },
  {
    name: "links to two different releases",
    make: (share) => {
      for (const release of [OLD, NEW]) pair(share, release);
      share.link("vmlinuz", `vmlinuz-${OLD}`);
      share.link("initrd.img", `initrd.img-${NEW}`);
    },
    expect: () => boots(NEW, "highest", `(links): vmlinuz names release ${OLD}, but initrd.img names ${NEW}`),
  },
  {
    name: "only one of the links",
    make: (share) => {
      pair(share, OLD);
      share.link("initrd.img", `initrd.img-${OLD}`);
    },
    expect: () => fallsBack("(links): there is no link vmlinuz beside initrd.img"),
  },
  {
    name: "links to a kernel and an initrd of names of the guest's own, with every character that a name may have",
    make: (share) => {
      const odd = "a kernel; rm -rf ~ && echo 'é' \"$HOME\" %s \\n <b>";
      share.file(odd, kernelOf(NEW));
      share.file(`${odd} 2`, initrdOf(NEW));
      share.link("vmlinuz", odd);
      share.link("initrd.img", `${odd} 2`);
    },
    expect: () => boots(NEW, "links"),
  },
];

/** What stands in the place of a kernel, an initrd, a configuration or a link. */
function instead(
  what: string,
  put: (share: HostileShare, name: string) => void | Promise<void>,
  is: (form: Form) => string,
  forms?: readonly Form[],
): Row[] {
  const of = forms === undefined ? {} : { forms };
  return [
    {
      ...of,
      name: `${what} in place of a kernel`,
      make: async (share) => {
        pair(share, OLD);
        await put(share, `vmlinuz-${NEW}`);
        share.file(`initrd.img-${NEW}`, initrdOf(NEW));
      },
      expect: (form) => fallsBack(`${NEW}: vmlinuz-${NEW} ${is(form)}`),
    },
    {
      ...of,
      name: `${what} in place of an initrd`,
      make: async (share) => {
        pair(share, OLD);
        share.file(`vmlinuz-${NEW}`, kernelOf(NEW));
        await put(share, `initrd.img-${NEW}`);
      },
      expect: (form) => fallsBack(`${NEW}: initrd.img-${NEW} ${is(form)}`),
    },
    {
      ...of,
      name: `${what} in place of a configuration`,
      make: async (share) => {
        pair(share, OLD);
        await put(share, `config-${OLD}`);
      },
      expect: () => fallsBack(),
    },
    {
      ...of,
      name: `${what} in place of a link`,
      make: async (share) => {
        pair(share, OLD);
        await put(share, "vmlinuz");
        share.link("initrd.img", `initrd.img-${OLD}`);
      },
      expect: (form) =>
        fallsBack(`(links): ${is(form) === "is empty" ? holds("is empty") : `vmlinuz ${is(form)}`}`),
    },
  ];
}

// In mapped mode QEMU makes an empty plain file of what is none, and says what it is in an attribute.
const unlessMapped = (is: string) => (form: Form) => (form === "9p" ? "is empty" : is);

const KINDS: readonly Row[] = [
  ...instead(
    "a folder",
    (share, name) => share.folder(name),
    () => "is a folder",
  ),
  ...instead("a FIFO", (share, name) => share.fifo(name), unlessMapped("is a FIFO"), ALL_FORMS),
  ...instead("a socket", (share, name) => share.socket(name), unlessMapped("is a socket"), ALL_FORMS),
  ...instead("a device", (share, name) => share.device(name), unlessMapped("is a device")),
];

const SIZES: readonly Row[] = [
  {
    name: "a sparse kernel of 1 TiB",
    make: (share) => {
      pair(share, OLD);
      share.sparse(`vmlinuz-${NEW}`, kernelOf(NEW), 2 ** 40);
      share.file(`initrd.img-${NEW}`, initrdOf(NEW));
    },
    expect: () => fallsBack(`${NEW}: vmlinuz-${NEW} is larger than 128 MiB`),
  },
  {
    name: "a sparse initrd of 1 TiB",
    make: (share) => {
      pair(share, OLD);
      share.file(`vmlinuz-${NEW}`, kernelOf(NEW));
      share.sparse(`initrd.img-${NEW}`, initrdOf(NEW), 2 ** 40);
    },
    expect: () => fallsBack(`${NEW}: initrd.img-${NEW} is larger than 512 MiB`),
  },
  {
    name: "a sparse configuration of 1 TiB",
    make: (share) => {
      pair(share, OLD);
      share.sparse(`config-${OLD}`, Buffer.from("CONFIG_PCI=y\n"), 2 ** 40);
    },
    expect: () => fallsBack(),
  },
  {
    name: "sparse links of 1 TiB",
    make: (share) => {
      pair(share, OLD);
      share.sparse("vmlinuz", Buffer.from(`vmlinuz-${OLD}`), 2 ** 40);
      share.sparse("initrd.img", Buffer.from(`initrd.img-${OLD}`), 2 ** 40);
    },
    expect: () => fallsBack("(links): vmlinuz is a file and not a link"),
  },
  {
    name: "the largest kernel and initrd that are taken, all but their beginning sparse",
    forms: ["9p"],
    make: (share) => {
      share.sparse(`vmlinuz-${NEW}`, kernelOf(NEW), 128 * 2 ** 20);
      share.sparse(`initrd.img-${NEW}`, initrdOf(NEW), 512 * 2 ** 20);
    },
    expect: () => boots(NEW, "highest"),
  },
  {
    name: "one byte more than the largest kernel and initrd",
    make: (share) => {
      share.sparse(`vmlinuz-${NEW}`, kernelOf(NEW), 128 * 2 ** 20 + 1);
      share.sparse(`initrd.img-${NEW}`, initrdOf(NEW), 512 * 2 ** 20 + 1);
    },
    expect: () =>
      refused(`${NEW}: vmlinuz-${NEW} is larger than 128 MiB; initrd.img-${NEW} is larger than 512 MiB`),
  },
  {
    name: "nine configurations of 4 MiB that set nothing",
    make: (share) => {
      for (let i = 1; i <= 9; i++) {
        pair(share, `6.1.0-${i}-amd64`);
        share.file(`config-6.1.0-${i}-amd64`, Buffer.alloc(4 * 2 ** 20, "# CONFIG_\n"));
      }
    },
    expect: () => boots("6.1.0-9-amd64", "highest"),
  },
  {
    name: "empty files",
    make: (share) => {
      for (const name of [`vmlinuz-${NEW}`, `initrd.img-${NEW}`, `config-${NEW}`, "vmlinuz", "initrd.img"]) {
        share.file(name, "");
      }
    },
    expect: () =>
      refused(`${NEW}: vmlinuz-${NEW} is empty; initrd.img-${NEW} is empty`, `(links): ${holds("is empty")}`),
  },
];

/** 64 characters, the most that a release has. */
const longRelease = (i: number): string => `1-${`${i}`.padStart(4, "0")}-${"x".repeat(57)}`;

const NAMES: readonly Row[] = [
  {
    name: "100,000 names, and the last good pair in the host's store",
    good: true,
    make: (share) => {
      pair(share, OLD);
      // Hard links, for one file has at most some 65,000.
      for (const first of ["a", "b"]) {
        share.file(first, "");
        for (let i = 0; i < 50_000; i++) share.hardLink(first, `${first}${i}`);
      }
    },
    expect: () =>
      boots(
        STORED,
        "good",
        "(share): the share could not be read: The boot share /var/lib/bootshare/guests/3b241101-e2bb-4255-8caf-4136c566a962/share holds more than 4096 names.",
      ),
  },
  {
    name: "4096 kernels without an initrd, of names as long as they may be",
    make: (share) => {
      share.file(`vmlinuz-${longRelease(0)}`, kernelOf(NEW));
      for (let i = 1; i < 4096; i++) share.hardLink(`vmlinuz-${longRelease(0)}`, `vmlinuz-${longRelease(i)}`);
    },
    expect: () => {
      const missing = (i: number): string =>
        `${longRelease(i)}: its initrd initrd.img-${longRelease(i)} is not there`;
      const unread = (i: number): string =>
        `${longRelease(i)}: vmlinuz-${longRelease(i)} was not read; its initrd initrd.img-${longRelease(i)} is not there`;
      return refused(
        ...[4095, 4094, 4093, 4092, 4091, 4090].map(missing),
        "(more): passed over, too: 4084 more",
        ...[5, 4, 3, 2, 1, 0].map(unread),
      );
    },
  },
  {
    name: "names with newlines, escapes and bytes that are not UTF-8",
    make: (share) => {
      pair(share, OLD);
      for (const name of [
        `vmlinuz-${NEW}\nvmlinuz`,
        `vmlinuz-\x1b[2J`,
        `vmlinuz-${NEW}\u202e`,
        Buffer.concat([Buffer.from(`vmlinuz-${NEW}`), Buffer.from([0xff])]),
      ]) {
        share.file(name, kernelOf(NEW));
      }
      share.file(`initrd.img-${NEW}\nvmlinuz`, initrdOf(NEW));
    },
    expect: () => fallsBack(),
  },
  {
    name: "names that are options, and names of what a package manager leaves",
    make: (share) => {
      pair(share, OLD);
      for (const name of [
        "-rf",
        "--",
        "vmlinuz--h",
        `vmlinuz-${NEW}.dpkg-new`,
        `vmlinuz-${NEW}~`,
        "vmlinuz-",
      ]) {
        share.file(name, kernelOf(NEW));
      }
    },
    expect: () => fallsBack(),
  },
  {
    name: "names that mean something in JavaScript",
    make: (share) => {
      pair(share, OLD);
      for (const release of ["__proto__", "constructor", "toString"]) pair(share, release);
    },
    expect: () => boots("toString", "highest"),
  },
  {
    name: "hard links of one kernel under two releases",
    make: (share) => {
      pair(share, OLD);
      share.hardLink(`vmlinuz-${OLD}`, `vmlinuz-${NEW}`);
      share.hardLink(`initrd.img-${OLD}`, `initrd.img-${NEW}`);
      links(share, NEW);
    },
    expect: () => boots(NEW, "links"),
  },
  {
    name: "a folder that nobody may read, and the last good pair in the host's store",
    good: true,
    forms: ["9p", "taken-over"],
    make: (share) => {
      pair(share, OLD);
      chmodSync(share.dir, 0);
    },
    expect: () =>
      boots(
        STORED,
        "good",
        "(share): the share could not be read: /var/lib/bootshare/guests/3b241101-e2bb-4255-8caf-4136c566a962/share cannot be read (EACCES).",
      ),
  },
  {
    name: "files that nobody may read",
    forms: ["9p", "taken-over"],
    make: (share) => {
      pair(share, OLD);
      for (const name of [`vmlinuz-${OLD}`, `initrd.img-${OLD}`]) chmodSync(share.at(name), 0);
    },
    expect: () =>
      refused(
        `${OLD}: vmlinuz-${OLD} could not be read (EACCES); initrd.img-${OLD} could not be read (EACCES)`,
      ),
  },
  {
    name: "files of another user's, which QEMU may not read",
    forms: ["9p", "taken-over"],
    make: (share) => {
      pair(share, OLD);
      pair(share, NEW);
      chownSync(share.at(`vmlinuz-${NEW}`), 0, 0);
      chmodSync(share.at(`vmlinuz-${NEW}`), 0o600);
    },
    expect: () => fallsBack(`${NEW}: vmlinuz-${NEW} could not be read (EACCES)`),
  },
  {
    name: "set-uid files",
    make: (share) => {
      pair(share, OLD);
      for (const name of [`vmlinuz-${OLD}`, `initrd.img-${OLD}`]) chmodSync(share.at(name), 0o6755);
    },
    expect: () => fallsBack(),
  },
  {
    name: "a folder that belongs to a user of the guest's",
    good: true,
    forms: ["virtiofs"],
    make: (share) => {
      pair(share, OLD);
      chownSync(share.dir, 1000, 1000);
    },
    // That user of the host does not get through the folder above.
    expect: () =>
      boots(
        STORED,
        "good",
        "(share): the share could not be read: /var/lib/bootshare/guests/3b241101-e2bb-4255-8caf-4136c566a962/share cannot be read (EACCES).",
      ),
  },
  {
    name: "an empty share, and nothing in the host's store",
    make: () => {},
    expect: () => refused(),
  },
];

const ATTRIBUTES: readonly Row[] = [
  {
    name: "attributes that call a kernel a folder, and a link a device",
    forms: ["9p"],
    make: (share) => {
      pair(share, OLD);
      links(share, OLD);
      share.finish();
      share.attribute(`vmlinuz-${OLD}`, "user.virtfs.mode", Buffer.from([0xed, 0x41, 0, 0]));
      share.attribute("vmlinuz", "user.virtfs.mode", Buffer.from([0xed, 0x61, 0, 0]));
    },
    // What is on the host counts, and not what QEMU says of it to the guest.
    expect: () => boots(OLD, "links"),
  },
  {
    name: "attributes of odd lengths, owners and permissions",
    forms: ["9p"],
    make: (share) => {
      pair(share, OLD);
      links(share, OLD);
      share.finish();
      share.attribute(`vmlinuz-${OLD}`, "user.virtfs.mode", Buffer.from([1, 2, 3]));
      share.attribute(`initrd.img-${OLD}`, "user.virtfs.uid", Buffer.alloc(2048, 0xff));
      share.attribute("vmlinuz", "user.virtfs.rdev", Buffer.from("\x1b[2J"));
      share.attribute("initrd.img", "user.other", Buffer.from("x"));
    },
    expect: () => boots(OLD, "links"),
  },
  {
    name: "no attributes at all",
    forms: ["taken-over"],
    make: (share) => {
      pair(share, OLD);
      share.file("vmlinuz", `vmlinuz-${OLD}`);
      share.file("initrd.img", `initrd.img-${OLD}`);
    },
    expect: () => boots(OLD, "links"),
  },
];

/** A kernel whose bytes are wrong, with a whole initrd, beside a whole older pair. */
function kernelBytes(name: string, bytes: Buffer, problem: string): Row {
  return {
    name: `a kernel that ${name}`,
    make: (share) => {
      pair(share, OLD);
      share.file(`vmlinuz-${NEW}`, bytes);
      share.file(`initrd.img-${NEW}`, initrdOf(NEW));
    },
    expect: () => fallsBack(`${NEW}: vmlinuz-${NEW} ${problem}`),
  };
}

function initrdBytes(name: string, bytes: Buffer, problem: string): Row {
  return {
    name: `an initrd that ${name}`,
    make: (share) => {
      pair(share, OLD);
      share.file(`vmlinuz-${NEW}`, kernelOf(NEW));
      share.file(`initrd.img-${NEW}`, bytes);
    },
    expect: () => fallsBack(`${NEW}: initrd.img-${NEW} ${problem}`),
  };
}

/** The good kernel with the bits of `mask` turned over at `offset`. */
function flipped(offset: number, mask: number): Buffer {
  const kernel = kernelOf(NEW);
  kernel.writeUInt8(kernel.readUInt8(offset) ^ mask, offset);
  return kernel;
}

const NO_INITRD = "does not begin like an initrd (cpio, or a compression that the kernel knows)";

const BYTES: readonly Row[] = [
  kernelBytes(
    "ends after its first sector",
    kernelOf(NEW).subarray(0, 600),
    "is cut short: its header says 6129 bytes, the file has 600",
  ),
  kernelBytes(
    "lacks its last 16 bytes",
    kernelOf(NEW).subarray(0, 6128),
    "is cut short: its header says 6129 bytes, the file has 6128",
  ),
  kernelBytes(
    "ends within its header",
    kernelOf(NEW).subarray(0, 0x207),
    "is cut short: it ends within its header",
  ),
  kernelBytes("lacks the boot flag by one bit", flipped(0x1fe, 1), "has an x86 header without the boot flag"),
  kernelBytes("lacks its magic by one bit", flipped(0x202, 1), "is no kernel image that is known here"),
  kernelBytes(
    "claims to be 64 GiB long",
    flipped(0x1f7, 0xff),
    "is cut short: its header says 68451047409 bytes, the file has 6144",
  ),
  kernelBytes("is for 32-bit x86 by one bit", flipped(0x236, 1), "is a kernel for i386, not for amd64"),
  kernelBytes("is for another architecture", zImage(), "is a kernel for armhf or armel, not for amd64"),
  kernelBytes("is a bare ELF file", elf(62), "is a bare ELF file for x86, not a bzImage"),
  kernelBytes(
    "is a multiboot image",
    Buffer.from("02b0ad1b03000000fb4f52e400000000", "hex"),
    "is a multiboot image, not a Linux kernel as Debian has it",
  ),
  kernelBytes("is a script", Buffer.from("#!/bin/sh\nreboot\n"), "is no kernel image that is known here"),
  initrdBytes("is a single byte", Buffer.from([0x28]), NO_INITRD),
  initrdBytes("is of zeros", Buffer.alloc(4096), NO_INITRD),
  initrdBytes(
    "lacks its magic by one bit",
    Buffer.from(initrdOf(NEW).map((byte, i) => (i === 0 ? byte ^ 1 : byte))),
    NO_INITRD,
  ),
  initrdBytes("is a kernel", kernelOf(NEW), NO_INITRD),
];

export const ROWS: readonly Row[] = [
  ...LINK_TEXTS,
  ...LINKS,
  ...KINDS,
  ...SIZES,
  ...NAMES,
  ...ATTRIBUTES,
  ...BYTES,
  ...INITRDS,
  ...ENTRIES,
];
