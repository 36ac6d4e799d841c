/**
 * What is done before libvirt starts a domain: choose, copy, check, stage, record. The only writer of a guest's run/, and
 * the only one that takes anything out of pairs/. Never calls libvirt and never waits. The hook does it; where libvirt calls none (session mode, without root's
 * help), bootshare does, before it asks libvirt for the start (guest/launch.ts).
 */
import { randomUUID } from "node:crypto";
import { EXIT, messageOf, UserError } from "../errors.ts";
import { type Catalogue, catalogue } from "../kernel/catalogue.ts";
import type { DomainMachine } from "../kernel/features.ts";
import type { GuestPaths } from "../paths.ts";
import { asOwner, readBootFolder } from "../share/folder.ts";
import { mountShare } from "../share/mount.ts";
import { printable } from "../text.ts";
import { assessPair, DEFAULT_TRIES, type PairRecord } from "./assess.ts";
import { brief } from "./brief.ts";
import { isDiskTrouble, ofGuest } from "./disk.ts";
import type { Pair, Source } from "./events.ts";
import { checkStoredInitrd } from "./initrd-check.ts";
import { neededPairs, pinnedPair } from "./kept-pairs.ts";
import { appendEvents, cutLog, readState } from "./log.ts";
import { recordLook } from "./look.ts";
import { type Moment, presentMoment } from "./moment.ts";
import { type PolicyForStart, policyForStart } from "./policy.ts";
import { rotateReport } from "./report.ts";
import { withRoom } from "./room.ts";
import { asLastResort, type Candidate, isOfShare, type Selection, select } from "./select.ts";
import { prunePairs, stagePair, storeCandidate } from "./stage.ts";
import type { BootState } from "./state.ts";
import { bootTimeout } from "./timeout.ts";

export interface Prepared {
  readonly pair: Pair;
  readonly source: Source;
  readonly why: string;
  /** Sentences on what is not known of it, or will be missed. Printable. */
  readonly notes: readonly string[];
  readonly skipped: readonly { readonly release: string; readonly reason: string }[];
}

/**
 * What is in a guest's share and in which order it would be tried: what `kernels` shows, and what prepare and reshape act on.
 *
 * @param machine of the domain, as the start will find it
 */
export function survey(paths: GuestPaths, machine: DomainMachine): Survey {
  return surveyWith(paths, machine, readState(paths), policyForStart(paths));
}

interface Survey {
  readonly catalogue: Catalogue | undefined;
  readonly selection: Selection;
}

function surveyWith(
  paths: GuestPaths,
  machine: DomainMachine,
  state: BootState,
  { policy, problem }: PolicyForStart,
): Survey {
  const { pin, tries = DEFAULT_TRIES } = policy;
  let found: Catalogue | undefined;
  let shareProblem: string | undefined;
  try {
    mountShare(paths.shareImage, paths.share);
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
    pin,
    pinPair: pinnedPair(policy, state),
    good: state.good,
    bad: (files) => badReason(state, state.pairsOfFiles.get(files), tries),
    provided: state.provided,
    machine,
    ...(shareProblem === undefined ? {} : { shareProblem }),
  });
  const skipped =
    problem === undefined
      ? selection.skipped
      : [{ release: "(policy)", reason: problem }, ...selection.skipped];
  return { catalogue: found, selection: brief({ ...selection, skipped }) };
}

/** Why a pair is passed over: a phrase that follows its release; undefined for one that may be tried. */
function badReason(state: PairRecord, id: string | undefined, tries: number): string | undefined {
  if (assessPair(state, id, tries).assessment !== "bad") return undefined;
  return `it is bad: it was not good in ${tries === 1 ? "its only try" : `${tries} tries`}`;
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
  const moment = presentMoment(now);
  cutLog(paths, now);
  const state = closeLastAttempt(paths, name, moment);
  const policyRead = policyForStart(paths);
  const { policy } = policyRead;
  const { tries = DEFAULT_TRIES, bootTimeout: wanted } = policy;
  const { selection } = surveyWith(paths, machine, state, policyRead);
  const skipped = [...selection.skipped];
  const queue = [...selection.candidates];
  let trouble: UserError | undefined;
  for (const candidate of queue) {
    try {
      const prepared = withRoom(paths, () => stage(candidate));
      if (prepared !== undefined) return prepared;
    } catch (error) {
      if (isDiskTrouble(error)) trouble ??= error;
      skipped.push({ release: candidate.release, reason: messageOf(error) });
      // It may have been refused after it was copied: what a guest puts into its share must not pile up.
      prune();
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
    const disk = trouble === undefined ? {} : { disk: true };
    appendEvents(paths, [{ e: "refused", reason: refusal.message, ...disk }], now);
  } catch {
    // What is refused, and why, matters more than that it could not be written down.
  }
  throw refusal;

  /** Undefined for a candidate that turns out, by its bytes, to have had its tries: it is put off. */
  function stage(candidate: Candidate): Prepared | undefined {
    const pair = isOfShare(candidate) ? storeCandidate(paths, candidate, machine.arch) : candidate.pair;
    const reason = badReason(state, pair.id, tries);
    if (reason !== undefined && candidate.lastResort !== true) {
      skipped.push({ release: candidate.release, reason });
      queue.push(asLastResort(candidate));
      return undefined;
    }
    // What was good, or is the host's own, is known to boot.
    const fresh = isOfShare(candidate) && !state.goodIds.has(pair.id);
    const notes = fresh ? checkStoredInitrd(paths, pair, machine) : [];
    stagePair(paths, pair);
    return record(candidate, pair, [...candidate.notes, ...notes]);
  }

  function record(candidate: Candidate, pair: Pair, notes: string[]): Prepared {
    const { source, why } = candidate;
    const prepared = { pair, source, why, notes, skipped };
    const { hostBoot, m } = moment;
    // Nobody would be there to say that it is good.
    const timeout = state.silent ? undefined : bootTimeout(wanted, machine.accel, source === "provided");
    rotateReport(paths);
    appendEvents(
      paths,
      [
        {
          e: "prepare",
          attempt: randomUUID(),
          hostBoot,
          m,
          ...(timeout === undefined ? {} : { timeout }),
          ...(isOfShare(candidate) ? { files: candidate.files } : {}),
          ...(hook ? {} : { hook }),
          ...prepared,
        },
      ],
      now,
    );
    prune(pair.id);
    return prepared;
  }

  /** Removes every stored pair that nothing falls back to, but these. */
  function prune(...ids: string[]): void {
    const { goodBefore } = state;
    prunePairs(paths, [
      ...ids,
      ...neededPairs(policy, state),
      ...(goodBefore === undefined ? [] : [goodBefore.id]),
    ]);
  }
}

/**
 * Says how the attempt before this start came out, should nobody have looked since: a start that follows at once must not
 * take its kernel for one that was never tried. Returns what all events come to then.
 */
function closeLastAttempt(paths: GuestPaths, name: string, moment: Moment): BootState {
  const off = { state: "shut off", reason: "unknown", saved: false, starting: true };
  try {
    return withRoom(paths, () => recordLook(paths, off, moment)).state;
  } catch (error) {
    throw isDiskTrouble(error) ? ofGuest(name, error) : error;
  }
}

function hintFor(name: string, paths: GuestPaths, { reshape }: Selection): string {
  const look = `Look at it with 'bootshare kernels ${name}'`;
  return reshape === undefined
    ? `${look}; put a kernel and its initrd into ${paths.share}.`
    : `'bootshare start ${name}' changes the machine for ${printable(reshape.candidate.release)}. ${look}.`;
}
