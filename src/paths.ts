/** Every file name that bootshare uses on the host, in one place. docs/internals.md mirrors this file. */
import { basename, dirname, isAbsolute, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { workMode } from "./mode.ts";

/** The virtio-serial port on which a guest reports its boots, and the name of the share's mount tag. */
export const REPORT_PORT = "org.bootshare.report";
export const SHARE_TAG = "virtio-boot";
/** The namespace of our element in a domain's `<metadata>`. */
export const METADATA_NAMESPACE = "https://bootshare.org/xmlns/domain/1";

/** In a clone's /boot until its first boot has taken it: what the clone is called and known by, with secret keys. */
export const IDENTITY_FILE = "bootshare-identity.tar";

/** In a guest: the first process where a 64-bit kernel runs 32-bit programs. */
export const INIT32 = "/usr/lib/bootshare/init32";

/** Names below a state root (mode.ts). Only root, or in session mode the user, writes there. */
export function statePaths(root: string = workMode().stateRoot) {
  return {
    root,
    /** One folder per guest, named by the UUID of its domain. */
    guests: join(root, "guests"),
    /** The hook drops an empty file named by the UUID here at *release*; the reconciler takes it away. */
    released: join(root, "released"),
    /** Root disks and logs of a `create` that is under way. */
    work: join(root, "work"),
    /** Disks that other disks stand on, never written again. */
    bases: join(root, "bases"),
    /** Held (flock) while a disk becomes a base, is stood upon, or bases are removed. */
    basesLock: join(root, "bases.lock"),
    /** Held (flock) by an adoption, or the undoing of one: libvirt's hooks are everybody's. */
    adoptLock: join(root, "adopt.lock"),
    /** Results of accelerator trials. */
    trials: join(root, "trials.json"),
    /** Held (flock) by the running service. */
    serviceLock: join(root, "service.lock"),
    /** The roll-out that is under way, or the last one. */
    upgrade: join(root, "upgrade.json"),
    /** Held (flock) by the process that carries it out. */
    upgradeLock: join(root, "upgrade.lock"),
    /** Output of a service that bootshare started by itself, on machines without systemd. */
    serviceLog: join(root, "service.log"),
    /** Held (flock) while ports for a guest's workers are chosen and written down. */
    workerPorts: join(root, "worker-ports.lock"),
    /** Packages that builds have fetched, named by their address. */
    packageCache: join(root, "packages"),
    /** What the hook did, a line each, bounded. */
    hookLog: join(root, "hook.log"),
  } as const;
}
export type StatePaths = ReturnType<typeof statePaths>;

/** Held (flock, shared) by each command that builds in clones of the builder of this name. Beside the state of all guests. */
export function builderUseLock(name: string, root: string = workMode().stateRoot): string {
  return join(root, `${name}.use`);
}

/** Of a guest's folder, and of the work folder of one that is being made. */
export const WORKER_FILE = "worker.json";

/** Names below one guest's folder. */
export function guestPaths(dir: string) {
  return {
    dir,
    /** The guest's /boot. The guest writes here: nothing in it is trusted. */
    share: join(dir, "share"),
    /** The file system that is mounted there; absent where the share has no limit. */
    shareImage: join(dir, "share.ext4"),
    /** What the domain names as kernel and initrd. Fresh files at every start; libvirt lends them to QEMU's user. */
    run: join(dir, "run"),
    runKernel: join(dir, "run", "vmlinuz"),
    runInitrd: join(dir, "run", "initrd.img"),
    /** Root-only copies of kernel and initrd, a folder for each pair, named by the pair's id. In no domain's XML. */
    pairs: join(dir, "pairs"),
    /** What was found in initrds that were looked into, so that the same bytes are not looked into again. */
    initrds: join(dir, "initrds.json"),
    /** What the guest said of this boot attempt: the file behind the report port. */
    report: join(dir, "report"),
    /** The reports of earlier attempts, numbered from 1, newest first. */
    oldReport: (n: number) => join(dir, `report.${n}`),
    /** Boot attempts, a line per event, append only. */
    boots: join(dir, "boots.jsonl"),
    /** The older half of the events, when boots.jsonl had grown long. */
    oldBoots: join(dir, "boots.1.jsonl"),
    /** What a person wants of this guest: pin, tries. */
    policy: join(dir, "policy.json"),
    /** Left by the hook's *restore* phase for the *prepare* that follows at once. */
    restoring: join(dir, "restoring"),
    disk: join(dir, "disk.qcow2"),
    /**
     * Held (flock) by the process that the guest is there for; says which guest it was made from. When nobody holds it any more,
     * the guest is deleted. A guest that stays has it only while it is made.
     */
    ephemeral: join(dir, "ephemeral"),
    serialLog: join(dir, "serial.log"),
    /** The end of the serial log of each of the last attempts that were not good, by the attempt's id. */
    badLogs: join(dir, "bad"),
    badLog: (attempt: string) => join(dir, "bad", `${attempt}.log`),
    ssh: join(dir, "ssh"),
    sshKey: join(dir, "ssh", "id_ed25519"),
    knownHosts: join(dir, "ssh", "known_hosts"),
    /** What create did, kept for `logs --create`. */
    createLog: join(dir, "create.log"),
    /** What it works for, where it is a worker. */
    worker: join(dir, WORKER_FILE),
    /** Held (flock) while a worker is told that it is drained, or back at work. */
    drainLock: join(dir, "drain.lock"),
    /** Of a builder alone: since when no builds begin in clones of it (ISO 8601), and "upgrade" where a roll-out wants it. */
    drained: join(dir, "drained"),
    /** Of a guest that others are to be made from: since when it is being made (ISO 8601); until it is whole, and off. */
    unfinished: join(dir, "unfinished"),
    /** Of a builder alone: the mirrors that it was made with, and its chroot has. */
    builderMirrors: join(dir, "mirrors.json"),
    /** What apt printed in the guest's last upgrade. Not trusted. */
    upgradeLog: join(dir, "upgrade.log"),
    /** Of a guest that bootshare did not install itself: of which image it is a copy, or what installed it. */
    imported: join(dir, "imported.json"),
    /** Of an adopted guest alone: what it was before. */
    adopted: join(dir, "adopted"),
    /** The domain's XML as libvirt printed it, with passwords. */
    adoptedXml: join(dir, "adopted", "domain.xml"),
    adoption: join(dir, "adopted", "adoption.json"),
    /** Held (flock) while a person's command or the reconciler changes the guest. */
    lock: join(dir, "lock"),
  } as const;
}
export type GuestPaths = ReturnType<typeof guestPaths>;

/** The paths of the guest whose domain has this UUID. */
export function guestPathsOf(uuid: string, root: string = workMode().stateRoot): GuestPaths {
  if (!UUID_PATTERN.test(uuid)) throw new Error(`not a UUID: ${JSON.stringify(uuid)}`);
  return guestPaths(join(root, "guests", uuid));
}

/** The folder of a guest that is being adopted, until it is whole. */
export function adoptingPathsOf(uuid: string): GuestPaths {
  const { dir } = guestPathsOf(uuid);
  return guestPaths(join(dirname(dir), `.adopting-${basename(dir)}`));
}

/**
 * The state root that a guest's domain lies below, as the path of its kernel tells: ROOT/guests/UUID/run/vmlinuz.
 *
 * @param kernel from the domain's XML, so only to be believed where its author may do all that bootshare may
 * @returns undefined for a path of another form
 */
export function stateRootIn(kernel: string, uuid: string): string | undefined {
  const end = guestPathsOf(uuid, "/").runKernel;
  if (!isAbsolute(kernel) || normalize(kernel) !== kernel || !kernel.endsWith(end)) return undefined;
  return kernel.slice(0, -end.length) || undefined;
}

/** Canonical lower-case UUID text, as libvirt prints it. */
export const UUID_PATTERN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** libvirt's folder for hooks that live beside others' (libvirt >= 6.5). */
export const HOOK_FILE = "/etc/libvirt/hooks/qemu.d/bootshare";
/** The one hook for QEMU of an administrator's own, and where one that bootshare replaces is kept: libvirt runs nothing of that name. */
export const OTHERS_HOOK = "/etc/libvirt/hooks/qemu";
export const OTHERS_HOOK_KEPT = "/etc/libvirt/hooks/qemu.before-bootshare";
/** The hook's program, a real file that only root writes, apart from any checkout. */
export const HOOK_PROGRAM_DIR = "/usr/local/lib/bootshare";
export const HOOK_PROGRAM = join(HOOK_PROGRAM_DIR, "hook.mjs");

/** A file that is shipped beside the program: dist/NAME when built, the sources otherwise. */
export function shippedFile(name: string): string {
  const here = fileURLToPath(new URL(".", import.meta.url));
  return here.endsWith("/src/") ? join(here, "..", name) : join(here, name);
}

/** Where libvirt keeps what QEMU printed, by the domain's name. */
export function qemuLog(domainName: string): string {
  return join(workMode().qemuLogDir, `${domainName}.log`);
}
