/**
 * What a look at a guest adds to its events: pure. Seeing the same thing again adds nothing, so anybody may look at any
 * time, and what happened while nobody looked is found later.
 */
import type { EndReason, NewEvent } from "./events.ts";
import type { BootReport } from "./report.ts";
import type { Attempt, BootState } from "./state.ts";

/** libvirt's state of a domain, in its own words (virDomainState and the reason that goes with it). */
export interface DomainStatus {
  readonly state: string;
  readonly reason: string;
  /** A managed save of it exists: the next start restores it. */
  readonly saved: boolean;
  /** When libvirt was asked; now, where that is not said. What happened since may have changed it. */
  readonly asOf?: Date;
}

/** The moment of a look: this host's boot id and its clock. */
export interface Moment {
  readonly hostBoot: string;
  readonly now: Date;
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
    const how = howItEnded(report, domain, state.releaseReason);
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
  if (attempt.released !== undefined || attempt.hostBoot !== moment.hostBoot) return true;
  const asOf = (domain.asOf ?? moment.now).getTime();
  if (!attempt.hooked && attempt.started !== undefined && Date.parse(attempt.started) < asOf) return true;
  return moment.now.getTime() - Date.parse(attempt.started ?? attempt.prepared) > STARTING_MS;
}

/**
 * How a boot ended. `virsh destroy` is believed before the guest's word, for it came last; the guest's word is believed
 * before libvirt's "shutdown", which says the same for a reboot, a reset and a power-off, and before its "unknown",
 * which is what is left when libvirtd was restarted.
 *
 * @param releaseReason what the hook's *release* phase was told (libvirt 10.5 and later); outlives libvirtd
 */
export function howItEnded(report: BootReport, domain: DomainStatus, releaseReason?: string): EndReason {
  const reason = domain.reason === "unknown" && releaseReason !== undefined ? releaseReason : domain.reason;
  if (reason === "destroyed") return "destroyed";
  if (report.end === "reboot") return "reboot";
  if (report.end === "poweroff" || report.end === "halt") return report.end;
  if (reason === "crashed") return "crashed";
  if (reason === "failed") return "failed";
  if (reason === "shutdown") return "reset";
  return "unknown";
}
