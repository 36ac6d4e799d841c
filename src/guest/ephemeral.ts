/**
 * Ephemeral guests: a clone that is there for one piece of work. It is deleted when that is done, has failed or was
 * interrupted, and by the service or the next command where this process was killed (abandoned.ts).
 */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { readPolicy } from "../boot/policy.ts";
import { readReport } from "../boot/report.ts";
import { bootTimeout } from "../boot/timeout.ts";
import { EXIT, UserError } from "../errors.ts";
import { run } from "../process.ts";
import { deleteAbandoned } from "./abandoned.ts";
import { type CloneOptions, makeClone } from "./clone.ts";
import { serialTail } from "./create.ts";
import type { ReachableGuest } from "./in-guest.ts";
import { definitionOf, findGuest, type Guest } from "./inventory.ts";
import { startGuest } from "./life.ts";
import { type Endpoint, sshArguments, sshEndpoint } from "./ssh.ts";

export interface EphemeralOptions extends Omit<CloneOptions, "name"> {
  /** Name or UUID of a guest that is off (clone.ts). */
  readonly source: string;
  /** How its name begins: `run`, `build`. A plain word; something random follows. */
  readonly purpose: string;
  /** Seconds that it may take until it can be used; 0 for no limit. What a boot of this guest may take by default. */
  readonly bootTimeout?: number | undefined;
  /** A few words on what is going on. */
  readonly onPhase?: ((phase: string) => void) | undefined;
}

/** How often ssh is tried, and what one try may take, in milliseconds. */
const TRY_EVERY_MS = 1000;
const TRY_MS = 120_000;
/** A guest that has not reported by then is tried all the same, in milliseconds. */
const UNREPORTED_MS = 60_000;

/**
 * Makes an ephemeral guest, boots it, waits until a program can be run in it, and deletes it when `act` is done, whatever
 * becomes of it.
 *
 * What is waited for is ssh, and not the boot gate: the kernel was good on this very disk before, so there is nothing to be
 * judged; and ssh answers when host name, keys and network are what they should be, well before the last unit has started.
 *
 * @param signal interrupts it, at any point: the guest is deleted, then the signal's reason is thrown
 * @throws {UserError} those of `makeClone`; `EPHEMERAL_DIED`, `EPHEMERAL_TIMEOUT` with the end of its serial log; and what
 *   `act` throws
 */
export async function withEphemeralGuest<T>(
  options: EphemeralOptions,
  signal: AbortSignal,
  act: (guest: ReachableGuest) => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const { source, purpose, onPhase = () => {}, ...rest } = options;
  const name = `${purpose}-${randomBytes(4).toString("hex")}`;
  onPhase(`cloning ${source}`);
  const { guest, held } = await makeClone(source, { tell: onPhase, ...rest, name }, true);
  try {
    signal.throwIfAborted();
    onPhase("booting");
    await startGuest(guest);
    return await act({ ...guest, endpoint: await untilReachable(guest, options, signal) });
  } finally {
    onPhase("deleting it");
    // From here on it is anybody's to delete; and it is deleted here.
    held.release();
    await deleteAbandoned(guest.uuid);
  }
}

/** Waits until a program can be run in a guest that was just started. */
async function untilReachable(
  guest: Guest,
  { bootTimeout: wanted }: EphemeralOptions,
  signal: AbortSignal,
): Promise<Endpoint> {
  const { accel } = await definitionOf(guest);
  const seconds = bootTimeout(wanted ?? readPolicy(guest.paths).bootTimeout, accel, false);
  const began = Date.now();
  let endpoint: Endpoint | undefined;
  for (let round = 0; ; round++) {
    signal.throwIfAborted();
    const up = readReport(guest.paths).up !== undefined || Date.now() - began > UNREPORTED_MS;
    // libvirt is asked now and then only; the report is a small file.
    const present = up || round % 5 === 4 ? await findGuest(guest.uuid) : undefined;
    if (present?.status.state === "shut off") {
      throw new UserError(
        "EPHEMERAL_DIED",
        `The ephemeral guest ${guest.name} went off while it was booting.`,
        {
          detail: await serialTail(guest.paths),
          hint: "See whether the guest that it was made from boots: start it, and look at 'bootshare logs'.",
        },
      );
    }
    if (up && present?.status.state === "running") {
      endpoint ??= await endpointOf(present);
      if (endpoint !== undefined) {
        const tried = await run("ssh", sshArguments(guest, endpoint, ["true"]), {
          timeoutMs: TRY_MS,
          signal,
        });
        signal.throwIfAborted();
        if (tried.exitCode === 0) return endpoint;
      }
    }
    if (seconds !== undefined && Date.now() - began > seconds * 1000) {
      throw new UserError(
        "EPHEMERAL_TIMEOUT",
        `The ephemeral guest ${guest.name} could not be reached by ssh within ${seconds} s.`,
        {
          exitCode: EXIT.timeout,
          detail: await serialTail(guest.paths),
          hint: "--boot-timeout gives it longer.",
        },
      );
    }
    await sleep(TRY_EVERY_MS, undefined, { signal }).catch(() => {});
  }
}

/** Undefined while no address is known yet. */
async function endpointOf(guest: Guest): Promise<Endpoint | undefined> {
  try {
    return await sshEndpoint(guest);
  } catch (error) {
    if (error instanceof UserError && error.code === "NO_ADDRESS") return undefined;
    throw error;
  }
}
