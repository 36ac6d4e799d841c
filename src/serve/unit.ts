/** The systemd units: of the service, and of scheduled upgrades. */
import { dirname } from "node:path";
import type { WorkMode } from "../mode.ts";

/**
 * Returns the text of the unit. `Restart=always` is all that crash safety needs: the service keeps nothing in memory.
 *
 * @param node absolute path of the Node.js program
 * @param program absolute path of bootshare
 * @param mode root's service is a unit of the machine, a user's one of their own service manager, which can tell it neither
 *   of libvirt (virsh starts that) nor of folders: it does not have the environment of a shell
 */
export function serviceUnit(
  node: string,
  program: string,
  { name, stateRoot }: Pick<WorkMode, "name" | "stateRoot">,
): string {
  if (name === "session") {
    return `[Unit]
Description=bootshare: starts guests again when they reboot
Documentation=man:bootshare(1)

[Service]
ExecStart=${execWord(node)} ${execWord(program)} service
Environment=${quote(`XDG_STATE_HOME=${dirname(stateRoot)}`)}
Restart=always
RestartSec=2
# Guests and libvirt's daemon, which virsh may have started from here, are not ours to end.
KillMode=process
UMask=0077

[Install]
WantedBy=default.target
`;
  }
  return `[Unit]
Description=bootshare: starts guests again when they reboot
Documentation=man:bootshare(1)
# Whichever daemon libvirt has here: the monolithic one (Debian's default) or that of QEMU alone.
After=libvirtd.service virtqemud.service libvirt-guests.service network.target
Wants=libvirtd.service

[Service]
ExecStart=${execWord(node)} ${execWord(program)} service
Restart=always
RestartSec=2
# Guests are libvirt's processes, not ours; ending the service ends none of them.
KillMode=process
UMask=0077
NoNewPrivileges=yes
# No mount namespace of its own (PrivateTmp=, ProtectHome=, …): the host must see the shares that it mounts.

[Install]
WantedBy=multi-user.target
`;
}

/** Names of the units of scheduled upgrades. */
export const UPGRADE_UNITS = ["bootshare-upgrade.service", "bootshare-upgrade.timer"] as const;

/**
 * Returns the text of what the timer runs: one roll-out over all guests that run. It is off until somebody enables the timer.
 * What stopped it is its exit code and in the journal; one that was interrupted goes on at the next time.
 *
 * @param node @param program @param mode as for {@link serviceUnit}
 */
export function upgradeUnit(
  node: string,
  program: string,
  { name, stateRoot }: Pick<WorkMode, "name" | "stateRoot">,
): string {
  const environment =
    name === "session" ? `Environment=${quote(`XDG_STATE_HOME=${dirname(stateRoot)}`)}\n` : "";
  return `[Unit]
Description=bootshare: upgrades all guests, one after the other
Documentation=man:bootshare(1)
After=bootshare.service network-online.target
Wants=network-online.target

[Service]
Type=oneshot
ExecStart=${execWord(node)} ${execWord(program)} upgrade --all --drain --rolling 1
${environment}# A drain waits for builds.
TimeoutStartSec=infinity
# The first signal ends the waiting and writes down how far it came.
KillMode=mixed
UMask=0077
`;
}

/** Returns the text of the timer: once a week, in the night, on each machine at another minute. */
export function upgradeTimer(): string {
  return `[Unit]
Description=bootshare: upgrades all guests once a week
Documentation=man:bootshare(1)

[Timer]
OnCalendar=Sun *-*-* 02:00:00
RandomizedDelaySec=2h
Persistent=true

[Install]
WantedBy=timers.target
`;
}

/** Quotes a path for ExecStart= (systemd.service(5)), where variables are put in as well. */
function execWord(path: string): string {
  return quote(path).replaceAll("$", "$$$$");
}

/** Quotes text for a setting (systemd.syntax(7)): quotes, backslashes, and systemd's own `%`. */
function quote(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%")}"`;
}
