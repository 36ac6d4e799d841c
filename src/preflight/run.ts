/** Starts the look into an initrd in a process of its own (preflight.ts), and reads strictly what that says. */
import { z } from "zod";
import { INITRD_FORMATS } from "../kernel/initrd.ts";
import {
  COMPRESSIONS,
  DRIVERS,
  INITRD_MAKERS,
  INITRD_PROBLEMS,
  type InitrdFacts,
  MAX_MISSING,
  MAX_MODULE_NAME,
  MAX_PARTS,
  MAX_RELEASES,
} from "../kernel/initrd-facts.ts";
import { INITRD_MAX_UNPACKED_BYTES } from "../kernel/limits.ts";
import { type Confinement, runConfined } from "../process.ts";
import { printable } from "../text.ts";
import type { LookLimits } from "./look.ts";

declare const BOOTSHARE_PREFLIGHT: string | undefined;

/** The text of the program, put in by the build; none when run from the sources. */
const PROGRAM = typeof BOOTSHARE_PREFLIGHT === "string" ? BOOTSHARE_PREFLIGHT : undefined;

const name = z.string().max(MAX_MODULE_NAME);
const count = z.number().int().nonnegative();

/** What was gathered by a process that met a guest's bytes: its shape is believed, and no more. */
export const factsSchema: z.ZodType<InitrdFacts> = z.strictObject({
  formats: z.array(z.enum(INITRD_FORMATS)).max(MAX_PARTS),
  archives: count,
  bytes: count,
  init: z.boolean(),
  madeBy: z.enum(INITRD_MAKERS),
  releases: z
    .array(
      z.strictObject({
        release: name,
        listsBuiltIn: z.boolean(),
        drivers: z.record(
          z.enum(DRIVERS),
          z.strictObject({
            state: z.enum(["present", "built-in", "absent"]),
            missing: z.array(name).max(MAX_MISSING),
          }),
        ),
      }),
    )
    .max(MAX_RELEASES),
  problem: z.enum(INITRD_PROBLEMS).optional(),
  notUnpacked: z.enum(COMPRESSIONS).optional(),
  unseenAfter: z.enum(COMPRESSIONS).optional(),
});

export type Looked =
  | {
      readonly ok: true;
      readonly facts: InitrdFacts;
      /** They follow from the bytes alone: another look would say the same. */
      readonly lasting: boolean;
    }
  /** A phrase that follows "could not be looked into: ". Printable. */
  | { readonly ok: false; readonly reason: string };

export interface LookOptions {
  /** The text of the program; that of this build by default. */
  readonly program?: string | undefined;
  readonly limits?: LookLimits;
  readonly confinement?: Confinement;
}

const CONFINEMENT: Confinement = {
  cpuSeconds: 30,
  // What Node.js reserves, of which it uses little, and what unpackers need.
  memoryBytes: 2 * 1024 * 1024 * 1024,
  timeoutMs: 60_000,
  maxOutput: 256 * 1024,
};

/** The heap of the program that looks, in MiB. */
const HEAP_MIB = 192;

/**
 * Looks into an initrd. Synchronous, as the hook is; a minute is the longest that it takes.
 *
 * @param fd a regular file that is open for reading, at any position. Not trusted
 */
export function lookIntoInitrd(fd: number, options: LookOptions = {}): Looked {
  const { program = PROGRAM, limits = { maxBytes: INITRD_MAX_UNPACKED_BYTES } } = options;
  if (program === undefined) return { ok: false, reason: "bootshare is run from its sources" };
  const args = [`--max-old-space-size=${HEAP_MIB}`, "--input-type=module", "-", JSON.stringify(limits)];
  const { confinement = CONFINEMENT } = options;
  const result = runConfined(process.execPath, args, program, fd, confinement);
  if (result.missing) return { ok: false, reason: "prlimit is not installed" };
  if (result.signal === "SIGXCPU") return { ok: true, facts: TOO_LONG, lasting: false };
  // It waits for nothing, so what it had too little of is the processor: no fault of the initrd's.
  if (result.timedOut) {
    return {
      ok: false,
      reason: `this machine is busy, and it took more than ${confinement.timeoutMs / 1000} s`,
    };
  }
  const facts = factsOf(result.stdout);
  if (result.exitCode === 0 && facts !== undefined) return { ok: true, facts, lasting: isLasting(facts) };
  const last = result.stderr.trim().split("\n").at(-1) ?? "";
  return { ok: false, reason: `the program for it failed (${printable(last || "without a word")})` };
}

/** Nothing is known of it but this. */
const TOO_LONG: InitrdFacts = {
  formats: [],
  archives: 0,
  bytes: 0,
  init: false,
  madeBy: "unknown",
  releases: [],
  problem: "too-long",
};

/** A slow moment, or a program that is missing today, says nothing of tomorrow. */
function isLasting({ problem, notUnpacked }: InitrdFacts): boolean {
  return problem !== "too-long" && notUnpacked === undefined;
}

function factsOf(text: string): InitrdFacts | undefined {
  try {
    return factsSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
