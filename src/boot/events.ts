/**
 * The events of a guest's boots: one JSON object per line of `boots.jsonl`, append only. Everything that bootshare
 * knows of a guest's boots follows from these lines ({@link ./state.ts}), so that no process has to lock a state file:
 * the hook, the commands and the reconciler only ever append.
 *
 * The file is written by root alone. It may end in a torn line after a crash, and may hold lines of a later version:
 * both are passed over, never an error.
 */
import { z } from "zod";
import { CONFIG_OPTIONS } from "../kernel/config.ts";

/** The version of the lines that this program writes. Lines of another version are passed over. */
export const EVENTS_VERSION = 1;

const time = z.iso.datetime();
const attempt = z.string();

/** A kernel and initrd that were copied from the share, as they are kept in the pair store. */
export const pairSchema = z.object({
  /** Names the pair by its bytes: the first 32 hex digits of a SHA-256 over both files' SHA-256. */
  id: z.string().regex(/^[0-9a-f]{32}$/),
  /** Kernel release, as the file name or the image says; printable text. */
  release: z.string(),
  /** File names in the share that it was copied from; printable text. */
  kernel: z.string(),
  initrd: z.string(),
  /**
   * The configuration that lay beside it, so that a pair which has left the share can still be asked whether it fits the
   * domain. What a version with other options wrote counts as not known, and never costs the event.
   */
  config: z
    .record(z.enum(CONFIG_OPTIONS), z.enum(["y", "m", "n"]))
    .optional()
    .catch(undefined),
});
export type Pair = z.infer<typeof pairSchema>;

/** Where the choice of a pair came from. */
export const sourceSchema = z.enum(["pin", "links", "entries", "highest", "good", "provided"]);
export type Source = z.infer<typeof sourceSchema>;

/** How a boot ended, from the guest's report where it said so, else from libvirt's reason. */
export const endSchema = z.enum([
  "reboot",
  "poweroff",
  "halt",
  "reset",
  "destroyed",
  "crashed",
  "failed",
  /** Not good in time, so the reconciler ended it. */
  "timeout",
  /** The host went down, and it with the host. */
  "host-down",
  "unknown",
]);
export type EndReason = z.infer<typeof endSchema>;

const base = { v: z.literal(EVENTS_VERSION), t: time };

