/** virtiofs: the daemon virtiofsd serves the folder, and the guest's owners, modes and links are real on the host. */
import { SHARE_TAG } from "../paths.ts";
import { withFolder } from "./open.ts";
import { checkedName, createSymlink } from "./place.ts";
import type { Owner, ShareTransport } from "./transport.ts";

/**
 * virtiofsd (in libvirt's system mode) runs as root and keeps the guest's user numbers, so what the guest's root makes
 * is the host's root's: links are real links, and a set-uid file is a set-uid file of the host's root. That is why the
 * folder *above* the share is closed to everybody else. In session mode virtiofsd shows the files of its own user as the
 * guest root's; nothing can be given to another user there, and nothing has to be.
 *
 * The fstab line: `x-systemd.automount,nofail` and `0 0` for the reasons that ninep.ts gives. No other option is needed:
 * the guest's kernel writes through, so the host sees at once what the guest wrote.
 */
export const virtiofs: ShareTransport = {
  name: "virtiofs",
  fstabLine: `${SHARE_TAG} /boot virtiofs x-systemd.automount,nofail 0 0`,
  initramfsModules: ["virtiofs"],
  kernelConfig: ["CONFIG_FUSE_FS", "CONFIG_VIRTIO_FS"],
  // What the guest sees as the mode of its /boot.
  dirMode: 0o755,
  owner: (_qemu: Owner): Owner => ({ uid: 0, gid: 0 }),
  hostMode: (guestMode: number): number => guestMode & 0o7777,
  async present(): Promise<void> {},
  async storeLink(dir: string, name: string, target: string): Promise<void> {
    const link = checkedName(name, "name of a link");
    const text = checkedName(target, "text of a link");
    withFolder(dir, (folder) => createSymlink(folder, link, text));
  },
};
