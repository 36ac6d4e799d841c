/** libvirt and what belongs to it on this machine. */
import { UserError } from "../errors.ts";
import type { Copy } from "../guest/inventory.ts";
import { printable } from "../text.ts";
import { phrase } from "./examine.ts";
import type { Probe } from "./probe.ts";
import { type Finding, met, type Requirement, unknown, unmet } from "./requirement.ts";
import { isOlder, type Version, versionOf } from "./versions.ts";

/** The first libvirt that calls hooks in qemu.d, and the oldest that bootshare was tried with (docs/requirements.md). */
const QEMU_D: Version = [6, 5];
const TRIED: Version = [9, 0];
const VIRTLOGD_SOCKET = "/run/libvirt/virtlogd-sock";

export function libvirtRequirements(probe: Probe): Requirement[] {
  const both: Requirement[] = [
    { id: "libvirt", title: "libvirt", need: "required", check: async () => await checkLibvirt(probe) },
    // It writes the guests' serial logs; a domain with such a log does not start without it.
    { id: "virtlogd", title: "virtlogd", need: "required", check: async () => checkVirtlogd(probe) },
  ];
  const copies: Requirement = {
    id: "copies",
    title: "copies of guests",
    need: "recommended",
    check: async () => await checkCopies(probe),
  };
  if (probe.mode.name === "session") return [...both, copies];
  return [
    ...both,
    copies,
    {
      id: "qemu-user",
      title: "QEMU's user",
      need: "required",
      check: async () => await checkQemuUser(probe),
    },
  ];
}

async function checkLibvirt(probe: Probe): Promise<Finding> {
  if (probe.find("virsh") === undefined)
    return unmet("virsh is not installed", "apt-get install libvirt-clients");
  let text: string;
  try {
    text = await probe.virshVersion();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return trouble(error, probe);
  }
  const daemon = await probe.daemon();
  const process = daemon === undefined ? "" : `, ${daemon.name} (process ${daemon.pid})`;
  const version = /^Running against daemon: (\d+)\.(\d+)\S*$/m.exec(text);
  if (version === null) return met(`it answers, and does not tell its version${process}`);
  const found = `${version[0].replace(/^.*: /, "")}${process}`;
  if (probe.mode.name === "system" && isOlder(versionOf(version), QEMU_D))
    return unmet(`${found}: it calls no hooks in qemu.d; ${QEMU_D.join(".")} does`);
  return met(
    isOlder(versionOf(version), TRIED)
      ? `${found}, older than any that was tried (${TRIED.join(".")})`
      : found,
  );
}

function trouble(error: UserError, probe: Probe): Finding {
  if (error.code === "LIBVIRT_UNREACHABLE") {
    return unmet("its daemon cannot be reached", startCommand(probe));
  }
  const detail = error.detail ?? "";
  // virsh asks for the version of QEMU too; that there is none says another requirement.
  if (/suitable emulator|hypervisor version/.test(detail)) return met("it answers, and finds no QEMU");
  const said = detail.split("\n")[0]?.replace(/^error: /, "") ?? "";
  return unmet(printable(said === "" ? phrase(error.message) : said));
}

async function checkQemuUser(probe: Probe): Promise<Finding> {
  try {
    const { uid, gid } = await probe.qemuUser();
    return met(`libvirt-qemu (${uid}), group ${gid}`);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return unmet("there is no user libvirt-qemu", "apt-get install libvirt-daemon-system");
  }
}

/** virt-clone copies a guest's disk and definition, and with them the path of its /boot. */
async function checkCopies(probe: Probe): Promise<Finding> {
  let copies: readonly Copy[];
  try {
    copies = await probe.copies();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return unknown("libvirt does not tell its domains");
  }
  const [first] = copies;
  if (first === undefined) return met("none");
  const names = copies.map(({ name }) => printable(name)).join(", ");
  return unmet(
    `${names}: made by virt-clone, and not started by the hook`,
    `bootshare adopt ${printable(first.name)}`,
  );
}

function startCommand(probe: Probe): string {
  const daemon = ["libvirtd", "virtqemud"].find((name) => probe.find(name) !== undefined);
  if (daemon === undefined) return "apt-get install libvirt-daemon-system";
  // virsh starts it where it can; where it cannot, the daemon says why.
  if (probe.mode.name === "session") return `${daemon} --timeout=120 --verbose`;
  return probe.systemd ? `systemctl start ${daemon}` : `virtlogd -d; ${daemon} -d`;
}

function checkVirtlogd(probe: Probe): Finding {
  if (probe.mode.name === "session" && probe.find("virtlogd") !== undefined)
    return met("libvirt starts it when it is needed");
  const pid = Number(probe.read("/run/virtlogd.pid")?.trim());
  if (pid > 0 && probe.read(`/proc/${pid}/comm`)?.trim() === "virtlogd") return met(`process ${pid}`);
  if (probe.systemd && !("errno" in probe.stat(VIRTLOGD_SOCKET))) return met("systemd starts it when asked");
  if (probe.find("virtlogd") === undefined)
    return unmet("it is not installed", "apt-get install libvirt-daemon-system");
  return unmet("it does not run", probe.systemd ? "systemctl start virtlogd.socket" : "virtlogd -d");
}
