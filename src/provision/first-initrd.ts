/**
 * The initrd of a guest's first boot, where none that was made on this host counts: busybox and the few modules that the
 * root disk needs, taken from the guest's own packages and put together here without running any of their programs.
 */
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { UserError } from "../errors.ts";
import { shippedFile } from "../paths.ts";
import { run, runOk } from "../process.ts";

/** What the machine's root disk can need. A kernel has some of them built in, and lacks those of other machines. */
const WANTED = ["virtio_pci", "virtio_mmio", "virtio_blk", "ext4"] as const;
const INDISPENSABLE: readonly string[] = ["virtio_blk", "ext4"];

export interface FirstInitrdOptions {
  /** The guest's root file system. */
  readonly root: string;
  readonly release: string;
  /** A Debian package busybox-static of the guest's architecture. */
  readonly busyboxPackage: string;
  /** A folder for this alone, which is made, and removed afterwards. */
  readonly temporary: string;
  /** The file to make. */
  readonly initrd: string;
}

/**
 * Makes the initrd, uncompressed: every kernel reads that (Documentation/driver-api/early-userspace).
 *
 * @throws {UserError} `FIRST_INITRD_FAILED`, and what {@link runOk} throws
 */
export async function makeFirstInitrd(options: FirstInitrdOptions, signal: AbortSignal): Promise<void> {
  const { root, release, busyboxPackage, temporary, initrd } = options;
  const tree = join(temporary, "tree");
  const unpacked = join(temporary, "busybox");
  try {
    for (const folder of ["bin", "modules"]) await mkdir(join(tree, folder), { recursive: true });
    await runOk("dpkg-deb", ["--extract", busyboxPackage, unpacked], { signal });
    await copyFile(await busyboxIn(unpacked), join(tree, "bin/busybox"));
    await chmod(join(tree, "bin/busybox"), 0o755);
    await symlink("busybox", join(tree, "bin/sh"));
    await copyFile(shippedFile("initrd/init"), join(tree, "init"));
    await chmod(join(tree, "init"), 0o755);
    const modules = await modulesFor(root, release, signal);
    for (const [index, module] of modules.entries()) {
      const number = String(index).padStart(2, "0");
      await unpackModule(module, join(tree, "modules", `${number}-${moduleFile(module)}`), signal);
    }
    const names = (await readdir(tree, { recursive: true })).sort();
    await runOk("cpio", ["--create", "--quiet", "--format=newc", "--owner=0:0", "--file", initrd], {
      cwd: tree,
      input: `${names.join("\n")}\n`,
      signal,
    });
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function busyboxIn(unpacked: string): Promise<string> {
  for (const folder of ["usr/bin", "bin"]) {
    const names = await readdir(join(unpacked, folder)).catch((): string[] => []);
    if (names.includes("busybox")) return join(unpacked, folder, "busybox");
  }
  throw failed("the package busybox-static holds no busybox");
}

/** Absolute paths of the modules' files, in the order in which they are to be loaded. */
async function modulesFor(root: string, release: string, signal: AbortSignal): Promise<string[]> {
  const files = new Set<string>();
  // Made by the kernel's own scripts, which may not have run yet.
  if (!existsSync(join(root, "lib/modules", release, "modules.dep"))) {
    await runOk("depmod", ["--basedir", root, release], { signal });
  }
  for (const name of WANTED) {
    const args = ["--dirname", root, "--set-version", release, "--show-depends", "--ignore-install", name];
    const { exitCode, stdout, stderr } = await run("modprobe", args, { signal });
    signal.throwIfAborted();
    if (exitCode !== 0 && INDISPENSABLE.includes(name)) {
      throw failed(`kernel ${release} has no ${name}`, stderr);
    }
    for (const file of parseDepends(stdout)) files.add(file);
  }
  return [...files];
}

/** The files that `modprobe --show-depends` names: lines `insmod FILE [OPTIONS]`; what is built in has none. */
export function parseDepends(text: string): string[] {
  return text.split("\n").flatMap((line) => /^insmod (\S+)/.exec(line)?.[1] ?? []);
}

/** The file's name without what it is compressed by. */
function moduleFile(path: string): string {
  return basename(path).replace(/\.(xz|zst|gz)$/, "");
}

const DECOMPRESSORS: readonly (readonly [suffix: string, program: string])[] = [
  [".xz", "xz"],
  [".zst", "zstd"],
  [".gz", "gzip"],
];

/** Busybox hands the kernel plain modules only. */
async function unpackModule(from: string, to: string, signal: AbortSignal): Promise<void> {
  const [suffix, program] = DECOMPRESSORS.find(([one]) => from.endsWith(one)) ?? ["", ""];
  if (program === "") {
    await writeFile(to, await readFile(from));
    return;
  }
  const packed = `${to}${suffix}`;
  await copyFile(from, packed);
  await runOk(program, ["-d", "-q", "--", packed], { signal });
  await rm(packed, { force: true });
}

function failed(why: string, detail?: string): UserError {
  return new UserError("FIRST_INITRD_FAILED", `No initrd for the first boot could be made: ${why}.`, {
    hint: "Choose another kernel package, or make the guest on a host of its own architecture.",
    ...(detail === undefined ? {} : { detail }),
  });
}
