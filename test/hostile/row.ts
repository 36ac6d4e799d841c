/** What a row of the table of hostile shares is, and what most of them are made of. */
import type { Form, HostileShare } from "./disk.ts";
import { initrdOf, kernelOf } from "./ground.ts";

/** Whole, in the share of most rows; what a row does wrong it does to another. */
export const OLD = "6.1.0-9-amd64";
export const NEW = "6.1.0-10-amd64";

export interface Outcome {
  /** The release that is staged; none where the start is refused. */
  readonly boots?: string;
  readonly source?: "links" | "entries" | "highest" | "good";
  /** `release: reason` of what was passed over; the whole list, in order. */
  readonly passedOver: readonly string[];
  /** What is said of the one that is staged; not compared where it is not given. */
  readonly notes?: readonly string[];
}

export interface Row {
  readonly name: string;
  /** What it is made in; by default the two ways of sharing, each as its guest's root fills it. */
  readonly forms?: readonly Form[];
  /** The guest was good before, and the host has that pair. */
  readonly good?: boolean;
  /** Most memory of a start, in MiB, where it is not what it is for all others. */
  readonly maxMiB?: number;
  readonly make: (share: HostileShare) => void | Promise<void>;
  readonly expect: (form: Form) => Outcome;
}

const BOTH: readonly Form[] = ["9p", "virtiofs"];
export const REAL: readonly Form[] = ["virtiofs", "taken-over"];

export const formsOf = (row: Row): readonly Form[] => row.forms ?? BOTH;

export function pair(share: HostileShare, release: string): void {
  share.file(`vmlinuz-${release}`, kernelOf(release));
  share.file(`initrd.img-${release}`, initrdOf(release));
}

export function links(share: HostileShare, release: string): void {
  share.link("vmlinuz", `vmlinuz-${release}`);
  share.link("initrd.img", `initrd.img-${release}`);
}

export const boots = (release: string, source: Outcome["source"], ...passedOver: string[]): Outcome => ({
  boots: release,
  source: source ?? "highest",
  passedOver,
});
export const refused = (...passedOver: string[]): Outcome => ({ passedOver });
export const fallsBack = (...passedOver: string[]): Outcome => boots(OLD, "highest", ...passedOver);
