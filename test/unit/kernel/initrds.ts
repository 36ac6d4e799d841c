/** Makers of initrds: cpio archives by the kernel's description of the format, and what is in those of Debian's tools. */
import { spawnSync } from "node:child_process";

export interface File {
  readonly name: string;
  readonly content?: string | Buffer;
  /** A regular file by default. */
  readonly mode?: number;
  /** Of the format "crc"; the right one by default. */
  readonly checksum?: number;
}

export interface CpioOptions {
  readonly magic?: "070701" | "070702";
  readonly trailer?: boolean;
}

export function cpio(files: readonly File[], { magic = "070701", trailer = true }: CpioOptions = {}): Buffer {
  const all = trailer ? [...files, { name: "TRAILER!!!", mode: 0 }] : files;
  return Buffer.concat(
    all.map(({ name, content = "", mode = 0o100644, checksum }) => {
      const body = Buffer.from(content);
      const sum = checksum ?? (magic === "070702" ? body.reduce((a, b) => a + b, 0) : 0);
      const fields = [1, mode, 0, 0, 1, 0, body.length, 0, 0, 0, 0, Buffer.byteLength(name) + 1, sum];
      const head = magic + fields.map((field) => field.toString(16).padStart(8, "0")).join("");
      return Buffer.concat([pad(Buffer.from(`${head}${name}\0`)), pad(body)]);
    }),
  );
}

function pad(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}

export const PACKERS = {
  gzip: ["gzip", "-9nc"],
  xz: ["xz", "-c", "--check=crc32"],
  zstd: ["zstd", "-qc"],
  lz4: ["lz4", "-lqc"],
  lzma: ["xz", "-c", "--format=lzma"],
  bzip2: ["bzip2", "-c"],
} as const;
export type Packer = keyof typeof PACKERS;
export const PACKER_NAMES = Object.keys(PACKERS) as Packer[];

export function pack(packer: Packer, bytes: Buffer): Buffer {
  const [program, ...args] = PACKERS[packer];
  const { status, stdout } = spawnSync(program, args, { input: bytes, maxBuffer: 64 * 1024 * 1024 });
  if (status !== 0) throw new Error(`${program} failed`);
  return stdout;
}

export const RELEASE = "6.12.107+deb13-amd64";

/** Every module that a guest's initrd has, as the kernel's tree has them. */
export const MODULES: Readonly<Record<string, readonly string[]>> = {
  "kernel/drivers/block/virtio_blk.ko.xz": [],
  "kernel/drivers/virtio/virtio_pci.ko.xz": ["kernel/drivers/virtio/virtio_pci_modern_dev.ko.xz"],
  "kernel/drivers/virtio/virtio_pci_modern_dev.ko.xz": [],
  "kernel/drivers/virtio/virtio_mmio.ko.xz": [],
  "kernel/fs/ext4/ext4.ko.xz": [
    "kernel/fs/jbd2/jbd2.ko.xz",
    "kernel/lib/crc16.ko.xz",
    "kernel/fs/mbcache.ko.xz",
  ],
  "kernel/fs/jbd2/jbd2.ko.xz": [],
  "kernel/lib/crc16.ko.xz": [],
  "kernel/fs/mbcache.ko.xz": [],
  "kernel/crypto/crc32c_generic.ko.xz": [],
  "kernel/fs/9p/9p.ko.xz": ["kernel/net/9p/9pnet.ko.xz"],
  "kernel/net/9p/9pnet.ko.xz": [],
  "kernel/net/9p/9pnet_virtio.ko.xz": ["kernel/net/9p/9pnet.ko.xz"],
  "kernel/fs/fuse/virtiofs.ko.xz": [],
  "kernel/drivers/net/virtio_net.ko.xz": [],
  "kernel/drivers/char/virtio_console.ko.xz": [],
};

export interface TreeOptions {
  readonly release?: string;
  /** Names of modules' files that are left out. */
  readonly without?: readonly RegExp[];
  /** Files below the modules' folder that are left out: "modules.dep", … */
  readonly withoutLists?: readonly string[];
  /** Paths in modules.builtin. */
  readonly builtIn?: readonly string[];
  readonly init?: boolean;
  readonly maker?: "initramfs-tools" | "dracut";
  /** Lines of modules.alias. */
  readonly aliases?: string;
  /** Where the modules' folder is. */
  readonly lib?: string;
}

/** What `mkinitramfs` or dracut put into an initrd, as far as it matters. */
export function tree(options: TreeOptions = {}): File[] {
  const { release = RELEASE, without = [], withoutLists = [], init = true, lib = "usr/lib" } = options;
  const {
    builtIn = ["kernel/fs/fscache.ko", "kernel/lib/crc32.ko"],
    maker = "initramfs-tools",
    aliases = "",
  } = options;
  const folder = `${lib}/modules/${release}`;
  const there = Object.keys(MODULES).filter((path) => !without.some((one) => one.test(path)));
  const lists: Readonly<Record<string, string>> = {
    // As in the kernel's own package: of all modules, whether they are in the initrd or not.
    "modules.dep": Object.entries(MODULES)
      .map(([path, needs]) => `${path}: ${needs.join(" ")}`.trim())
      .join("\n"),
    "modules.builtin": builtIn.map((path) => `${path}\n`).join(""),
    "modules.alias": aliases,
    "modules.softdep": "# Soft dependencies extracted from modules themselves.\nsoftdep ext4 pre: crc32c\n",
  };
  return [
    { name: ".", mode: 0o40755 },
    ...(init ? [{ name: "init", content: "#!/bin/sh\n", mode: 0o100755 }] : []),
    maker === "dracut"
      ? { name: "usr/lib/dracut/hooks/mount", mode: 0o40755 }
      : { name: "conf/initramfs.conf", content: "MODULES=list\n" },
    { name: "bin", content: "usr/bin", mode: 0o120777 },
    ...there.map((path) => ({ name: `${folder}/${path}`, content: `code of ${path}` })),
    ...Object.entries(lists)
      .filter(([name]) => !withoutLists.includes(name))
      .map(([name, content]) => ({ name: `${folder}/${name}`, content })),
  ];
}

/** The processor's microcode, which stands in front on x86. */
export const MICROCODE = cpio([
  { name: "kernel/x86/microcode/GenuineIntel.bin", content: Buffer.alloc(2000, 1) },
]);
