/**
 * Gives an adopted domain back as it was: its XML whole, its /boot in its old folder as the guest has it now, the old hook.
 * While the domain is ours, /boot is copied back as often as it takes; once it is not, only clearing away is left.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { isOfShare } from "../../boot/select.ts";
import { EXIT, UserError } from "../../errors.ts";
import { parseDomain } from "../../libvirt/domain-parse.ts";
import { bringHookBack, isHookAside } from "../../libvirt/others-hook.ts";
import { defineDomain, dumpXml } from "../../libvirt/virsh.ts";
import {
  adoptingPathsOf,
  type GuestPaths,
  guestPathsOf,
  OTHERS_HOOK,
  OTHERS_HOOK_KEPT,
} from "../../paths.ts";
import { removeTree } from "../../provision/bootstrap.ts";
import { copyNames } from "../../share/copy.ts";
import { withFolder } from "../../share/open.ts";
import { checkedName, createSymlink } from "../../share/place.ts";
import { printable } from "../../text.ts";
import { deletedFolder, deleteFolder, removeGuestFolder } from "../delete.ts";
import { findGuest, guestFolders } from "../inventory.ts";
import { LOCK_WAIT_MS, withGuestLock } from "../lock.ts";
import type { Step } from "./adopt.ts";
import { diffOf, inShare, linkInShare, rewritten, type Subject } from "./plan.ts";
import { type AdoptionRecord, readAdoption, writeAdoption } from "./record.ts";

export interface UndoPlan {
  readonly subject: Subject;
  /** Undefined where only its folder is left to be removed. */
  readonly back:
    | {
        readonly record: AdoptionRecord;
        /** The domain's XML, as libvirt printed it before it was adopted. */
        readonly xml: string;
        /** A unified diff, as in AdoptionPlan. */
        readonly diff: string;
      }
    | undefined;
  /** The old hook comes back. */
  readonly hook: boolean;
}

/** @throws {UserError} `NOT_ADOPTED`, `ADOPT_REDEFINED`, `GUEST_RUNNING`, `GUEST_SAVED`, `ADOPT_RENAMED` */
export async function planUndo(subject: Subject): Promise<UndoPlan> {
  const { standing, paths, uuid, entry } = subject;
  const name = printable(subject.name);
  const no = (code: string, sentence: string, hint: string): UserError =>
    new UserError(code, sentence, { exitCode: EXIT.conflict, hint });
  const hook = isHookAside() && !othersNeedItGone(uuid);
  switch (standing.kind) {
    case "leftover":
      return { subject, back: undefined, hook };
    case "stranger":
      if (halfFolders(uuid).some((folder) => existsSync(folder))) return { subject, back: undefined, hook };
      throw no("NOT_ADOPTED", `The domain ${name} is not adopted.`, "'bootshare list' shows all guests.");
    case "guest":
    case "folder":
      throw no(
        "NOT_ADOPTED",
        `The guest ${name} was made by bootshare, not adopted: there is nothing to put back.`,
        "'bootshare list' shows all guests.",
      );
    case "redefined":
      throw no(
        "ADOPT_REDEFINED",
        `The domain ${name} has been defined anew since it was adopted; nothing was done.`,
        `The /boot that it had as a guest is ${paths.share}, its XML from before is ${paths.adoptedXml}. Keep what you need of them, and remove ${paths.dir}.`,
      );
    case "adopted":
      break;
  }
  if (entry.state !== "shut off") {
    throw no(
      "GUEST_RUNNING",
      `The guest ${name} is ${entry.state}; nothing was changed.`,
      `Shut it down first: bootshare stop ${name}`,
    );
  }
  if (entry.saved) {
    throw no(
      "GUEST_SAVED",
      `The guest ${name} has a managed save, whose memory needs the machine as it is; nothing was changed.`,
      `Start it and stop it, or drop what was saved: virsh managedsave-remove ${name}`,
    );
  }
  const { record } = standing;
  if (record.name !== subject.name) {
    const old = printable(record.name);
    throw no(
      "ADOPT_RENAMED",
      `The guest ${name} was called ${old} when it was adopted, and libvirt puts back no domain under another name.`,
      `Rename it first: virsh domrename ${name} ${old}`,
    );
  }
  const xml = readFileSync(paths.adoptedXml, "utf8");
  const shown = await dumpXml(uuid, { inactive: true });
  const diff = await diffOf(
    [`${name}, adopted`, `${name}, as it was`],
    rewritten(shown),
    rewritten(withoutPasswords(xml)),
  );
  return { subject, back: { record, xml, diff }, hook };
}

/**
 * Whether libvirt prints the same for two domains. It sorts the controllers of what it reads, but puts those that it adds itself at
 * the end: what was defined by hand and never since is printed in another order when it is defined from its own print.
 */
export function sameDefinition(one: string, other: string): boolean {
  const sorted = (xml: string): string => xml.split("\n").sort().join("\n");
  return one === other || sorted(one) === sorted(other);
}

/** What an adoption, or the undoing of one, leaves that was killed at its beginning or its end. */
function halfFolders(uuid: string): string[] {
  return [adoptingPathsOf(uuid).dir, deletedFolder(uuid)];
}

