/** What a guest writes for a boot loader of its own: entries of the Boot Loader Specification, and extlinux.conf. */
import { chmodSync } from "node:fs";
import type { Form, HostileShare } from "./disk.ts";
import { boots, fallsBack, NEW, OLD, type Outcome, pair, REAL, type Row } from "./row.ts";

const FOLDER = "loader/entries";
const ENTRY = `${FOLDER}/a.conf`;
const EXTLINUX = "extlinux/extlinux.conf";

type Put = (share: HostileShare) => void;

function entriesFolder(share: HostileShare): void {
  share.folder("loader");
  share.folder(FOLDER);
}

/** A share with two whole pairs. Without entries the newer one boots. */
function row(name: string, put: Put, expect: (form: Form) => Outcome, forms?: readonly Form[]): Row {
  return {
    name,
    ...(forms === undefined ? {} : { forms }),
    make: (share) => {
      for (const release of [OLD, NEW]) pair(share, release);
      put(share);
    },
    expect,
  };
}

/** Entries that are of no use: as if there were none. */
const useless = (
  name: string,
  put: Put,
  problem: string | ((form: Form) => string),
  forms?: readonly Form[],
): Row =>
  row(
    name,
    put,
    (form) => boots(NEW, "highest", `(entries): ${typeof problem === "string" ? problem : problem(form)}`),
    forms,
  );

/** Entries that name the older pair, whatever else they hold. */
const taken = (name: string, put: Put): Row => row(name, put, () => boots(OLD, "entries"));

/** An entry with these lines, which name the older pair unless they say otherwise. */
const entry =
  (lines: string | Buffer): Put =>
  (share) => {
    entriesFolder(share);
    share.file(ENTRY, lines);
  };
const extlinux =
  (lines: string | Buffer): Put =>
  (share) => {
    share.folder("extlinux");
    share.file(EXTLINUX, lines);
  };

const PAIR = `linux /vmlinuz-${OLD}\ninitrd /initrd.img-${OLD}\n`;
const linux = (path: string): string => `linux ${path}\ninitrd /initrd.img-${OLD}\n`;
const outside = (path: string): string =>
  `${ENTRY} names a file outside the top folder, "${path}": not looked at`;
const badName = (problem: string): string => `${ENTRY} names a file whose name ${problem}`;
const ESCAPES = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202e\u2028";

