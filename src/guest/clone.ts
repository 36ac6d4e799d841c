/**
 * Clones: a guest whose disk is an overlay on another's, with an identity of its own. The other one has to be off while it is
 * cloned, and goes on with an overlay too (bases.ts).
 */
import { randomUUID } from "node:crypto";
import { existsSync, linkSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { appendEvents } from "../boot/log.ts";
import { changePolicy, readPolicy } from "../boot/policy.ts";
import type { BootState } from "../boot/state.ts";
import { errnoOf } from "../errors.ts";
import { makeGuestFolders } from "../folders.ts";
import { cloneDomainXml, isDiskOwned, setDiskOwned } from "../libvirt/domain-clone.ts";
import { checkMachineSize } from "../libvirt/domain-create.ts";
import { type DomainFacts, parseDomain } from "../libvirt/domain-parse.ts";
import { defineDomain, domainStatuses, dumpXml, snapshotNames, undefineDomain } from "../libvirt/virsh.ts";
import { machineShape } from "../machine/shape.ts";
import { workMode } from "../mode.ts";
import { type GuestPaths, statePaths } from "../paths.ts";
import { runOk } from "../process.ts";
import { requireFree } from "../provision/free-space.ts";
import { asGuestRoot } from "../provision/user-namespace.ts";
import { copyShareImage, mountShare } from "../share/mount.ts";
import { TRANSPORTS } from "../share/transports.ts";
import { deleteRemains, type Held, isEphemeral, makeHeldFolder, remnantSentence } from "./abandoned.ts";
import { freezeDisk, makeOverlay, ownDisk, withBases } from "./bases.ts";
import { type SourceFacts, sourceRefusal } from "./clone-source.ts";
import { requireHook } from "./create.ts";
import { deleteFolder } from "./delete.ts";
import { giveIdentity } from "./identity.ts";
import { isImported } from "./import-record.ts";
import { findGuest, type Guest, type GuestView, look } from "./inventory.ts";
import type { Tell } from "./life.ts";
import { LOCK_WAIT_MS, withGuestLock } from "./lock.ts";
import { randomMac } from "./mac.ts";
import { checkName, lockName, requireFreeName } from "./name.ts";
import { toMiB } from "./plan.ts";
import { type QemuUser, qemuUser } from "./qemu-user.ts";

export interface CloneOptions {
  readonly name: string;
  /** Bytes; that of the source where undefined. */
  readonly memoryBytes?: number | undefined;
  readonly cpus?: number | undefined;
  /** For its metadata: what it is for, a plain word. */
  readonly role?: string | undefined;
  /** Told what a person should know beside: what killed commands have left, and cannot be removed. */
  readonly tell?: Tell | undefined;
}

/** What a clone takes beside what is copied, in bytes: an empty overlay, logs, keys. */
const CLONE_BYTES = 64 * 2 ** 20;

/**
 * Makes a clone, which is off then.
 *
 * @param source name or UUID of a guest that is off
 * @throws {UserError} `GUEST_NOT_FOUND`, `SOURCE_RUNNING`, `SOURCE_SAVED`, `SOURCE_NEVER_GOOD`, `SOURCE_EPHEMERAL`,
 *   `SOURCE_WORKER`, `SOURCE_SNAPSHOTS`, `NAME_INVALID`, `NAME_TAKEN`, `NO_SPACE`, `CLONE_OTHER_DISK`, `MACHINE_TOO_LARGE`, …; nothing is left of the clone then
 */
export async function cloneGuest(source: string, options: CloneOptions): Promise<Guest> {
  const { guest, held } = await makeClone(source, options, false);
  held.keep();
  return guest;
}

/**
 * As {@link cloneGuest}, for a guest that is there for this process alone: it is deleted when the process is gone, however it
 * ends, unless it was kept.
 *
 * @param unsafe nothing on its disk need outlive the machine
 */
export async function makeClone(
  source: string,
  options: CloneOptions,
  unsafe: boolean,
): Promise<{ guest: Guest; held: Held }> {
  checkName(options.name);
  // Asking libvirt is what a clone takes longest for.
  const domains = await domainStatuses();
  const listed = await findGuest(source, domains);
  // A user's guests do without it (launch.ts).
  if (workMode().name === "system") await requireHook();
  await deleteRemains((remnant) => options.tell?.(remnantSentence(remnant)));
  const unlock = lockName(options.name);
  try {
    await requireFreeName(options.name, domains);
    return await make(listed, options, unsafe);
  } finally {
    unlock();
  }
}

async function make(
  source: Guest,
  options: CloneOptions,
  unsafe: boolean,
): Promise<{ guest: Guest; held: Held }> {
  const uuid = randomUUID();
  const mac = randomMac();
  const qemu = await qemuUser();
  let held: Held | undefined;
  let defined = false;
  try {
    const { xml, definition, state } = await withGuestLock(source, LOCK_WAIT_MS, async () => {
      const found = await requireSource(source);
      const xml = await dumpXml(source.uuid, { inactive: true, secrets: true });
      const definition = parseDomain(xml);
      checkSize(definition, options);
      requireSpace(source.paths);
      // What cannot be cloned is found before anything is made.
      cloneDomainXml(xml, specFor(source.paths, source.paths));
      held = makeHeldFolder(uuid, source.uuid);
      makeGuestFolders(held.paths, qemu.gid);
      await cloneDisk(source, xml, held.paths, qemu);
      await copyShare(source.paths, held.paths);
      copyGoodPair(source.paths, held.paths, found);
      return { xml, definition, state: found.state };
    });
    if (held === undefined || definition.transport === undefined) throw new Error("there is no share");
    const { paths } = held;
    mountShare(paths.shareImage, paths.share);
    await giveIdentity(paths, { uuid, name: options.name, mac }, TRANSPORTS[definition.transport], qemu);
    copyPolicy(source.paths, paths, state);
    appendEvents(paths, [
      ...(state.good === undefined ? [] : [{ e: "cloned", from: source.uuid, pair: state.good } as const]),
      { e: "desired", state: "off", why: "it was cloned just now" },
    ]);
    // libvirt itself refuses a name that somebody has taken meanwhile.
    await defineDomain(cloneDomainXml(xml, specFor(source.paths, paths)));
    defined = true;
    const status = { state: "shut off", reason: "unknown", saved: false, asOf: new Date() } as const;
    return { guest: { uuid, name: options.name, status, paths }, held };
  } catch (error) {
    if (defined) await undefineDomain(uuid);
    if (held !== undefined) {
      await deleteFolder(uuid);
      held.release();
    }
    throw error;
  }

  function specFor(from: GuestPaths, to: GuestPaths) {
    const { name, memoryBytes, cpus, role } = options;
    return {
      uuid,
      name,
      mac,
      from: from.dir,
      to: to.dir,
      disk: to.disk,
      memoryMiB: memoryBytes === undefined ? undefined : toMiB(memoryBytes),
      cpus,
      role,
      unsafe,
      owned: workMode().name === "system",
    };
  }
}

/** The source, which can be cloned as it is; its lock is held. */
async function requireSource(listed: Guest): Promise<GuestView> {
  const view = look(await findGuest(listed.uuid));
  const refusal = sourceRefusal(sourceFacts(view, await snapshotNames(view.uuid)));
  if (refusal !== undefined) throw refusal;
  return view;
}

/** What decides whether a guest can be cloned. @param snapshots their names, not trusted */
export function sourceFacts(
  { name, status, state, paths }: GuestView,
  snapshots: readonly string[],
): SourceFacts {
  return {
    name,
    state: status.state,
    saved: status.saved,
    ephemeral: isEphemeral(paths),
    everGood: state.good !== undefined,
    worker: existsSync(paths.worker),
    foreign: existsSync(paths.adopted) || isImported(paths),
    snapshots,
  };
}

function checkSize(definition: DomainFacts, { memoryBytes, cpus }: CloneOptions): void {
  const { accel, bus, userland, arch, highmem } = definition;
  if (accel === "other" || bus === undefined || bus === "mixed") return;
  const shape = machineShape(userland ?? arch, accel, { kernelArch: arch, layout: { bus, highmem } });
  const memoryMiB = memoryBytes === undefined ? definition.memoryMiB : toMiB(memoryBytes);
  checkMachineSize(shape, cpus ?? definition.cpus, memoryMiB);
}

function requireSpace({ shareImage }: GuestPaths): void {
  const share = existsSync(shareImage) ? statSync(shareImage).blocks * 512 : 0;
  requireFree(statePaths().root, CLONE_BYTES + share, "a clone");
}

async function cloneDisk(source: Guest, xml: string, to: GuestPaths, qemu: QemuUser): Promise<void> {
  const { disk } = source.paths;
  if (workMode().name === "system") {
    // In this order: root's disk that libvirt lends to nobody would be one that QEMU cannot open.
    ownDisk(disk, qemu);
    if (!isDiskOwned(xml, disk)) await defineDomain(setDiskOwned(xml, disk));
  }
  await withBases(async () => {
    await makeOverlay(await freezeDisk(disk, qemu), to.disk, qemu);
  });
}

/** The clone's /boot begins as that of the source is. */
async function copyShare(from: GuestPaths, to: GuestPaths): Promise<void> {
  if (existsSync(from.shareImage)) {
    await copyShareImage(from, to);
    return;
  }
  // Owners, modes, links and extended attributes, which are what the guest sees by 9p; no link is followed.
  const { file, args } = asGuestRoot("cp", ["-a", "--reflink=auto", "--", `${from.share}/.`, to.share]);
  await runOk(file, args);
}

/** The last good pair, in the clone's own store. Nothing writes to a stored pair, so both may have the same files. */
function copyGoodPair(from: GuestPaths, to: GuestPaths, { state }: GuestView): void {
  if (state.good === undefined) return;
  const stored = join(from.pairs, state.good.id);
  const mine = join(to.pairs, state.good.id);
  try {
    const names = readdirSync(stored);
    mkdirSync(mine, { mode: 0o700 });
    for (const name of names) linkSync(join(stored, name), join(mine, name));
  } catch (error) {
    // Lost by the disk: the share has the same bytes, and the first start puts them there.
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

/** What a person decided about the source's boots, as far as it makes sense without the source's other pairs. */
function copyPolicy(from: GuestPaths, to: GuestPaths, { good }: BootState): void {
  const { pin, pinPair, tries, bootTimeout } = readPolicy(from);
  changePolicy(to, { pin, tries, bootTimeout, ...(pinPair === good?.id ? { pinPair } : {}) });
}
