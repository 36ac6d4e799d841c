/** A root disk that Debian is installed on, by mmdebstrap. */
import type { ObsWorkerFacts } from "../provision/obs-worker.ts";
import { type Provisioned, type ProvisionProgress, provisionRootDisk } from "../provision/provision.ts";
import { ensureUserEmulation } from "../provision/user-emulation.ts";
import { requireUserNamespace } from "../provision/user-namespace.ts";
import { type CreateOptions, type CreatePlan, planGuest } from "./plan.ts";
import type { RootDiskOrder, RootDiskSource } from "./root-disk.ts";

export class DebianDisk implements RootDiskSource {
  readonly title = "Install Debian";
  readonly #options: CreateOptions;
  #plan: CreatePlan | undefined;

  constructor(options: CreateOptions) {
    this.#options = options;
  }

  async check(): Promise<void> {
    this.#plan = await planGuest(this.#options, ensureUserEmulation);
    await requireUserNamespace();
  }

  async plan(): Promise<CreatePlan> {
    if (this.#plan === undefined) throw new Error("the machine has not been checked");
    return this.#plan;
  }

  async make(
    { plan, worker, ...order }: RootDiskOrder,
    progress: ProvisionProgress,
    signal: AbortSignal,
  ): Promise<Provisioned> {
    const { diskBytes, kernelPackage, mirror, securityMirror, security, updates } = this.#options;
    const { extraPackages = [], buildChroot } = this.#options;
    return await provisionRootDisk(
      {
        ...order,
        suite: plan.suite,
        arch: plan.shape.arch,
        kernelArch: plan.shape.kernelArch,
        stage: plan.stage,
        transport: plan.transport.name,
        kernelPackage,
        diskBytes,
        shareFstabLine: plan.transport.fstabLine,
        mirror,
        securityMirror,
        security,
        updates,
        obsWorker: obsWorkerFacts(plan, worker),
        extraPackages,
        buildChroot,
      },
      progress,
      signal,
    );
  }
}

function obsWorkerFacts(
  { worker: planned }: CreatePlan,
  worker: RootDiskOrder["worker"],
): ObsWorkerFacts | undefined {
  if (planned === undefined || worker === undefined) return undefined;
  const { instances, jobs, portBase } = worker;
  return { ...planned.guest, instances, jobs, portBase };
}
