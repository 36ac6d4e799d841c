/** The systemd unit of the service. */

/**
 * Returns the text of the unit. `Restart=always` is all that crash safety needs: the service keeps nothing in memory.
 *
 * @param node absolute path of the Node.js program
 * @param program absolute path of bootshare
 */
export function serviceUnit(node: string, program: string): string {
  return `[Unit]
Description=bootshare: starts guests again when they reboot
Documentation=man:bootshare(1)
# Whichever daemon libvirt has here: the monolithic one (Debian's default) or that of QEMU alone.
After=libvirtd.service virtqemud.service libvirt-guests.service network.target
Wants=libvirtd.service

[Service]
ExecStart=${quote(node)} ${quote(program)} service
Restart=always
RestartSec=2
# Guests are libvirt's processes, not ours; ending the service ends none of them.
KillMode=process
UMask=0077
NoNewPrivileges=yes
ProtectHome=read-only
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
`;
}

/** Quotes a path for ExecStart= (systemd.service(5)): quotes, backslashes, and systemd's own `%` and `$`. */
function quote(path: string): string {
  return `"${path.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%").replaceAll("$", "$$$$")}"`;
}