/** virsh leaves them out of what it prints for showing. */
function withoutPasswords(xml: string): string {
  return xml.replaceAll(/ passwd='[^']*'/g, "");
}

/** Another guest is adopted that such a hook served. */
function othersNeedItGone(uuid: string): boolean {
  return guestFolders().some((other) => other !== uuid && readAdoption(guestPathsOf(other))?.hook === true);
}

/**
 * Carries it out. The caller holds the lock of adoptions.
 *
 * @returns what a person should know beside, a sentence each
 * @throws {UserError} `ADOPT_SHARE_GONE`, those of copyNames and libvirt
 */
export async function undo({ subject, back, hook }: UndoPlan, step: Step): Promise<string[]> {
  const { uuid, name, paths } = subject;
  const notes: string[] = [];
  if (back !== undefined) {
    await withGuestLock({ name, paths }, LOCK_WAIT_MS, async () => {
      const { status } = await findGuest(uuid);
      if (status.state !== "shut off") {
        throw new UserError(
          "GUEST_RUNNING",
          `The guest ${printable(name)} is ${status.state}; nothing was changed.`,
          {
            exitCode: EXIT.conflict,
            hint: `Shut it down first: bootshare stop ${printable(name)}`,
          },
        );
      }
      // The share of a guest that it is a copy of is that guest's.
      if (back.record.copyOf === undefined) notes.push(...(await giveShareBack(paths, back, step)));
      step("write down that it is given back");
      writeAdoption(paths, { ...back.record, phase: "undoing" });
      step("change the domain back");
      await defineDomain(back.xml);
      if (!sameDefinition(await dumpXml(uuid, { inactive: true, secrets: true }), back.xml))
        notes.push(
          "libvirt does not print the domain exactly as it did before; compare it with 'virsh dumpxml'.",
        );
    });
  }
  if (hook) {
    step("put the old hook back");
    if (isHookAside() && !bringHookBack())
      notes.push(`${OTHERS_HOOK} is another hook now, so the old one stays ${OTHERS_HOOK_KEPT}.`);
  }
  step("remove the guest's folder");
  if (existsSync(paths.dir)) await deleteFolder(uuid);
  for (const folder of halfFolders(uuid)) await removeGuestFolder(folder);
  return notes;
}

/**
 * Makes the old folder hold what the guest's /boot holds now. What is in it that never was the guest's stays, but for the links
 * through which the domain was booted: they name what boots now.
 */
async function giveShareBack(
  paths: GuestPaths,
  { record, xml }: { readonly record: AdoptionRecord; readonly xml: string },
  step: Step,
): Promise<string[]> {
  step("copy its /boot back");
  const old = record.share;
  const there = lstatSync(old, { throwIfNoEntry: false });
  if (there === undefined) mkdirSync(old, { recursive: true, mode: 0o700 });
  else if (!there.isDirectory()) {
    throw new UserError(
      "ADOPT_SHARE_GONE",
      `${printable(old)}, where its /boot was, is not a folder any more.`,
      {
        exitCode: EXIT.conflict,
        hint: "Move it away: the folder is made anew.",
      },
    );
  }
  const names = readdirSync(paths.share);
  const now = new Set(names);
  const links = bootLinks(xml, old);
  for (const name of readdirSync(old)) {
    const gone = record.names.includes(name) && !now.has(name) && !links.includes(name);
    if (gone || (now.has(name) && !sameKind(join(old, name), join(paths.share, name))))
      await removeTree(join(old, name));
  }
  await copyNames(paths.share, names, old);
  step("make its links anew");
  return renewLinks(old, xml);
}

function sameKind(one: string, other: string): boolean {
  return lstatSync(one).isDirectory() === lstatSync(other).isDirectory();
}

/** The names in its old folder through which a domain was booted: first the kernel's. */
function bootLinks(xml: string, share: string): (string | undefined)[] {
  const { kernel, initrd } = parseDomain(xml);
  return [linkInShare(kernel, share), linkInShare(initrd, share)];
}

function renewLinks(share: string, xml: string): string[] {
  const domain = parseDomain(xml);
  const [kernel, initrd] = bootLinks(xml, share);
  const isLink = (name: string | undefined): name is string =>
    name !== undefined && lstatSync(join(share, name), { throwIfNoEntry: false })?.isFile() !== true;
  if (isLink(kernel) && isLink(initrd)) {
    const best = inShare(share, domain).candidates.find(isOfShare);
    if (best === undefined)
      return [`Nothing in ${printable(share)} can be booted; its links stay as they were.`];
    withFolder(share, (folder) => {
      createSymlink(
        folder,
        checkedName(kernel, "name of a link"),
        checkedName(best.kernel, "text of a link"),
      );
      createSymlink(
        folder,
        checkedName(initrd, "name of a link"),
        checkedName(best.initrd, "text of a link"),
      );
    });
    return [];
  }
  if (domain.kernel === undefined || existsSync(domain.kernel)) return [];
  return [
    `The domain names ${printable(domain.kernel)} as its kernel, which is not there: put that right with 'virsh edit'.`,
  ];
}
