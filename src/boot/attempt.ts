/** One boot attempt, as the events tell it. */
import type { Layout } from "../kernel/features.ts";
import type { EndReason, Pair, Source } from "./events.ts";

/** A change of the domain's layout, for a kernel. */
export interface Reshaped {
  /** ISO 8601. */
  readonly t: string;
  readonly to: Layout;
  readonly release: string;
  readonly why: string;
}

/** One boot attempt, from the hook's choice to its end. Times are ISO 8601. */
export interface Attempt {
  readonly id: string;
  /** When somebody asked for it, where that is known; else when libvirt did. */
  readonly asked: string;
  readonly askedBy: "person" | "reconciler" | "libvirt";
  readonly prepared: string;
  readonly pair: Pair;
  readonly source: Source;
  readonly why: string;
  readonly skipped: readonly { readonly release: string; readonly reason: string }[];
  readonly hostBoot: string;
  /** When it was prepared, on the monotonic clock of `hostBoot`, in milliseconds. */
  readonly m?: number;
  /** By when it is to be good, on the monotonic clock of `hostBoot`, in milliseconds; undefined for no limit. */
  readonly deadline?: number;
  /** Seconds that it was given for that. */
  readonly timeout?: number;
  /** What was done to the domain since the attempt before this one. */
  readonly reshaped?: Reshaped;
  /** libvirt calls the hook, which says when it lets go of the domain. */
  readonly hooked: boolean;
  /** The guest was adopted, and had reported no good boot before: how this one ended says nothing unless the guest does. */
  readonly silent: boolean;
  /** QEMU ran. */
  readonly started?: string;
  /** libvirt let go of the domain, and has not taken it up again (restore). */
  readonly released?: string;
  /** The kernel reported. */
  readonly up?: string;
  readonly good?: string;
  /** The release that the guest reported, for what its word is worth. */
  readonly reported?: string;
  /** It was not good in time, and the reconciler is ending it. */
  readonly overdue: boolean;
  /** A person asked for its end before it was good. */
  readonly interrupted: boolean;
  readonly ended?: string;
  readonly how?: EndReason;
}

/** Whether QEMU ran in this attempt: the hook said so or, should that line be lost, the guest did. */
export function everRan(attempt: Pick<Attempt, "started" | "up" | "good">): boolean {
  return attempt.started !== undefined || attempt.up !== undefined || attempt.good !== undefined;
}