const TEXTS: readonly Row[] = [
  taken("an entry with a terminal's escapes wherever it may have text", (share) => {
    entriesFolder(share);
    const keys = ["title", "version", "machine-id", "sort-key", "options", "devicetree", ESCAPES];
    share.file(ENTRY, `${keys.map((key) => `${key} ${ESCAPES}\n`).join("")}${PAIR}`);
  }),
  taken(
    "an entry with options that are commands",
    entry(`${PAIR}options $(reboot) \`reboot\`; init=/bin/sh -- <b>&\n`),
  ),
  taken("an entry with keys that mean something in JavaScript", entry(`__proto__ x\nconstructor y\n${PAIR}`)),
  taken("an entry with 16,000 lines", entry(`${"a\n".repeat(16_000)}${PAIR}`)),
  useless(
    "an entry for another architecture, alone with one of none",
    (share) => {
      entriesFolder(share);
      share.file(ENTRY, `architecture aa64\n${PAIR}`);
      share.file(`${FOLDER}/b.conf`, "");
    },
    `${FOLDER}/b.conf names no kernel`,
  ),
  useless(
    "an entry of 64 KiB and a byte",
    entry(`${PAIR}${" ".repeat(65_537 - PAIR.length)}`),
    `${ENTRY} is larger than 64 KiB`,
  ),
  useless(
    "a sparse entry of 1 TiB",
    (share) => {
      entriesFolder(share);
      share.sparse(ENTRY, Buffer.from(PAIR), 2 ** 40);
    },
    `${ENTRY} is larger than 64 KiB`,
  ),
  useless("an entry of NULs", entry(Buffer.alloc(65_536)), `${ENTRY} names no kernel`),
  useless(
    "an entry with a NUL in a path",
    entry(linux(`/vmlinuz-${OLD}\0.txt`)),
    badName(`holds a NUL character: "vmlinuz-${OLD}\\x00.txt"`),
  ),
  useless(
    "an entry that is not UTF-8",
    entry(Buffer.concat([Buffer.from(PAIR), Buffer.from([0xff, 0xfe])])),
    `${ENTRY} is not UTF-8 text`,
  ),
  useless(
    "an entry with a terminal's escapes in a path",
    entry(linux("/\x1b[2Jx")),
    badName('holds a control character: "\\x1b[2Jx"'),
  ),
  useless(
    "an entry with a path up",
    entry(linux("../../../../etc/shadow")),
    outside("../../../../etc/shadow"),
  ),
  useless(
    "an entry with a path up and back",
    entry(linux(`/../share/vmlinuz-${OLD}`)),
    outside(`/../share/vmlinuz-${OLD}`),
  ),
  useless("an entry with an absolute path", entry(linux("/etc/shadow")), outside("/etc/shadow")),
  useless("an entry that names the folder above", entry(linux("/..")), badName('names a folder: ".."')),
  useless("an entry that names an option", entry(linux("--help")), badName('begins with "-": "--help"')),
  useless(
    "an entry with a path of 60,000 characters",
    entry(linux(`/${"a".repeat(60_000)}`)),
    badName(`is longer than 255 bytes: "${"a".repeat(80)}…"`),
  ),
  useless(
    "an entry with 2,000 initrds",
    entry(`${PAIR}${"initrd /x\n".repeat(1999)}`),
    `${ENTRY} names 2000 initrds, and a domain has one`,
  ),
  useless("an entry that names no initrd", entry(`linux /vmlinuz-${OLD}\n`), `${ENTRY} names no initrd`),
  useless(
    "an entry that names what is not there",
    entry(linux("/vmlinuz")),
    `linux in ${ENTRY} names vmlinuz, which is not there`,
  ),
  row(
    "names of entries that act, or are none",
    (share) => {
      entriesFolder(share);
      for (const name of ["\x1b[2J.conf", "a\n.conf", "-rf.conf", ".conf", "a.conf~"])
        share.file(`${FOLDER}/${name}`, PAIR);
      share.file(Buffer.concat([Buffer.from(`${FOLDER}/`), Buffer.from([0xff]), Buffer.from(".conf")]), PAIR);
    },
    () => boots(NEW, "highest"),
  ),
];

const KINDS: readonly Row[] = [
  useless(
    "33 entries",
    (share) => {
      entriesFolder(share);
      for (let i = 0; i < 33; i++) share.file(`${FOLDER}/${i}.conf`, PAIR);
    },
    `${FOLDER} holds more than 32 names`,
  ),
  useless(
    "100,000 entries",
    (share) => {
      entriesFolder(share);
      for (const first of ["a", "b"]) {
        share.file(`${FOLDER}/${first}.conf`, PAIR);
        for (let i = 0; i < 50_000; i++)
          share.hardLink(`${FOLDER}/${first}.conf`, `${FOLDER}/${first}${i}.conf`);
      }
    },
    `${FOLDER} holds more than 32 names`,
  ),
  useless(
    "a FIFO in place of an entry",
    (share) => {
      entriesFolder(share);
      share.fifo(ENTRY);
    },
    (form) => `${ENTRY} ${form === "9p" ? "names no kernel" : "is a FIFO"}`,
  ),
  useless(
    "a folder in place of an entry",
    (share) => {
      entriesFolder(share);
      share.folder(ENTRY);
    },
    `${ENTRY} is a folder`,
  ),
  useless(
    "a device in place of an entry",
    (share) => {
      entriesFolder(share);
      share.device(ENTRY);
    },
    (form) => `${ENTRY} ${form === "9p" ? "names no kernel" : "is a device"}`,
  ),
  useless(
    "an entry that is a link to the host's passwords",
    (share) => {
      entriesFolder(share);
      share.link(ENTRY, "/etc/shadow");
    },
    `${ENTRY} is a symbolic link`,
    REAL,
  ),
  useless(
    "a link in place of loader/entries",
    (share) => {
      share.folder("loader");
      share.link(FOLDER, "/etc");
    },
    (form) => `${FOLDER} was not looked at: entries ${form === "9p" ? "is a file" : "is a symbolic link"}`,
  ),
  useless(
    "a link in place of loader",
    (share) => share.link("loader", "../../0d9e6f3a-5c1b-4c1e-9f53-0b1f4a7a2c11/share"),
    (form) => `${FOLDER} was not looked at: loader ${form === "9p" ? "is a file" : "is a symbolic link"}`,
  ),
  useless(
    "a FIFO in place of loader/entries",
    (share) => {
      share.folder("loader");
      share.fifo(FOLDER);
    },
    (form) => `${FOLDER} was not looked at: entries ${form === "9p" ? "is a file" : "is a FIFO"}`,
  ),
  useless(
    "entries that nobody may read",
    (share) => {
      entry(PAIR)(share);
      chmodSync(share.at(FOLDER), 0);
    },
    `${FOLDER} could not be read (EACCES)`,
    ["9p", "taken-over"],
  ),
];

