/** Where the root disk of a new guest comes from: what Creation asks of it. */
import type { Provisioned, ProvisionProgress } from "../provision/provision.ts";
import type { CreatePlan } from "./plan.ts";
import type { Worker } from "./worker.ts";

/** What a root disk is made with. */
export interface RootDiskOrder {
  /** The folder of {@link RootDiskSource.plan}. */
  readonly work: string;
  readonly plan: CreatePlan;
  readonly hostname: string;
  readonly mac: string;
  /** Public keys that may log in as root, one line each. */
  readonly authorizedKeys: readonly string[];
  /** Where the guest is a worker. */
  readonly worker: Worker | undefined;
}

/** A way to a root disk and a first /boot. */
export interface RootDiskSource {
  /** What the step that makes the disk is called. */
  readonly title: string;
  /** Finds what a person can have got wrong, before anything is made. */
  check(): Promise<void>;
  /**
   * Chooses everything that can be chosen before the disk is made.
   *
   * @param work a folder for this alone, not made yet; it goes away with a creation that fails
   */
  plan(work: string, progress: ProvisionProgress, signal: AbortSignal): Promise<CreatePlan>;
  /** Makes the disk. @throws the signal's reason when aborted */
  make(order: RootDiskOrder, progress: ProvisionProgress, signal: AbortSignal): Promise<Provisioned>;
}
