/** Filling a guest's new /boot from the host: the first kernel, its initrd and configuration, the default links. */
import * as fs from "node:fs";
import { pipeline } from "node:stream/promises";
import { errnoOf, UserError } from "../errors.ts";
import { printable } from "../text.ts";
import { withFolder } from "./open.ts";
import { checkedName, createFile, isRoot } from "./place.ts";
import { type Owner, S_IFDIR, S_IFREG, type ShareTransport } from "./transport.ts";

export interface SeedFile {
  /** Path on the host. Its last part is not followed when it is a link. */
  readonly from: string;
  /** File name in the share. */
  readonly name: string;
  /** Permissions that the guest shall see, for example 0o644. */
  readonly mode: number;
}

export interface SeedLink {
  readonly name: string;
  /** File name in the share. */
  readonly target: string;
}

/**
 * Copies files into a boot share and makes links there, so that the guest sees a /boot of root:root, mode 0755, with files
 * and links of root:root. What already has one of the names is replaced; the rest of the folder stays. The folder gets the
 * owner and mode that the transport needs (the owner only when this process is root). Links are made last, so that an
 * interrupted run leaves none that names a missing file.
 *
 * For a guest that is off: files appear under their names while they are copied.
 *
 * @param dir absolute path of the share, which exists
 * @param qemuUser the user as whom QEMU will run
 * @throws {UserError} `SHARE_SEED_SOURCE` (a source that cannot be read or is no regular file), `SHARE_BAD_NAME`,
 *   `SHARE_NAME_TAKEN`, `SHARE_NO_XATTRS`, those of `withFolder` and `runOk`
 */
export async function seedShare(
  transport: ShareTransport,
  dir: string,
  files: readonly SeedFile[],
  links: readonly SeedLink[],
  qemuUser: Owner,
): Promise<void> {
  for (const { name } of files) checkedName(name, "name of a file");
  ownShareFolder(transport, dir, qemuUser);
  for (const file of files) await copyIn(transport, dir, file);
  await transport.present(dir, [
    { name: ".", mode: S_IFDIR | 0o755 },
    ...files.map(({ name, mode }) => ({ name, mode: S_IFREG | (mode & 0o7777) })),
  ]);
  for (const { name, target } of links) await transport.storeLink(dir, name, target);
  withFolder(dir, (folder) => fs.fsyncSync(folder));
}

/** Gives a share folder the owner (where this process is root) and the mode that its guest needs. */
export function ownShareFolder(transport: ShareTransport, dir: string, qemuUser: Owner): void {
  withFolder(dir, (folder) => {
    const owner = transport.owner(qemuUser);
    if (isRoot()) fs.fchownSync(folder, owner.uid, owner.gid);
    fs.fchmodSync(folder, transport.dirMode);
  });
}

async function copyIn(transport: ShareTransport, dir: string, file: SeedFile): Promise<void> {
  const source = openSource(file.from);
  let target: number;
  try {
    target = withFolder(dir, (folder) => createFile(folder, file.name, transport.hostMode(file.mode)));
  } catch (error) {
    fs.closeSync(source);
    throw error;
  }
  // Both streams close their descriptor, and `flush` brings the file to the disk before that.
  await pipeline(
    fs.createReadStream("", { fd: source }),
    fs.createWriteStream("", { fd: target, flush: true }),
  );
}

/** The sources may come out of a guest's own disk, so they are met like the share: not followed, not blocked on. */
function openSource(path: string): number {
  const { O_NOFOLLOW, O_NONBLOCK, O_NOCTTY, O_RDONLY } = fs.constants;
  let fd: number | undefined;
  try {
    if (!fs.lstatSync(path).isFile()) throw badSource(path, "is not a regular file");
    fd = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (!fs.fstatSync(fd).isFile()) throw badSource(path, "is not a regular file");
    return fd;
  } catch (error) {
    if (fd !== undefined) fs.closeSync(fd);
    throw error instanceof UserError
      ? error
      : badSource(path, `cannot be read (${errnoOf(error) ?? "unknown error"})`);
  }
}

function badSource(path: string, why: string): UserError {
  return new UserError(
    "SHARE_SEED_SOURCE",
    `${printable(path)}, which should go into the boot share, ${why}.`,
    {
      hint: "Look whether the kernel package was installed completely.",
    },
  );
}