const LABEL = `the label a of ${EXTLINUX}`;
const label = (lines: string): string => `label a\n${lines}`;

const EXTLINUX_ROWS: readonly Row[] = [
  taken(
    "an extlinux.conf with a terminal's escapes wherever it may have text",
    extlinux(
      `default ${ESCAPES}\ntimeout ${ESCAPES}\nlabel ${ESCAPES}\nmenu label ${ESCAPES}\nappend ${ESCAPES}\nfdt ${ESCAPES}\n${PAIR}`,
    ),
  ),
  useless(
    "an extlinux.conf with a path up",
    extlinux(label(linux("../../../../etc/shadow"))),
    `${LABEL} names a file outside the top folder, "../../../../etc/shadow": not looked at`,
  ),
  useless(
    "an extlinux.conf with a path by /boot",
    extlinux(label(linux("/boot/../etc/shadow"))),
    `${LABEL} names a file outside the top folder, "/boot/../etc/shadow": not looked at`,
  ),
  useless(
    "an extlinux.conf that includes another",
    extlinux("include /etc/shadow\nlabel a\ninclude /etc/shadow\n"),
    `${LABEL} names no kernel`,
  ),
  useless(
    "an extlinux.conf of 100,000 labels",
    extlinux("label a\n".repeat(100_000)),
    `${EXTLINUX} is larger than 64 KiB`,
  ),
  useless(
    "an extlinux.conf of 33 labels",
    extlinux(label(PAIR).repeat(33)),
    `${EXTLINUX} has more than 32 labels`,
  ),
  useless(
    "an extlinux.conf of NULs",
    extlinux(Buffer.concat([Buffer.from("label a\nlinux "), Buffer.alloc(1000)])),
    `${LABEL} names no initrd`,
  ),
  useless(
    "an extlinux.conf with a label of 60,000 characters",
    extlinux(`label ${"\x1b".repeat(60_000)}\n`),
    `the label ${"\\x1b".repeat(20)}… of ${EXTLINUX} names no kernel`,
  ),
  useless(
    "a FIFO in place of extlinux.conf",
    (share) => {
      share.folder("extlinux");
      share.fifo(EXTLINUX);
    },
    () => `${EXTLINUX} is a FIFO`,
    REAL,
  ),
  useless(
    "an extlinux.conf that is a link to the host's passwords",
    (share) => {
      share.folder("extlinux");
      share.link(EXTLINUX, "/etc/shadow");
    },
    `${EXTLINUX} is a symbolic link`,
    REAL,
  ),
  row("a label that never ends, and then nothing", extlinux("text help\nlabel a\n"), () =>
    boots(NEW, "highest"),
  ),
];

/** Beside entries that name a pair that is no good, the newest one boots that is. */
const PAIRS: readonly Row[] = [
  {
    name: "an entry that names files which are neither kernel nor initrd",
    make: (share) => {
      pair(share, OLD);
      entriesFolder(share);
      share.file(ENTRY, "linux /a\ninitrd /b\n");
      for (const name of ["a", "b"]) share.file(name, "neither");
    },
    expect: () =>
      fallsBack(
        "a: a is no kernel image that is known here; b does not begin like an initrd (cpio, or a compression that the kernel knows)",
      ),
  },
];

export const ENTRIES: readonly Row[] = [...TEXTS, ...KINDS, ...EXTLINUX_ROWS, ...PAIRS];
