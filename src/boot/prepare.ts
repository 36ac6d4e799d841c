/**
 * What is done before libvirt starts a domain: choose, copy, check, stage, record. The only writer of a guest's run/, and
 * the only one that takes anything out of pairs/. Never calls libvirt and never waits. The hook does it; where libvirt calls none (session mode, without root's
 * help), bootshare does, before it asks libvirt for the start (guest/launch.ts).
 */
import { randomUUID } from "node:crypto";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { EXIT, messageOf, UserError } from "../errors.ts";
import { type Catalogue, catalogue } from "../kernel/catalogue.ts";
import type { DomainMachine } from "../kernel/features.ts";
import type { GuestPaths } from "../paths.ts";
import { asOwner, readBootFolder } from "../share/folder.ts";
import { printable } from "../text.ts";
import { isDiskTrouble, ofGuest } from "./disk.ts";
import type { Pair, Source } from "./events.ts";
import { appendEvents, cutLog, readState } from "./log.ts";
import { policyForStart } from "./policy.ts";
import { rotateReport } from "./report.ts";
import { withRoom } from "./room.ts";
import { type Candidate, isOfShare, type Selection, select } from "./select.ts";
import { prunePairs, stagePair, storeCandidate } from "./stage.ts";

export interface Prepared {
  readonly pair: Pair;
  readonly source: Source;
  readonly why: string;
  readonly skipped: readonly { readonly release: string; readonly reason: string }[];
}

/**
 * What is in a guest's share and in which order it would be tried: what `kernels` shows, and what prepare and reshape act on.
 *
 * @param machine of the domain, as the start will find it
 */
export function survey(
  paths: GuestPaths,
  machine: DomainMachine,
): { catalogue: Catalogue | undefined; selection: Selection } {
  const state = readState(paths);
  const { policy, problem } = policyForStart(paths);
  let found: Catalogue | undefined;
  let shareProblem: string | undefined;
  try {
    found = catalogue(
      asOwner(paths.share, () => readBootFolder(paths.share)),
      machine.arch,
    );
  } catch (error) {
    // An unreadable share must not keep the guest from its last good kernel.
    shareProblem = `the share could not be read: ${messageOf(error)}`;
  }
  const selection = select({
    catalogue: found,
    pin: policy.pin,
    good: state.good,
    provided: state.provided,
    machine,
    ...(shareProblem === undefined ? {} : { shareProblem }),
  });
  if (problem === undefined) return { catalogue: found, selection };
  const skipped = [{ release: "(policy)", reason: problem }, ...selection.skipped];
  return { catalogue: found, selection: { ...selection, skipped } };
}

export interface PrepareOptions {
  readonly now?: Date;
  /** false: nobody but the caller knows of this start. The caller holds the guest's lock, and says *started*. */
  readonly hook?: boolean;
}

/**
 * Stages the best kernel for a start and records the boot attempt.
 *
 * @throws {UserError} `NOTHING_BOOTABLE` when the start must be refused; its sentence says what was tried. Where the disk is
 *   why, what {@link onDisk} throws
 */
export function prepareBoot(
  paths: GuestPaths,
  name: string,
  machine: DomainMachine,
  { now = new Date(), hook = true }: PrepareOptions = {},
): Prepared {
  cutLog(paths, now);
  const { selection } = survey(paths, machine);
  const skipped = [...selection.skipped];
  let trouble: UserError | undefined;
  for (const candidate of selection.candidates) {
    try {
      return withRoom(paths, () => {
        const pair = isOfShare(candidate) ? storeCandidate(paths, candidate, machine.arch) : candidate.pair;
        stagePair(paths, pair);
        return record(candidate, pair);
      });
    } catch (error) {
      if (isDiskTrouble(error)) trouble ??= error;
      skipped.push({ release: candidate.release, reason: messageOf(error) });
    }
  }
  const tried = skipped.map(({ release, reason }) => `${release}: ${reason}`).join(" | ");
  const sentence = `Nothing in the /boot of guest ${name} can be booted${tried === "" ? ": it holds no kernel" : ` (${tried})`}.`;
  const refusal =
    trouble === undefined
      ? new UserError("NOTHING_BOOTABLE", sentence, {
          exitCode: EXIT.conflict,
          hint: hintFor(name, paths, selection),
        })
      : ofGuest(name, trouble);
  try {
    appendEvents(paths, [{ e: "refused", reason: refusal.message }], now);
  } catch {
    // What is refused, and why, matters more than that it could not be written down.
  }
  throw refusal;

  function record(candidate: Candidate, pair: Pair): Prepared {
    const prepared = { pair, source: candidate.source, why: candidate.why, skipped };
    const { good, provided } = readState(paths);
    rotateReport(paths);
    appendEvents(
      paths,
      [
        {
          e: "prepare",
          attempt: randomUUID(),
          hostBoot: hostBootId(),
          ...(hook ? {} : { hook }),
          ...prepared,
        },
      ],
      now,
    );
    prunePairs(
      paths,
      [pair, good, provided].flatMap((one) => one?.id ?? []),
    );
    return prepared;
  }
}

function hintFor(name: string, paths: GuestPaths, { reshape }: Selection): string {
  const look = `Look at it with 'bootshare kernels ${name}'`;
  return reshape === undefined
    ? `${look}; put a kernel and its initrd into ${paths.share}.`
    : `'bootshare start ${name}' changes the machine for ${printable(reshape.candidate.release)}. ${look}.`;
}

/** The boot id of this host: another one means that the host was rebooted. */
export function hostBootId(): string {
  return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
}

/** How long a restore may take from its *restore* phase to its *prepare* phase, in milliseconds. libvirt waits for nothing between them. */
const RESTORE_WINDOW_MS = 120_000;

/** Notes, in the *restore* phase, that the *prepare* which this libvirtd calls next is not a boot. */
export function noteRestore(paths: GuestPaths, libvirtPid: string, now: Date = new Date()): void {
  writeFileSync(paths.restoring, JSON.stringify({ libvirtPid, at: now.getTime(), hostBoot: hostBootId() }), {
    mode: 0o600,
  });
}

/** Takes the note away, and says whether it was there and is to be believed. */
export function takeRestoreNote(paths: GuestPaths, libvirtPid: string, now: Date = new Date()): boolean {
  let note: unknown;
  try {
    note = JSON.parse(readFileSync(paths.restoring, "utf8"));
  } catch {
    return false;
  } finally {
    rmSync(paths.restoring, { force: true });
  }
  if (typeof note !== "object" || note === null) return false;
  const {
    libvirtPid: pid,
    at,
    hostBoot,
  } = note as { libvirtPid?: unknown; at?: unknown; hostBoot?: unknown };
  const age = typeof at === "number" ? now.getTime() - at : Number.NaN;
  return pid === libvirtPid && hostBoot === hostBootId() && age >= 0 && age < RESTORE_WINDOW_MS;
}
