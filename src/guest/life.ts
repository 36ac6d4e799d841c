/** A guest's life as a person asks for it: start, stop, reboot, and waiting for what comes of it. */
import { setTimeout as sleep } from "node:timers/promises";
import { appendEvents, readEvents } from "../boot/log.ts";
import { EXIT, UserError } from "../errors.ts";
import { destroyDomain, shutdownDomain } from "../libvirt/virsh.ts";
import { findGuest, type Guest, type GuestView, look } from "./inventory.ts";
import { launch } from "./launch.ts";
import { LOCK_WAIT_MS, withGuestLock } from "./lock.ts";
import { reshape } from "./reshape.ts";

/** Says a sentence to whoever asked. */
export type Tell = (sentence: string) => void;

/**
 * Starts a guest that is off. The hook, or what stands in for it, chooses the kernel, for which the domain is changed where it
 * must be.
 *
 * @param tell what was done to the domain, or could not be
 * @throws {UserError} `GUEST_RUNNING`, `HOOK_REFUSED_START`, `NOTHING_BOOTABLE`, `HOOK_NOT_CALLED`, …
 */
export async function startGuest(guest: Guest, tell: Tell = () => {}): Promise<void> {
  await withGuestLock(guest, LOCK_WAIT_MS, async () => {
    const view = look(await findGuest(guest.uuid));
    if (view.status.state !== "shut off") {
      throw new UserError("GUEST_RUNNING", `The guest ${guest.name} is ${view.status.state} already.`, {
        exitCode: EXIT.conflict,
      });
    }
    await startOff(view, tell);
  });
}

/** Starts a guest that is known to be off; the caller holds its lock. */
async function startOff(view: GuestView, tell: Tell): Promise<void> {
  const change = await reshape(view);
  if (change !== undefined) tell(change.sentence);
  const before = lastHookCall(view);
  appendEvents(view.paths, [{ e: "asked", what: "start", by: "person" }]);
  let failure: unknown;
  try {
    await launch(view);
  } catch (error) {
    failure = error;
  }
  const called = lastHookCall(view) !== before;
  if (failure === undefined && called) return;
  // Whoever asked sees the error now; starting it behind their back later would surprise.
  appendEvents(view.paths, [{ e: "desired", state: "off", why: "its start failed" }]);
  if (called || failure !== undefined) throw failure;
  await destroyDomain(view.uuid);
  throw new UserError(
    "HOOK_NOT_CALLED",
    `libvirt did not call bootshare's hook for ${view.name}, so it was not started.`,
    {
      exitCode: EXIT.unusable,
      hint: "Put the hook in place with 'bootshare hook install --restart'.",
    },
  );
}

/** When it was last written that a kernel was chosen for a start of this guest, or none could be. */
function lastHookCall({ paths }: GuestView): string | undefined {
  return readEvents(paths).findLast(({ e }) => e === "prepare" || e === "refused" || e === "restore")?.t;
}

export interface StopOptions {
  /** Do not ask the guest: cut its power. */
  readonly force: boolean;
  readonly timeoutMs: number;
  /** Ends the waiting; the guest may then shut down all the same. */
  readonly signal?: AbortSignal;
}

/**
 * Shuts a guest down and waits until it is off. It stays off until it is started.
 *
 * @throws {UserError} `STOP_TIMEOUT` when the guest did not shut down in time; it is still running then
 */
export async function stopGuest(guest: Guest, options: StopOptions): Promise<void> {
  await withGuestLock(guest, LOCK_WAIT_MS, async () => {
    appendEvents(guest.paths, [{ e: "asked", what: "stop", by: "person" }]);
    const { status } = await findGuest(guest.uuid);
    if (status.state === "shut off") return;
    if (options.force) await destroyDomain(guest.uuid);
    else await shutDown(guest, options);
    look(await findGuest(guest.uuid));
  });
}

/**
 * Reboots a guest into the kernel that the hook chooses: shut down, and started again. Should bootshare be killed in
 * between, the reconciler starts it. A guest that is off is started.
 *
 * @param tell as for {@link startGuest}
 */
export async function rebootGuest(guest: Guest, options: StopOptions, tell: Tell = () => {}): Promise<void> {
  await withGuestLock(guest, LOCK_WAIT_MS, async () => {
    const { status } = await findGuest(guest.uuid);
    if (status.state !== "shut off") {
      appendEvents(guest.paths, [{ e: "asked", what: "reboot", by: "person" }]);
      if (options.force) await destroyDomain(guest.uuid);
      else await shutDown(guest, options);
    }
    await startOff(look(await findGuest(guest.uuid)), tell);
  });
}

/** Asks the guest's agent, else its power button, and waits until the domain is off. */
async function shutDown(guest: Guest, { timeoutMs, signal }: StopOptions): Promise<void> {
  const until = Date.now() + timeoutMs;
  await shutdownDomain(guest.uuid);
  while (Date.now() < until) {
    if ((await findGuest(guest.uuid)).status.state === "shut off") return;
    signal?.throwIfAborted();
    await sleep(1000, undefined, signal === undefined ? {} : { signal });
  }
  throw new UserError(
    "STOP_TIMEOUT",
    `The guest ${guest.name} did not shut down within ${timeoutMs / 1000} s; it is still running.`,
    {
      exitCode: EXIT.timeout,
      hint: `Look at it with 'bootshare console ${guest.name}', or cut its power with --force.`,
    },
  );
}

/**
 * Waits until the guest's present attempt, or one that replaces it, is good.
 *
 * @param onChange called when the phase of the boot changes, with a few words
 * @throws {UserError} `BOOT_TIMEOUT`, `GUEST_FAILED`, `GUEST_OFF`
 */
export async function waitForGood(
  guest: Guest,
  timeoutMs: number,
  onChange: (phase: string) => void = () => {},
  signal?: AbortSignal,
): Promise<GuestView> {
  const until = Date.now() + timeoutMs;
  let said = "";
  const say = (phase: string): void => {
    if (phase !== said) onChange(phase);
    said = phase;
  };
  let present = guest;
  for (let round = 0; ; round++) {
    signal?.throwIfAborted();
    // The report is a small file: read it every second; ask libvirt now and then only.
    if (round % 5 === 0) present = await findGuest(guest.uuid);
    const view = look(present);
    const { current, failed } = view.state;
    if (failed !== undefined) {
      throw new UserError("GUEST_FAILED", `The guest ${guest.name} failed: ${failed.why}.`, {
        hint: `See 'bootshare history ${guest.name}' and 'bootshare logs ${guest.name}'.`,
      });
    }
    if (current?.good !== undefined && current.ended === undefined) return view;
    if (view.state.desired === "off" && present.status.state === "shut off") {
      throw new UserError("GUEST_OFF", `The guest ${guest.name} went off before its boot was good.`, {
        exitCode: EXIT.conflict,
        hint: `See 'bootshare logs ${guest.name}'.`,
      });
    }
    say(
      current?.up === undefined
        ? "waiting for its kernel"
        : `${current.reported ?? "the kernel"} is up, services are starting`,
    );
    if (Date.now() >= until) {
      throw new UserError(
        "BOOT_TIMEOUT",
        `The guest ${guest.name} was not up within ${Math.round(timeoutMs / 1000)} s.`,
        {
          exitCode: EXIT.timeout,
          hint: `Look at 'bootshare logs ${guest.name}' and 'bootshare console ${guest.name}'; --timeout (of create: --boot-timeout) gives it longer.`,
        },
      );
    }
    await sleep(1000, undefined, signal === undefined ? {} : { signal });
  }
}
