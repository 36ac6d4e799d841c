/** Initrds that begin as they should, and what only a look inside finds. */
import { cpio, type File, MICROCODE, PACKER_NAMES, pack, tree } from "../unit/kernel/initrds.ts";
import { bomb } from "./bombs.ts";
import { initrdOf, kernelOf, STORED } from "./ground.ts";
import { boots, NEW, type Outcome, type Row, refused } from "./row.ts";

/** Memoized: a row is made again for another test of the file. */
function once(make: () => Buffer): () => Buffer {
  let made: Buffer | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

function row(name: string, make: () => Buffer, outcome: Outcome, good: boolean): Row {
  const initrd = once(make);
  return {
    name: `an initrd that ${name}`,
    good,
    make: (share) => {
      share.file(`vmlinuz-${NEW}`, kernelOf(NEW));
      share.file(`initrd.img-${NEW}`, initrd());
    },
    expect: () => outcome,
  };
}

const cannot = (reason: string): string => `${NEW}: initrd.img-${NEW} cannot be booted: it ${reason}.`;

/** One that is found out: what the host has in its store boots. */
const unfit = (name: string, make: () => Buffer, reason: string): Row =>
  row(name, make, boots(STORED, "good", cannot(reason)), true);

const NO_CONFIG = `No configuration of ${NEW} was found to look at.`;

/** One that boots, and what is noted then: what else is wrong with it, if anything is, is the guest's affair. */
const boot = (name: string, make: () => Buffer, ...notes: string[]): Row =>
  row(name, make, { ...boots(NEW, "highest"), notes: [NO_CONFIG, ...notes] }, true);

const FILES = tree({ release: NEW });
const ARCHIVE = cpio(FILES);
const zstd = (files: readonly File[]): Buffer => pack("zstd", cpio(files));

/** Field `index` of the first entry's header, eight characters. */
function headerSays(index: number, text: string, files: readonly File[] = [LIAR, ...FILES]): Buffer {
  const archive = cpio(files);
  archive.write(text, 6 + 8 * index, 8, "latin1");
  return archive;
}

const LIAR: File = { name: "liar", content: "four" };
const SIZE = 6;
const NAME_SIZE = 11;

const NO_TRAILER = "is cut short: it ends before its trailer";
const NO_ENTRY = "is damaged: something in its archive is no entry";
const OLD_FORMAT = 'holds a cpio archive of the old format; the kernel needs "newc"';
const DAMAGED = "is damaged or cut short: it cannot be unpacked";
const TOO_LARGE = "unpacks to more than 2 GiB";
const NO_DISK = "has no driver for the root disk (virtio_blk)";

/** With one bit of its last byte turned over. */
function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const last = copy.length - 1;
  copy.writeUInt8(copy.readUInt8(last) ^ 1, last);
  return copy;
}

const BOMBS: readonly Row[] = [
  ...PACKER_NAMES.map((packer) => unfit(`is a bomb packed by ${packer}`, () => bomb(packer), TOO_LARGE)),
  unfit("is an archive and then a bomb", () => Buffer.concat([ARCHIVE, bomb("zstd")]), TOO_LARGE),
  unfit(
    "is packed in 65 parts",
    () => Buffer.concat(Array.from({ length: 65 }, () => initrdOf(NEW))),
    "holds more files than any initrd has",
  ),
  unfit(
    "holds 262,145 files of no length",
    () => {
      const file = cpio([{ name: "f" }], { trailer: false });
      return pack("zstd", Buffer.concat([...Array.from({ length: 262_145 }, () => file), cpio([])]));
    },
    "holds more files than any initrd has",
  ),
  unfit(
    "holds 32,769 modules",
    () => {
      const modules = Array.from({ length: 32_769 }, (_, i) => ({ name: `lib/modules/${NEW}/m${i}.ko` }));
      return zstd([...FILES, ...modules]);
    },
    "holds more modules than any kernel has",
  ),
  {
    ...boot("holds lists of modules as long as they are read, for as many releases as are told apart", () => {
      const long = (text: string): Buffer => Buffer.alloc(8 * 2 ** 20, text);
      const lists = (release: number): File[] => [
        { name: `lib/modules/${release}/ext4.ko` },
        { name: `lib/modules/${release}/modules.dep`, content: long("ext4.ko: a.ko\n") },
        { name: `lib/modules/${release}/modules.builtin`, content: long("a.ko\n") },
        { name: `lib/modules/${release}/modules.softdep`, content: "softdep ext4 pre: x\n" },
        { name: `lib/modules/${release}/modules.alias`, content: long("alias a a\n") },
      ];
      return zstd([...FILES, ...[1, 2, 3].flatMap(lists)]);
    }),
    // Not of the hook, but of the process that looks: its heap may grow to 192 MiB, and what it reads lies beside that.
    maxMiB: 512,
  },
  // Its frame says that it takes 2 GiB to unpack; the block in it is as it is.
  unfit(
    "asks for 2 GiB of memory by zstd",
    () => {
      const block = Buffer.alloc(3);
      block.writeUIntLE((ARCHIVE.length << 3) | 1, 0, 3);
      return Buffer.concat([Buffer.from("28b52ffd00a8", "hex"), block, ARCHIVE]);
    },
    DAMAGED,
  ),
  unfit(
    "asks for 3 GiB of memory by lzma",
    () => {
      const packed = pack("lzma", ARCHIVE);
      packed.writeUInt32LE(0xc0000000, 1);
      return packed;
    },
    DAMAGED,
  ),
];

