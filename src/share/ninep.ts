/** 9p in QEMU's mapped mode: QEMU itself serves the folder, as its own user, and keeps the guest's view in xattrs. */
import { closeSync, fsyncSync, writeSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { UserError } from "../errors.ts";
import { SHARE_TAG } from "../paths.ts";
import { runOk } from "../process.ts";
import { withFolder } from "./open.ts";
import { checkedName, createFile } from "./place.ts";
import { type GuestView, type Owner, S_IFLNK, type ShareTransport } from "./transport.ts";

/**
 * In mapped mode (`accessmode='mapped'` in domain XML, `security_model=mapped-xattr` in QEMU) every file on the host is a
 * plain one of QEMU's user. What the guest sees of owner, mode and kind is in the extended attributes user.virtfs.uid,
 * .gid and .mode, little-endian numbers of 32 bits (QEMU, hw/9pfs/9p-local.c, local_set_xattr and local_lstat). A link is
 * a plain file with its target as content, without a newline, and S_IFLNK in the mode (local_symlink). Mode *none* would
 * not do: dpkg fails on it (Debian bug 864718).
 *
 * The fstab line:
 * - `version=9p2000.L`: the only dialect with Linux's links and modes. The kernel's default, but not on every old one.
 * - `msize=131072`: bytes per message. Kernels before 5.15 use 8 KiB otherwise, and QEMU warns of that; newer ones use
 *   this very number. More is hardly faster for a few files, and each message takes that much memory in one piece, which a
 *   small guest may not have after some weeks.
 * - no `cache=`: the default, none, so what the guest wrote is on the host at once, where the hook reads it.
 * - `x-systemd.automount`: mounted at first use. If that mount fails, using /boot fails; without it the folder below
 *   would be used, and apt would install a kernel onto the root disk, where the host never sees it.
 * - `x-systemd.idle-timeout=1min`: QEMU can save a guest (and migrate one) only while no 9p share is mounted in it; so
 *   /boot is unmounted when nobody has used it for a while, and mounted again by whoever does.
 * - `nofail`: only *wanted* by local-fs.target. A guest without its share then comes up, can be logged in to, and reports
 *   itself as not good; otherwise it would stop in an emergency shell that asks for a password on the console.
 * - no `x-systemd.device-timeout` or `_netdev`: the tag is no device node that systemd could wait for, and virtio is no
 *   network. systemd's own limit for a mount (90 s) holds.
 * - `0 0`: nothing to dump, nothing for fsck to check.
 */
export const ninep: ShareTransport = {
  name: "9p",
  fstabLine: `${SHARE_TAG} /boot 9p trans=virtio,version=9p2000.L,msize=131072,x-systemd.automount,x-systemd.idle-timeout=1min,nofail 0 0`,
  initramfsModules: ["9p", "9pnet_virtio"],
  kernelConfig: ["CONFIG_NET_9P", "CONFIG_NET_9P_VIRTIO", "CONFIG_9P_FS"],
  // Nobody but QEMU's user has business there; QEMU makes its own files 0600 and folders 0700 as well.
  dirMode: 0o700,
  owner: (qemu: Owner): Owner => qemu,
  hostMode: () => 0o600,
  present: setVirtfsAttributes,
  async storeLink(dir: string, name: string, target: string): Promise<void> {
    const link = checkedName(name, "name of a link");
    const text = checkedName(target, "text of a link");
    withFolder(dir, (folder) => {
      const fd = createFile(folder, link, 0o600);
      try {
        writeSync(fd, text);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    });
    await setVirtfsAttributes(dir, [{ name: link, mode: S_IFLNK | 0o777 }]);
  },
};

/** Sets the attributes of many files with one setfattr(1), which reads what getfattr --dump would write. */
async function setVirtfsAttributes(dir: string, views: readonly GuestView[]): Promise<void> {
  if (!isAbsolute(dir)) throw new Error(`not an absolute path: ${dir}`);
  if (views.length === 0) return;
  const dump = views.map((view) => {
    const path = view.name === "." ? dir : join(dir, checkedName(view.name, "name of a file"));
    const values = { uid: 0, gid: 0, mode: view.mode };
    const lines = Object.entries(values).map(([key, value]) => `user.virtfs.${key}=${littleEndian(value)}`);
    return `# file: ${quoted(path)}\n${lines.join("\n")}\n\n`;
  });
  try {
    // --no-dereference: a link in the place of a file is an error, not a way out of the folder.
    await runOk("setfattr", ["--no-dereference", "--restore=-"], { input: dump.join(""), timeoutMs: 30_000 });
  } catch (error) {
    if (!(error instanceof UserError) || !/not supported/i.test(error.detail ?? "")) throw error;
    throw new UserError(
      "SHARE_NO_XATTRS",
      `The file system of ${dir} does not keep extended attributes of users.`,
      {
        hint: "A share by 9p needs them: put bootshare's folder on ext4, xfs or btrfs, or share by virtiofs.",
        cause: error,
      },
    );
  }
}

/** 32 bits, as setfattr takes bytes. */
function littleEndian(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return `0x${bytes.toString("hex")}`;
}

/** A path as setfattr reads it back: a backslash and three octal digits for every byte that is not plain. */
function quoted(path: string): string {
  return [...Buffer.from(path)]
    .map((byte) => {
      const char = String.fromCharCode(byte);
      return /[A-Za-z0-9/._+-]/.test(char) ? char : `\\${byte.toString(8).padStart(3, "0")}`;
    })
    .join("");
}
