/** What an adoption would do, found out without changing anything. */
import { lstatSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { lookAtNext, type Next } from "../../boot/look-next.ts";
import { type Selection, select } from "../../boot/select.ts";
import { EXIT, UserError } from "../../errors.ts";
import { catalogue } from "../../kernel/catalogue.ts";
import type { DomainMachine } from "../../kernel/features.ts";
import { type AdoptionFacts, adoptionFacts, adoptXml } from "../../libvirt/domain-adopt.ts";
import { type DomainFacts, parseDomain } from "../../libvirt/domain-parse.ts";
import { edit } from "../../libvirt/domain-update.ts";
import { makesBootLinks } from "../../libvirt/others-hook.ts";
import { type DomainEntry, domainStatuses, dumpXml } from "../../libvirt/virsh.ts";
import { workMode } from "../../mode.ts";
import { type GuestPaths, guestPathsOf } from "../../paths.ts";
import { run } from "../../process.ts";
import { requireFree } from "../../provision/free-space.ts";
import { treeSize } from "../../share/copy.ts";
import { asOwner, readBootFolder } from "../../share/folder.ts";
import { mountShare } from "../../share/mount.ts";
import type { Transport } from "../../share/transport.ts";
import { printable } from "../../text.ts";
import { type Standing, standingOf } from "./record.ts";
import { sharedDisk, whyNotAdopt } from "./refusals.ts";

/** The links that a hand-made hook makes, whatever a domain names. */
const KNOWN_LINK = "virtio-vmlinuz";

/** A domain that somebody asks bootshare to take over, or to give back. */
export interface Subject {
  readonly uuid: string;
  readonly name: string;
  readonly entry: DomainEntry;
  /** As libvirt prints it, with passwords: for writing back, never for showing. */
  readonly xml: string;
  readonly domain: DomainFacts;
  readonly paths: GuestPaths;
  readonly standing: Standing;
}

/**
 * Finds a domain of libvirt's by name or UUID.
 *
 * @throws {UserError} `ADOPT_NEEDS_ROOT`, `DOMAIN_NOT_FOUND`, `DOMAIN_XML_INVALID`, `METADATA_INVALID`, `ADOPTION_UNREADABLE`
 */
export async function findSubject(nameOrUuid: string): Promise<Subject> {
  if (workMode().name !== "system") {
    throw new UserError(
      "ADOPT_NEEDS_ROOT",
      "Only root can have bootshare adopt a domain: it changes libvirt's own (qemu:///system) and their hook.",
      { exitCode: EXIT.unusable, hint: "Run it as root." },
    );
  }
  const all = await domainStatuses();
  const entry = all.find((one) => one.name === nameOrUuid) ?? all.find((one) => one.uuid === nameOrUuid);
  if (entry === undefined) {
    throw new UserError("DOMAIN_NOT_FOUND", `libvirt has no domain ${printable(nameOrUuid)}.`, {
      exitCode: EXIT.notFound,
      hint: "'virsh list --all' shows all of them.",
    });
  }
  const { uuid, name } = entry;
  const xml = await dumpXml(uuid, { inactive: true, secrets: true });
  const domain = parseDomain(xml);
  const paths = guestPathsOf(uuid);
  return { uuid, name, entry, xml, domain, paths, standing: standingOf(domain, paths) };
}

/** What becomes of an administrator's own hook. */
export interface HookPlan {
  /** Domains that it still serves, printable names: while there are any, it stays. */
  readonly others: readonly string[];
}

export interface AdoptionPlan {
  readonly subject: Subject;
  readonly changedXml: string;
  /** A unified diff of the XML, without passwords; several lines, printable. */
  readonly diff: string;
  readonly transport: Transport;
  readonly share: {
    readonly from: string;
    readonly to: string;
    readonly files: number;
    readonly bytes: number;
  };
  /** UUID of the guest that it is a copy of. */
  readonly copyOf: string | undefined;
  readonly next: Next;
  readonly hook: HookPlan | undefined;
  /** The serial console is written into a file. */
  readonly serialLog: boolean;
}

/**
 * Finds out whether a domain can be adopted, and what would be done.
 *
 * @throws {UserError} those of {@link whyNotAdopt}, {@link sharedDisk}, of the share and of its kernels, `NO_SPACE`
 */
export async function planAdoption(subject: Subject): Promise<AdoptionPlan> {
  const { domain, xml, entry, uuid, paths } = subject;
  const more = adoptionFacts(xml);
  const { state, saved } = entry;
  const refusal = whyNotAdopt({ domain, more, state, saved, standing: subject.standing.kind });
  if (refusal !== undefined) throw refusal;
  const { transport, shareDir: from } = domain;
  if (transport === undefined || from === undefined)
    throw new Error("a domain without a share passed the checks");
  const { copyOf } = domain;
  if (copyOf !== undefined) await checkOrigin(subject, more, copyOf);
  checkFolder(subject, from);
  const size = treeSize(from);
  // A copy of it, and kernel and initrd three more times: in run/, and the last good pairs.
  requireFree(
    workMode().stateRoot,
    2 * size.bytes + 64 * 2 ** 20,
    `adopting the domain ${printable(subject.name)}`,
  );
  const { runKernel: kernel, runInitrd: initrd, share, report, serialLog } = paths;
  const adoption = { uuid, transport, arch: domain.arch, kernel, initrd, share, report, serialLog };
  const changedXml = adoptXml(xml, adoption);
  const shown = await dumpXml(uuid, { inactive: true });
  return {
    subject,
    changedXml,
    diff: await diffOf(
      [`${subject.name}, as it is`, `${subject.name}, adopted`],
      rewritten(shown),
      adoptXml(shown, adoption),
    ),
    transport,
    share: { from, to: share, ...size },
    copyOf,
    next: bootable(subject.name, from, changedXml),
    hook: await planHook(domain),
    serialLog: more.serialPty,
  };
}

/** What boots from a share in a domain. @throws {UserError} `NOTHING_BOOTABLE` */
export function bootable(name: string, share: string, xml: string): Next {
  const domain = parseDomain(xml);
  const next = lookAtNext(share, inShare(share, domain), domain);
  const { candidates, reshape, skipped } = next.selection;
  if (candidates.length > 0 || reshape !== undefined) return next;
  const tried = skipped.map(({ release, reason }) => `${printable(release)}: ${printable(reason, 500)}`);
  throw new UserError(
    "NOTHING_BOOTABLE",
    `The domain ${printable(name)} cannot be adopted: nothing in ${printable(share)} can be booted${tried.length === 0 ? "; it holds no kernel" : ""}.`,
    {
      exitCode: EXIT.conflict,
      detail: tried.join("\n"),
      hint: `Look at it with 'bootshare inspect --arch ${domain.arch} ${printable(share)}'; a kernel and its initrd belong there, as in the guest's /boot.`,
    },
  );
}

/** What is in a folder that is a guest's /boot, best first, with nothing known of earlier boots. */
export function inShare(share: string, machine: DomainMachine): Selection {
  const found = catalogue(
    asOwner(share, () => readBootFolder(share)),
    machine.arch,
  );
  return select({ catalogue: found, pin: undefined, good: undefined, machine });
}

/** A copy of a guest: it brings what belongs to that guest. @throws {UserError} `ADOPT_SAME_DISK`, `GUEST_RUNNING` */
async function checkOrigin({ name }: Subject, more: AdoptionFacts, copyOf: string): Promise<void> {
  const origin = (await domainStatuses()).find((one) => one.uuid === copyOf);
  if (origin !== undefined) {
    const theirs = adoptionFacts(await dumpXml(copyOf, { inactive: true })).disks;
    const refusal = sharedDisk(name, origin.name, more.disks, theirs);
    if (refusal !== undefined) throw refusal;
    if (origin.state !== "shut off") {
      const other = printable(origin.name);
      throw new UserError(
        "GUEST_RUNNING",
        `The domain ${printable(name)} cannot be adopted: it is a copy of ${other}, which is ${origin.state}, and whose /boot must not change while it is copied.`,
        { exitCode: EXIT.conflict, hint: `Shut that one down first: bootshare stop ${other}` },
      );
    }
  }
  const { shareImage, share } = guestPathsOf(copyOf);
  mountShare(shareImage, share);
}

/** @throws {UserError} `ADOPT_SHARE_GONE` */
function checkFolder({ name }: Subject, from: string): void {
  const stats = lstatSync(from, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true) return;
  const why = stats === undefined ? "does not exist" : "is not a folder itself (a link is not followed)";
  throw new UserError(
    "ADOPT_SHARE_GONE",
    `The domain ${printable(name)} cannot be adopted: its shared folder ${printable(from)} ${why}.`,
    { exitCode: EXIT.conflict, hint: "Name the folder that holds its /boot in its XML: virsh edit." },
  );
}

/** File names of the links through which a domain that such a hook serves is booted. */
function linksOf({ kernel }: DomainFacts): string[] {
  const name = basename(kernel ?? "");
  // Debian's own names stand in many a script that makes no links.
  return name === "" || /^vmlinu[xz](-|$)/.test(name) ? [KNOWN_LINK] : [...new Set([KNOWN_LINK, name])];
}

/** @returns undefined where there is no such hook */
export async function planHook(domain: DomainFacts): Promise<HookPlan | undefined> {
  const links = domain.foreign ? linksOf(domain) : [KNOWN_LINK];
  if (!makesBootLinks(links)) return undefined;
  const others: string[] = [];
  for (const { uuid, name } of await domainStatuses()) {
    if (uuid === domain.uuid) continue;
    // One that cannot be read may need the hook as well as not.
    const other = parseOther(await dumpXml(uuid, { inactive: true }));
    if (other?.foreign === true && links.includes(basename(other.kernel ?? ""))) others.push(printable(name));
  }
  return { others };
}

function parseOther(xml: string): DomainFacts | undefined {
  try {
    return parseDomain(xml);
  } catch {
    return undefined;
  }
}

/** The XML in the form that it has after a change, so that a diff shows nothing but the change. */
export function rewritten(xml: string): string {
  return edit(xml, () => {});
}

/** A unified diff of two texts by diff(1): lines, made printable. */
export async function diffOf(
  names: readonly [string, string],
  before: string,
  after: string,
): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "bootshare-diff-"));
  try {
    const files = [before, after].map((text, index) => {
      const file = join(dir, String(index));
      writeFileSync(file, text.endsWith("\n") ? text : `${text}\n`, { mode: 0o600 });
      return file;
    });
    const labels = names.flatMap((label) => ["--label", printable(label)]);
    const { stdout } = await run("diff", ["--unified", ...labels, "--", ...files]);
    return stdout
      .trimEnd()
      .split("\n")
      .map((line) => printable(line, 1000))
      .join("\n");
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Whether the domain names its kernel through a link in its old share, as a hand-made hook makes it. */
export function linkInShare(path: string | undefined, share: string): string | undefined {
  return path !== undefined && dirname(path) === share ? basename(path) : undefined;
}
