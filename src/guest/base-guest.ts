/**
 * Base guests: what ephemeral ones are made from where nobody named another. One for each suite and architecture, made at
 * first use, off, and a guest like any other: a person may start it, change it, and stop it again.
 */

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../errors.ts";
import { makeStateFolder } from "../folders.ts";
import { isDebianArch } from "../kernel/arch.ts";
import { hostArch } from "../machine/host.ts";
import { type GuestPaths, statePaths } from "../paths.ts";
import { findSuite } from "../provision/suites.ts";
import { Creation } from "./create.ts";
import { clearUnfinished, markUnfinished, mended } from "./cut-short.ts";
import { DebianDisk } from "./debian-disk.ts";
import { findGuest, type Guest } from "./inventory.ts";
import { stopGuest } from "./life.ts";
import { withLock } from "./lock.ts";
import type { CreateOptions } from "./plan.ts";

/** How long a guest that has just booted may take to shut down, in milliseconds. */
const SHUTDOWN_MS = 300_000;
const GIB = 2 ** 30;
/** The disk is an overlay's, and takes room only as it is written to. */
const SIZE = { memoryBytes: 2 * GIB, cpus: 2, diskBytes: 64 * GIB } as const;

export interface BaseWishes {
  readonly suite: string;
  /** Debian's name; the host's where undefined. As a person typed it. */
  readonly arch: string | undefined;
}

/** @throws {UserError} `SUITE_UNKNOWN`, `ARCH_UNKNOWN` through the creation */
export function baseGuestName({ suite, arch }: BaseWishes): string {
  return `base-${findSuite(suite).name}-${arch !== undefined && isDebianArch(arch) ? arch : hostArch()}`;
}

/**
 * The name of the base guest for a suite and architecture, which is made where there is none, or one whose making was cut short:
 * that takes minutes. One that a person has running stays as it is.
 *
 * @param say a line on what is going on; only called where it is made, mended, or waited for
 * @param beforeBoot sees to the service, which some guests need in their first boot
 * @throws {UserError} those of a creation; nothing is left of it then
 */
export async function ensureBaseGuest(
  wishes: BaseWishes,
  say: (line: string) => void,
  signal: AbortSignal,
  beforeBoot: () => Promise<unknown>,
): Promise<string> {
  const name = baseGuestName(wishes);
  return await readyAlone(name, say, signal, async () => {
    const there = await guestIfAny(name);
    const whole = there === undefined ? undefined : await mended(there, false, say, signal);
    if (whole === undefined) await makeBaseGuest({ ...wishes, name }, say, signal, { beforeBoot });
    return name;
  });
}

/** How often another's making of a base guest is looked at, in milliseconds. */
const LOOK_MS = 2000;

/**
 * Makes a base guest ready while nobody else does: one that is half made looks like one that was left running.
 *
 * @param say gets a line where another command is waited for
 * @throws the signal's reason when aborted
 */
export async function readyAlone<T>(
  name: string,
  say: (line: string) => void,
  signal: AbortSignal,
  act: () => Promise<T>,
): Promise<T> {
  const { root } = statePaths();
  makeStateFolder(root);
  let waits = false;
  const wait = async (): Promise<void> => {
    if (!waits) say(`waiting for another command, which makes ${name} ready`);
    waits = true;
    await sleep(LOOK_MS, undefined, { signal });
  };
  return await withLock(join(root, `${name}.lock`), wait, act);
}

/** What is done in the middle of making a base guest. */
export interface MakingSteps {
  /** See {@link ensureBaseGuest}. */
  readonly beforeBoot?: () => Promise<unknown>;
  /** Puts what else there is to be into its folder, before anybody knows of the guest. */
  readonly inFolder?: (paths: GuestPaths) => void;
}

/**
 * Makes a guest that others are cloned from, and leaves it off.
 *
 * @param wishes what is not as for any guest of no particular kind
 * @param say as for {@link ensureBaseGuest}
 * @throws {UserError} those of a creation; nothing is left of it then
 */
export async function makeBaseGuest(
  wishes: Pick<CreateOptions, "name" | "suite" | "arch"> & Partial<CreateOptions>,
  say: (line: string) => void,
  signal: AbortSignal,
  { beforeBoot = async () => {}, inFolder = () => {} }: MakingSteps = {},
): Promise<void> {
  const { name } = wishes;
  say(`There is no guest ${name} yet. It is made now, once; that takes some minutes.`);
  const options: CreateOptions = {
    ...SIZE,
    guestKernelArch: "auto",
    secondStage: "auto",
    bootBytes: undefined,
    share: "auto",
    accel: "auto",
    network: { kind: "user" },
    kernelPackage: undefined,
    mirror: undefined,
    securityMirror: undefined,
    security: true,
    updates: true,
    sshKeyFile: undefined,
    keep: false,
    tries: undefined,
    bootTimeout: undefined,
    ...wishes,
  };
  const creation = new Creation(options, new DebianDisk(options), (paths) => {
    markUnfinished(paths);
    inFolder(paths);
  });
  const began = Date.now();
  try {
    for (const { title, run, warning } of creation.steps()) {
      signal.throwIfAborted();
      const said = await run(() => {}, signal);
      const text = warning?.();
      if (text !== undefined) say(`Warning: ${text}`);
      say(`${title}${said === undefined ? "" : `: ${said}`} [${Math.round((Date.now() - began) / 1000)} s]`);
      if (creation.needsService) await beforeBoot();
    }
  } catch (error) {
    for (const left of await creation.rollBack()) say(`Could not be removed: ${left}`);
    signal.throwIfAborted();
    throw error;
  }
  const guest = await findGuest(name);
  await stopGuest(guest, { force: false, timeoutMs: SHUTDOWN_MS, signal });
  clearUnfinished(guest.paths);
  say(`${name} is made, and off [${Math.round((Date.now() - began) / 1000)} s].`);
}

/** The guest of that name, where there is one. @throws {UserError} `GUEST_COPY` */
export async function guestIfAny(name: string): Promise<Guest | undefined> {
  try {
    return await findGuest(name);
  } catch (error) {
    if (error instanceof UserError && error.code === "GUEST_NOT_FOUND") return undefined;
    throw error;
  }
}
