/**
 * Makes a guest of a domain that somebody else made, and keeps what it was. First a folder is made whole under another name,
 * then it gets its own, then the domain is changed: whoever is killed in between leaves either a domain as it was, with a
 * folder that the next run takes away, or one that is adopted.
 */
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { appendEvents } from "../../boot/log.ts";
import { EXIT, UserError } from "../../errors.ts";
import { makeGuestFolders, makeStateFolder } from "../../folders.ts";
import { isHookAside, putHookAside } from "../../libvirt/others-hook.ts";
import { defineDomain, domainStatuses } from "../../libvirt/virsh.ts";
import { adoptingPathsOf, type GuestPaths, guestPathsOf, statePaths } from "../../paths.ts";
import { runOk } from "../../process.ts";
import { copyShare } from "../../share/copy.ts";
import { ownShareFolder } from "../../share/seed.ts";
import { TRANSPORTS } from "../../share/transports.ts";
import { printable } from "../../text.ts";
import { deleteFolder, removeFolder } from "../delete.ts";
import { qemuUser } from "../qemu-user.ts";
import { type AdoptionPlan, bootable, linkInShare, planHook, type Subject } from "./plan.ts";
import { type AdoptionRecord, readAdoption, writeAdoption } from "./record.ts";

/** Called with what is done next: what a person sees of the progress. */
export type Step = (title: string) => void;

/**
 * Carries a plan out. The caller holds the lock of adoptions.
 *
 * @throws {UserError} `ADOPT_STARTED_MEANWHILE`, `NOTHING_BOOTABLE`, `HOOK_KEPT_TAKEN`, those of copyShare and libvirt
 */
export async function adopt(plan: AdoptionPlan, keepHook: boolean, step: Step): Promise<void> {
  const { subject, changedXml } = plan;
  const { uuid, xml, paths } = subject;
  step("clear away what an adoption that was cut short left");
  for (const folder of [statePaths().root, statePaths().guests]) makeStateFolder(folder);
  const fresh = adoptingPathsOf(uuid);
  await removeFolder(fresh.dir);
  if (subject.standing.kind === "leftover") await deleteFolder(uuid);
  await fill(plan, fresh, step);
  step("give the folder its name");
  renameSync(fresh.dir, paths.dir);
  step("change the domain");
  await requireOff(subject);
  await defineDomain(changedXml);
  if (!(await isOff(uuid))) {
    // What runs was started before the change, with the old /boot.
    await defineDomain(xml);
    throw startedMeanwhile(subject);
  }
  await finishAdoption(subject, keepHook, step);
}

/** What is left to do once the domain is changed; done already, it does nothing. */
export async function finishAdoption(subject: Subject, keepHook: boolean, step: Step): Promise<void> {
  const { paths, domain } = subject;
  step("write down that it is adopted");
  const record = readAdoption(paths);
  if (record === undefined) throw new Error("an adopted guest has no record");
  if (record.phase !== "adopted") writeAdoption(paths, { ...record, phase: "adopted" });
  if (keepHook) return;
  const hook = await planHook(domain);
  if (hook === undefined || hook.others.length > 0) return;
  step("put the old hook aside");
  putHookAside();
}

/** Makes the guest's folder, whole. */
async function fill(plan: AdoptionPlan, fresh: GuestPaths, step: Step): Promise<void> {
  const { subject, share, transport, copyOf } = plan;
  step("make the guest's folder");
  const qemu = await qemuUser();
  mkdirSync(fresh.dir, { mode: 0o700 });
  makeGuestFolders(fresh, qemu.gid);
  step("copy its /boot");
  await copyShare(share.from, fresh.share);
  const names = readdirSync(share.from);
  if (transport === "9p") dropHostLinks(plan, fresh);
  ownShareFolder(TRANSPORTS[transport], fresh.share, qemu);
  bootable(subject.name, fresh.share, plan.changedXml);
  step("make its keys");
  await makeKeys(subject, fresh, copyOf);
  step("keep what it was");
  appendEvents(fresh, [{ e: "adopted" }, { e: "desired", state: "off", why: "it was adopted just now" }]);
  const record: AdoptionRecord = {
    schema: 1,
    name: subject.name,
    since: new Date().toISOString(),
    phase: "copied",
    share: share.from,
    names,
    ...(copyOf === undefined ? {} : { copyOf }),
    hook: plan.hook !== undefined || isHookAside(),
  };
  writeAdoption(fresh, record, subject.xml);
}

/** In mapped mode the guest makes no real links: these are the host's, through which the domain was booted. */
function dropHostLinks({ subject, share }: AdoptionPlan, fresh: GuestPaths): void {
  for (const path of [subject.domain.kernel, subject.domain.initrd]) {
    const name = linkInShare(path, share.from);
    if (name === undefined) continue;
    const copy = join(fresh.share, name);
    if (lstatSync(copy, { throwIfNoEntry: false })?.isSymbolicLink() === true) rmSync(copy);
  }
}

/** A copy of a guest lets the same key in, since its disk is a copy. */
async function makeKeys({ uuid, name }: Subject, fresh: GuestPaths, copyOf?: string): Promise<void> {
  if (copyOf !== undefined) {
    const { sshKey, knownHosts } = guestPathsOf(copyOf);
    if (existsSync(sshKey) && existsSync(knownHosts)) {
      await copyFile(sshKey, fresh.sshKey);
      const hosts = (await readFile(knownHosts, "utf8")).replaceAll(copyOf, uuid);
      await writeFile(fresh.knownHosts, hosts, { mode: 0o600 });
      return;
    }
  }
  const comment = `bootshare ${printable(name)}`;
  await runOk("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", fresh.sshKey]);
  await writeFile(fresh.knownHosts, "", { mode: 0o600 });
}

async function isOff(uuid: string): Promise<boolean> {
  return (await domainStatuses()).find((one) => one.uuid === uuid)?.state === "shut off";
}

async function requireOff(subject: Subject): Promise<void> {
  if (!(await isOff(subject.uuid))) throw startedMeanwhile(subject);
}

function startedMeanwhile({ name }: Subject): UserError {
  return new UserError(
    "ADOPT_STARTED_MEANWHILE",
    `The domain ${printable(name)} was started while its /boot was copied; it was left as it was.`,
    { exitCode: EXIT.conflict, hint: "Shut it down, and try again." },
  );
}