const ENDS: readonly Row[] = [
  unfit("is an archive without a trailer", () => cpio(FILES, { trailer: false }), NO_TRAILER),
  unfit(
    "is a packed archive without a trailer",
    () => pack("gzip", cpio(FILES, { trailer: false })),
    NO_TRAILER,
  ),
  unfit("ends within an entry", () => pack("xz", ARCHIVE.subarray(0, 1000)), NO_TRAILER),
  ...PACKER_NAMES.map((packer) =>
    unfit(`lacks its last bytes, packed by ${packer}`, () => pack(packer, ARCHIVE).subarray(0, -40), DAMAGED),
  ),
  unfit("has one bit in its checksum turned over", () => flipped(initrdOf(NEW)), DAMAGED),
  unfit("is nothing but the beginning of a packed file", () => initrdOf(NEW).subarray(0, 6), DAMAGED),
  unfit("is packed, with nothing in it", () => pack("gzip", Buffer.alloc(0)), NO_TRAILER),
  unfit("is packed, with zeros in it", () => pack("gzip", Buffer.alloc(4096)), NO_TRAILER),
];

const LIES: readonly Row[] = [
  unfit("holds a file that claims to be 4 GiB long", () => headerSays(SIZE, "ffffffff"), NO_TRAILER),
  unfit(
    "holds a packed file that claims to be 4 GiB long",
    () => pack("zstd", headerSays(SIZE, "ffffffff")),
    NO_TRAILER,
  ),
  unfit("holds a file that claims to be empty and is not", () => headerSays(SIZE, "00000000"), NO_ENTRY),
  unfit("holds a file of less than no length", () => headerSays(SIZE, "-0000001"), NO_ENTRY),
  unfit(
    "holds a name that claims to be 4 GiB long",
    () => headerSays(NAME_SIZE, "ffffffff"),
    "holds a name of more than 4096 bytes",
  ),
  unfit("holds a name that claims to be of no length", () => headerSays(NAME_SIZE, "00000000"), NO_ENTRY),
  unfit("holds a name that claims to end in the middle", () => headerSays(NAME_SIZE, "00000003"), NO_ENTRY),
  unfit(
    "holds a file with another checksum than it should have",
    () => cpio([{ ...LIAR, checksum: 1 }, ...FILES], { magic: "070702" }),
    "is damaged: a file in it has another checksum than it should",
  ),
  unfit(
    "holds an entry of the old format",
    () => Buffer.concat([cpio([LIAR], { trailer: false }), Buffer.from("070707"), ARCHIVE.subarray(6)]),
    OLD_FORMAT,
  ),
  unfit(
    "holds a second archive of the old format",
    () => Buffer.concat([cpio(FILES), Buffer.alloc(110, "070707")]),
    OLD_FORMAT,
  ),
];

