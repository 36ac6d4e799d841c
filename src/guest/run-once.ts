/** Running a domain that is there for one purpose, and goes off by itself when that is done. */
import { setTimeout as sleep } from "node:timers/promises";
import { createTransientDomain, destroyDomain, domainStatuses } from "../libvirt/virsh.ts";

/** How often it is looked at, in milliseconds. */
const POLL_MS = 2000;

export interface OneOffDomain {
  readonly xml: string;
  readonly uuid: string;
  /** Milliseconds. */
  readonly timeoutMs: number;
}

/**
 * Starts it and waits until it is off. Whatever goes wrong, it does not run any more when this returns.
 *
 * @param onTimeout throws what is to be said of one that takes too long
 * @param onLook done at each look; what it throws ends the domain
 * @throws the signal's reason when aborted
 */
export async function runOnce(
  { xml, uuid, timeoutMs }: OneOffDomain,
  onTimeout: () => Promise<never>,
  signal: AbortSignal,
  onLook: () => void = () => {},
): Promise<void> {
  signal.throwIfAborted();
  const until = Date.now() + timeoutMs;
  try {
    await createTransientDomain(xml);
    for (;;) {
      await sleep(POLL_MS, undefined, { signal });
      const ended = (await domainStatuses()).every((one) => one.uuid !== uuid);
      onLook();
      if (ended) return;
      if (Date.now() > until) await onTimeout();
    }
  } catch (error) {
    // What went wrong first is what is told.
    await destroyDomain(uuid).catch(() => {});
    throw error;
  }
}
