/**
 * For whom bootshare works. Root works for the machine: libvirt's system daemon, one set of guests for everybody. An
 * ordinary user works for themselves: a libvirt daemon, guests and folders of their own, and no rights of root's anywhere.
 */
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

export interface WorkMode {
  readonly name: "system" | "session";
  /** libvirt's address. `qemu:///session` starts the user's daemon when there is none. */
  readonly uri: string;
  /** The folder of everything that bootshare keeps. */
  readonly stateRoot: string;
  /** Permissions of that folder and of those between it and a guest's: QEMU's user, where it is another, passes through. */
  readonly folderMode: number;
  /** Where libvirt's daemons keep their pid files and sockets. */
  readonly daemonDir: string;
  /** Where libvirt keeps what QEMU printed. */
  readonly qemuLogDir: string;
  /** The systemd unit that `bootshare service install` writes. */
  readonly serviceUnit: string;
}

const SYSTEM: WorkMode = {
  name: "system",
  uri: "qemu:///system",
  stateRoot: "/var/lib/bootshare",
  folderMode: 0o711,
  daemonDir: "/run",
  qemuLogDir: "/var/log/libvirt/qemu",
  serviceUnit: "/etc/systemd/system/bootshare.service",
};

/**
 * The mode of a user.
 *
 * The user's folders follow the XDG Base Directory Specification, which has a relative value ignored. libvirt's are where
 * virGetUserCacheDirectory and virGetUserRuntimeDirectory (src/util/virutil.c) say: without XDG_RUNTIME_DIR, which a login
 * by `su` does not set, GLib takes the cache folder.
 *
 * @param uid real user number: the effective one is the share's owner for moments (share/as-owner.ts)
 * @param home absolute path of the user's home
 */
export function modeOf(
  uid: number | undefined,
  env: Readonly<Record<string, string | undefined>>,
  home: string,
): WorkMode {
  if (uid === 0) return SYSTEM;
  const folder = (variable: string): string | undefined => {
    const value = env[variable];
    return value !== undefined && isAbsolute(value) ? value : undefined;
  };
  const cache = folder("XDG_CACHE_HOME") ?? join(home, ".cache");
  return {
    name: "session",
    uri: "qemu:///session",
    stateRoot: join(folder("XDG_STATE_HOME") ?? join(home, ".local/state"), "bootshare"),
    folderMode: 0o700,
    daemonDir: join(folder("XDG_RUNTIME_DIR") ?? cache, "libvirt"),
    qemuLogDir: join(cache, "libvirt/qemu/log"),
    serviceUnit: join(folder("XDG_CONFIG_HOME") ?? join(home, ".config"), "systemd/user/bootshare.service"),
  };
}

/** The mode of this process. */
export function workMode(): WorkMode {
  return modeOf(process.getuid?.(), process.env, homedir());
}
