/**
 * What a look at a guest adds to its events: pure. Seeing the same thing again adds nothing, so anybody may look at any
 * time, and what happened while nobody looked is found later.
 */
import type { Attempt } from "./attempt.ts";
import type { EndReason, NewEvent } from "./events.ts";
import type { Moment } from "./moment.ts";
import type { BootReport } from "./report.ts";
import type { BootState } from "./state.ts";

/** libvirt's state of a domain, in its own words (virDomainState and the reason that goes with it). */
export interface DomainStatus {
  readonly state: string;
  readonly reason: string;
  /** A managed save of it exists: the next start restores it. */
  readonly saved: boolean;
  /** Said in *prepare*: libvirt is about to start it anew, so whatever ran before is over. */
  readonly starting?: boolean;
  /** When libvirt was asked; now, where that is not said. What happened since may have changed it. */
  readonly asOf?: Date;
}

/** An event that a look found, and when it happened as far as can be told. */
export interface Observation {
  readonly event: NewEvent;
  readonly at: Date;
}

/** Returns the events that the report and the domain's state tell and that the log does not hold yet. */
export function observe(
  state: BootState,
  report: BootReport,
  domain: DomainStatus,
  moment: Moment,
): Observation[] {
  const attempt = state.current;
  if (attempt === undefined) return [];
  const found: Observation[] = [];
  // Nobody need have looked when a line was written: its time is the file's, unless a later look is the better witness.
  const written = new Date(
    Math.min(Date.parse(report.written ?? "") || moment.now.getTime(), moment.now.getTime()),
  );
  if (attempt.up === undefined && report.up !== undefined) {
    found.push({ event: { e: "up", attempt: attempt.id, release: report.up }, at: written });
  }
  if (attempt.good === undefined && report.good !== undefined) {
    found.push({ event: { e: "good", attempt: attempt.id, release: report.good }, at: written });
  }
  if (attempt.ended === undefined && isOver(attempt, domain, moment)) {
    const how = howItEnded(report, domain, {
      releaseReason: state.releaseReason,
      overdue: attempt.overdue,
      hostDown: attempt.hostBoot !== moment.hostBoot,
    });
    const at = attempt.released === undefined ? moment.now : new Date(attempt.released);
    found.push({ event: { e: "end", attempt: attempt.id, how }, at });
  }
  return found;
}

/** How long a start may take between the hook's *prepare* and a domain that libvirt shows as running, in milliseconds. */
const STARTING_MS = 120_000;

/**
 * Whether an attempt is over. While libvirt is still starting a domain it shows it as shut off, so "shut off" counts
 * only when the hook saw libvirt let go of it, or the host was rebooted, or it has been so for longer than a start takes.
 * Without a hook, *started* is what bootshare wrote when `virsh start` had come back: who asked libvirt after that and hears
 * "shut off" knows that it is the end.
 */
function isOver(attempt: Attempt, domain: DomainStatus, moment: Moment): boolean {
  if (domain.state !== "shut off" || domain.reason === "saved" || domain.saved) return false;
  if (domain.starting === true) return true;
  if (attempt.released !== undefined || attempt.hostBoot !== moment.hostBoot) return true;
  const asOf = (domain.asOf ?? moment.now).getTime();
  if (!attempt.hooked && attempt.started !== undefined && Date.parse(attempt.started) < asOf) return true;
  const age =
    attempt.m === undefined
      ? moment.now.getTime() - Date.parse(attempt.started ?? attempt.prepared)
      : moment.m - attempt.m;
  return age > STARTING_MS;
}

/** What is known of an end beside the report and libvirt's word. */
export interface EndFacts {
  /** What the hook's *release* phase was told (libvirt 10.5 and later); outlives libvirtd. */
  readonly releaseReason?: string | undefined;
  /** The reconciler had decided to end it. */
  readonly overdue?: boolean;
  /** The host was rebooted since. */
  readonly hostDown?: boolean;
}

/**
 * How a boot ended. `virsh destroy` is believed before the guest's word, for it came last; the guest's word is believed
 * before libvirt's "shutdown", which says the same for a reboot, a reset and a power-off, and before its "unknown",
 * which is what is left when libvirtd was restarted.
 */
export function howItEnded(report: BootReport, domain: DomainStatus, facts: EndFacts = {}): EndReason {
  const { releaseReason, overdue = false, hostDown = false } = facts;
  const reason = domain.reason === "unknown" && releaseReason !== undefined ? releaseReason : domain.reason;
  // After a reboot of the host libvirt remembers no reason, so "destroyed" is from before it.
  if (reason === "destroyed") return overdue ? "timeout" : "destroyed";
  // Whether it was shut down for that, or cut off, is the host's doing.
  if (hostDown) return "host-down";
  if (report.end === "reboot") return "reboot";
  if (report.end === "poweroff" || report.end === "halt") return report.end;
  if (reason === "crashed") return "crashed";
  if (reason === "failed") return "failed";
  if (reason === "shutdown") return "reset";
  return overdue ? "timeout" : "unknown";
}
