/**
 * The builder guests: one for each suite and architecture, made at the first build, that builds start from. Nothing is ever built
 * in one itself.
 */
import { statSync } from "node:fs";
import { EXIT, UserError } from "../errors.ts";
import { guestIfAny, makeBaseGuest, readyAlone } from "../guest/base-guest.ts";
import { mended } from "../guest/cut-short.ts";
import { deleteGuest } from "../guest/delete.ts";
import { definitionOf, findGuest, type Guest } from "../guest/inventory.ts";
import { type DebianArch, isDebianArch } from "../kernel/arch.ts";
import type { AccelChoice } from "../machine/accel.ts";
import { hostArch } from "../machine/host.ts";
import type { Mirrors } from "../provision/sources.ts";
import { findSuite } from "../provision/suites.ts";
import { printable } from "../text.ts";
import { BUILDER_ROLE, requireUndrained } from "./builder-drain.ts";
import { readBuilderMirrors, writeBuilderMirrors } from "./builder-mirrors.ts";
import { holdBuilder, whileUnused } from "./builder-use.ts";
import { BUILDER_PACKAGES, chrootPath } from "./sbuild.ts";

/** What a person asked to build for. */
export interface TargetWishes {
  readonly suite: string;
  /** Of the packages; the host's when undefined. As a person typed it. */
  readonly arch?: string | undefined;
}

export interface BuilderOptions {
  /** Of a builder that is made, as are the mirrors; one that is there keeps its own. */
  readonly accel: AccelChoice;
  readonly mirrors: Mirrors;
  /** Remove the one that is there first. */
  readonly renew: boolean;
}

/** A suite and an architecture that packages can be built for. */
export interface BuildTarget {
  readonly suite: string;
  readonly arch: DebianArch;
}

export interface Builder extends BuildTarget {
  readonly guest: Guest;
  /** How long ago its chroot was made, in milliseconds. */
  readonly ageMs: number;
  /** What apt in its chroot asks; undefined of one that was made before that was written down. */
  readonly mirrors: Mirrors | undefined;
  /** Until then nobody makes it anew. */
  readonly release: () => void;
}

/**
 * Checks what a person asked for, before anything is fetched.
 *
 * @throws {UserError} `SUITE_UNKNOWN`, `ARCH_UNKNOWN`
 */
export function buildTarget({ suite, arch: asked }: TargetWishes): BuildTarget {
  const { name, arches } = findSuite(suite);
  const arch = asked ?? hostArch();
  if (isDebianArch(arch) && arches.includes(arch)) return { suite: name, arch };
  throw new UserError(
    "ARCH_UNKNOWN",
    `bootshare builds no packages of ${name} for the architecture ${printable(arch)}.`,
    { exitCode: EXIT.usage, hint: `Name one of ${[...arches].sort().join(", ")}.` },
  );
}

/** The name of the builder guest of a suite and an architecture. */
export function builderName({ suite, arch }: BuildTarget): string {
  return `builder-${suite}-${arch}`;
}

/**
 * The builder guest, off, and held until it is released; made when there is none, which takes minutes.
 *
 * @param say a line on what is going on; not trusted; only called where it is made, mended, or waited for
 * @throws {UserError} `BUILDER_DRAINED`, `BUILDER_BUSY`, `BUILDER_UNREADABLE`, and those of a creation
 * @throws the signal's reason when aborted; what was begun is taken back
 */
export async function ensureBuilder(
  target: BuildTarget,
  options: BuilderOptions,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Builder> {
  const name = builderName(target);
  return await readyAlone(name, say, signal, async () => {
    if (options.renew) await remove(target);
    const guest = (await whole(target, say, signal)) ?? (await make(target, options, say, signal));
    requireUndrained(guest);
    const mirrors = readBuilderMirrors(guest.paths);
    return { ...target, guest, ageMs: ageOf(guest), mirrors, release: holdBuilder(name) };
  });
}

/** The one that is there, off; undefined also where its making was cut short before it was of any use. */
async function whole(
  target: BuildTarget,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Guest | undefined> {
  const guest = await present(target);
  if (guest === undefined) return undefined;
  requireUndrained(guest);
  // Somebody may have looked into it: a builder is kept from nobody's builds for that.
  return await mended(guest, true, say, signal);
}

async function present(target: BuildTarget): Promise<Guest | undefined> {
  const name = builderName(target);
  const guest = await guestIfAny(name);
  if (guest === undefined) return undefined;
  const { metadata, userland } = await definitionOf(guest);
  if (metadata?.suite === target.suite && userland === target.arch) return guest;
  throw new UserError(
    "NOT_A_BUILDER",
    `The guest ${name} is no builder of ${target.suite} on ${target.arch}.`,
    {
      exitCode: EXIT.conflict,
      hint: `Give it another name with 'virsh domrename ${name} NEW-NAME', or delete it.`,
    },
  );
}

async function make(
  target: BuildTarget,
  { accel, mirrors }: BuilderOptions,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<Guest> {
  const { suite, arch } = target;
  const name = builderName(target);
  const { archive: mirror, security: securityMirror, updates } = mirrors;
  const wishes = { mirror, securityMirror, security: securityMirror !== undefined, updates };
  // The chroot is made on this host in any case, so the guest's own packages may be, too.
  const chroot = {
    secondStage: "host",
    extraPackages: BUILDER_PACKAGES,
    buildChroot: chrootPath(suite, arch),
    role: BUILDER_ROLE,
  } as const;
  await makeBaseGuest({ name, suite, arch, accel, ...wishes, ...chroot }, say, signal, {
    inFolder: (paths) => writeBuilderMirrors(paths, mirrors),
  });
  return await findGuest(name);
}

/** By the log of its making. */
function ageOf({ paths }: Guest): number {
  const made = statSync(paths.createLog, { throwIfNoEntry: false })?.mtimeMs;
  return made === undefined ? Number.POSITIVE_INFINITY : Math.max(0, Date.now() - made);
}

/** Removes a builder that nobody uses, so that it is made anew. @throws {UserError} `BUILDER_DRAINED`, `BUILDER_BUSY` */
async function remove(target: BuildTarget): Promise<void> {
  const guest = await present(target);
  if (guest === undefined) return;
  requireUndrained(guest);
  // They have all that they need, or will not have it; and who drains the new one would not hear of those that build.
  await whileUnused(guest, async () => await deleteGuest(guest, true));
}