const NESTED: readonly Row[] = [
  unfit(
    "is packed twice",
    () => pack("xz", initrdOf(NEW)),
    "holds something behind the end of its packed archive that is none",
  ),
  unfit(
    "holds another packed initrd behind its archive, in the same packed part",
    () => pack("zstd", Buffer.concat([ARCHIVE, initrdOf(NEW)])),
    "holds something behind the end of its packed archive that is none",
  ),
  boot("holds itself as a file", () => zstd([{ name: "initrd.img", content: initrdOf(NEW) }, ...FILES])),
  boot("holds a bomb as a file", () => zstd([{ name: "bomb.zst", content: bomb("zstd") }, ...FILES])),
  boot("is of four parts, each packed in another way", () => {
    const [first, second, third] = [FILES.slice(0, 4), FILES.slice(4, 9), FILES.slice(9)].map((files) =>
      cpio(files),
    );
    if (first === undefined || second === undefined || third === undefined) throw new Error("no parts");
    return Buffer.concat([MICROCODE, pack("zstd", first), pack("xz", second), pack("gzip", third)]);
  }),
  unfit(
    "goes on with something else",
    () => Buffer.concat([initrdOf(NEW), kernelOf(NEW)]),
    "holds something that is neither an archive nor packed by anything that the kernel knows",
  ),
  // Where gzip ends is not known without unpacking it: a note, and the guest's affair.
  boot(
    "goes on with something else behind gzip",
    () => Buffer.concat([pack("gzip", ARCHIVE), kernelOf(NEW)]),
    "What follows its part that is packed by gzip was not looked at further.",
  ),
  // Nothing on the host unpacks it.
  boot(
    "is packed by lzop, or says so",
    () => Buffer.from("894c5a4f000d0a1a0a00", "hex"),
    "Its part that is packed by lzop was not looked into: lzop is none of the programs that bootshare uses.",
  ),
];

const CONTENT: readonly Row[] = [
  unfit(
    "has no driver for the root disk",
    () => zstd(tree({ release: NEW, without: [/virtio_blk/] })),
    NO_DISK,
  ),
  row(
    "has no driver for the root disk, of a guest that was never good",
    () => zstd(tree({ release: NEW, without: [/virtio_blk/] })),
    refused(cannot(NO_DISK)),
    false,
  ),
  unfit(
    "holds no init",
    () => zstd(tree({ release: NEW, init: false })),
    "holds no /init, so nothing in it would be started",
  ),
  unfit(
    "needs a module whose name is a terminal's escapes",
    () => zstd(needing("\x1b[2J\x9b31m")),
    "has virtio_blk for the root disk, but not what that needs: \\x1b[2J\\x9b31m",
  ),
  boot(
    "is for a release whose name is a terminal's escapes",
    () => zstd(tree({ release: "\x1b]0;owned\x07" })),
    `It holds modules for \\x1b]0;owned\\x07, and none for ${NEW}.`,
  ),
  boot("is for a release whose name means something in JavaScript", () =>
    zstd([...tree({ release: "__proto__" }), ...FILES]),
  ),
  boot("holds paths out of it, links and devices", () =>
    zstd([
      { name: "/etc/shadow", content: "root::0:0:::::\n" },
      { name: "../../../../etc/cron.d/x", content: "* * * * * root reboot\n" },
      { name: "var/lib/bootshare", content: "/etc", mode: 0o120777 },
      { name: "dev/mem", mode: 0o20666 },
      { name: "fifo", mode: 0o10666 },
      { name: "-rf", content: "" },
      ...FILES,
    ]),
  ),
];

/** The usual files, of which the root disk's driver needs one more module, which is not there. */
function needing(module: string): File[] {
  return FILES.map((file) =>
    file.name.endsWith("/modules.dep")
      ? {
          ...file,
          content: Buffer.from(`kernel/drivers/block/virtio_blk.ko.xz: kernel/${module}.ko\n`, "latin1"),
        }
      : file,
  );
}

// What is in an initrd does not hang on how it is shared.
export const INITRDS: readonly Row[] = [...BOMBS, ...ENDS, ...LIES, ...NESTED, ...CONTENT].map((one) => ({
  ...one,
  forms: ["9p"],
}));
