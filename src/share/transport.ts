/** What a way of sharing /boot with a guest has to say of itself. Each way is one file and one object. */

/** A user and group of the host, by number. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** What the guest is to see of something in its /boot. It always sees root as the owner. */
export interface GuestView {
  /** File name in the folder, or "." for the folder itself. */
  readonly name: string;
  /** Kind and permissions as in stat(2): S_IFREG | 0o644. */
  readonly mode: number;
}

/** The ways of sharing, as libvirt, QEMU and a guest's metadata name them. */
export type Transport = "9p" | "virtiofs";

export interface ShareTransport {
  readonly name: Transport;
  /** The line of the guest's /etc/fstab, without a newline. Each object explains its options. */
  readonly fstabLine: string;
  /** Modules that the guest's initramfs and system need for it where they are not built in. */
  readonly initramfsModules: readonly string[];
  /** What the guest's kernel must have, `=y` or `=m`, as in its /boot/config-RELEASE. (systemd needs autofs anyway.) */
  readonly kernelConfig: readonly string[];
  /** The folder's mode on the host. Above it the guest's own folder is closed to all but root and QEMU's group. */
  readonly dirMode: number;
  /**
   * Who must own folder and files on the host, so that the guest can use them as its root.
   *
   * @param qemu the user as whom QEMU runs: libvirt's in system mode, oneself in session mode
   */
  owner(qemu: Owner): Owner;
  /** The permissions (07777) on the host of a regular file that the guest is to see with these permissions. */
  hostMode(guestMode: number): number;
  /**
   * Makes the guest see files as root's and with the given modes, where owner and mode on the host do not do that already.
   *
   * @param dir absolute path, trusted
   * @throws {UserError} `SHARE_NO_XATTRS` or what `runOk` throws
   */
  present(dir: string, views: readonly GuestView[]): Promise<void>;
  /**
   * Makes a symbolic link as the guest will see it, in place of what has that name. It belongs to the folder's owner.
   * For a guest that is not running.
   *
   * @param dir absolute path, trusted
   * @param name one file name
   * @param target one file name in the same folder
   * @throws {UserError} `SHARE_BAD_NAME`, and what {@link present} throws
   */
  storeLink(dir: string, name: string, target: string): Promise<void>;
}

export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFDIR = 0o040000;