export const eventSchema = z.discriminatedUnion("e", [
  /** A person or the reconciler asked for something. `start` events of the reconciler count against the start limit. */
  z.object({
    ...base,
    e: z.literal("asked"),
    what: z.enum(["start", "stop", "reboot"]),
    by: z.enum(["person", "reconciler"]),
    /** As in `prepare`, where the time matters: of a start that counts against the limit. */
    hostBoot: z.string().optional(),
    m: z.number().optional(),
    /** Reconciler: why; counts against the start limit when `unclean`. */
    why: z.string().optional(),
    unclean: z.boolean().optional(),
  }),
  /**
   * A pair that the host put together for the first boot, because no initrd that was made on it counts. It is not in the
   * share, and serves until a boot was good.
   */
  z.object({ ...base, e: z.literal("provided"), pair: pairSchema }),
  /** The guest is a clone: another guest booted this pair, on the same disk, and was good. */
  z.object({ ...base, e: z.literal("cloned"), from: z.string(), pair: pairSchema }),
  /**
   * The domain was made by somebody else and became a guest. Until a boot of it was reported good, nobody knows whether the
   * parts that report are in it, so its silence says nothing (state.ts, `silent`).
   */
  z.object({ ...base, e: z.literal("adopted") }),
  /** A pair was staged for a new boot attempt, by the hook or in its stead. */
  z.object({
    ...base,
    e: z.literal("prepare"),
    attempt,
    pair: pairSchema,
    source: sourceSchema,
    why: z.string(),
    /** Sentences on what is not known of it, or will be missed; printable text. */
    notes: z.array(z.string()).optional(),
    /** Candidates that were passed over, and why, best first. */
    skipped: z.array(z.object({ release: z.string(), reason: z.string() })),
    /** The host's boot id: another one later means that the host was rebooted. */
    hostBoot: z.string(),
    /** The host's monotonic clock, in milliseconds, of meaning within `hostBoot` alone: `t` jumps when the clock is set. */
    m: z.number().optional(),
    /** The boot is to be good within so many seconds; no limit where it is not there. */
    timeout: z.number().positive().optional(),
    /** Names, sizes and times of the files that the pair was copied from, to know them again without reading them. */
    files: z.string().optional(),
    /**
     * false: libvirt calls no hook. bootshare itself staged the pair, says *started*, and nobody will say *released*.
     */
    hook: z.boolean().optional(),
  }),
  /** The domain was put into another layout while it was off, for this release. */
  z.object({
    ...base,
    e: z.literal("reshaped"),
    to: z.object({ bus: z.enum(["pci", "mmio", "ccw"]), highmem: z.boolean() }),
    release: z.string(),
    /** A phrase that follows the release. */
    why: z.string(),
  }),
  /** Nothing was found that boots, and the start was refused. */
  z.object({
    ...base,
    e: z.literal("refused"),
    reason: z.string(),
    /** The disk was why, and not what is in the guest's /boot: it may be better at the next start. */
    disk: z.boolean().optional(),
  }),
  /** A saved guest is being restored: its attempt goes on with the kernel in its memory. */
  z.object({ ...base, e: z.literal("restore"), m: z.number().optional() }),
  /** QEMU runs. */
  z.object({ ...base, e: z.literal("started") }),
  /** libvirt let go of the domain. `reason` since libvirt 10.5. */
  z.object({ ...base, e: z.literal("released"), reason: z.string().optional() }),
  /** The guest's kernel said that it is up. `t` is when the host saw it. */
  z.object({ ...base, e: z.literal("up"), attempt, release: z.string() }),
  /** The guest passed its boot gate. */
  z.object({ ...base, e: z.literal("good"), attempt, release: z.string() }),
  /** It was not good in time: the reconciler is about to end it. */
  z.object({ ...base, e: z.literal("overdue"), attempt }),
  /** A person wants this release from now on, or with none whatever is best. A pinned release has all its tries again. */
  z.object({ ...base, e: z.literal("pinned"), release: z.string().optional() }),
  /** The attempt is over. */
  z.object({ ...base, e: z.literal("end"), attempt, how: endSchema }),
  /** The guest should be running, or off, from now on. */
  z.object({ ...base, e: z.literal("desired"), state: z.enum(["on", "off"]), why: z.string() }),
  /** The reconciler stopped trying. Cleared when a person starts the guest. */
  z.object({ ...base, e: z.literal("gave-up"), why: z.string() }),
  /** What the lines before this one came to, when the log was cut. */
  z.object({
    ...base,
    e: z.literal("checkpoint"),
    good: pairSchema.optional(),
    /** The one that was good before that. */
    goodBefore: pairSchema.optional(),
    provided: pairSchema.optional(),
    /** Ids of pairs, each with its attempts that were bad. Without those that were good since. */
    bad: z.record(z.string(), z.number().int().positive()).optional(),
    /** It was adopted, and no boot of it was good yet. */
    silent: z.boolean().optional(),
    desired: z.enum(["on", "off"]),
  }),
]);
export type BootEvent = z.infer<typeof eventSchema>;

type Unstamped<T> = T extends BootEvent ? Omit<T, "v" | "t"> : never;
/** An event without version and time, which {@link stamp} adds. */
export type NewEvent = Unstamped<BootEvent>;

/** Adds version and time. */
export function stamp(event: NewEvent, now: Date): BootEvent {
  return { v: EVENTS_VERSION, t: now.toISOString(), ...event };
}

/** One line of the file, with its end of line. */
export function eventLine(event: BootEvent): string {
  return `${JSON.stringify(event)}\n`;
}

/** Reads the lines of a file, oldest first; what is no event of this version is passed over. */
export function parseEvents(text: string): BootEvent[] {
  const events: BootEvent[] = [];
  for (const line of text.split("\n")) {
    if (line === "") continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      continue;
    }
    const parsed = eventSchema.safeParse(value);
    if (parsed.success) events.push(parsed.data);
  }
  return events;
}
