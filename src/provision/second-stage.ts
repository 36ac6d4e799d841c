/**
 * How the maintainer scripts of a guest's packages are run while its disk is made (debootstrap's "second stage"): a pure
 * decision.
 */
import { EXIT, UserError } from "../errors.ts";
import type { DebianArch } from "../kernel/arch.ts";
import { mayRunPrograms } from "../machine/processor.ts";
import type { Emulation } from "./user-emulation.ts";

export type SecondStage =
  /** By this host's processor. */
  | "native"
  /** By this host, through QEMU's user-mode emulation. */
  | "qemu-user"
  /** By the guest itself, in its first boot. Works on every host, and takes a whole emulated machine's time. */
  | "guest";

/** `host`: on this host, in whatever way it can. */
export type SecondStageChoice = "auto" | "host" | "guest";

export interface SecondStageFacts {
  /** Debian's name of the host's architecture, or Node's where Debian has none. */
  readonly host: string;
  /** 32-bit programs run on this arm64 host; undefined: not known. */
  readonly arm32El0: boolean | undefined;
  /** Asked for where the host's processor does not run the programs. */
  readonly emulation: () => Promise<Emulation>;
}

/** Whether this host's own processor runs programs of an architecture. */
export function runsNatively(
  arch: DebianArch,
  { host, arm32El0 }: Pick<SecondStageFacts, "host" | "arm32El0">,
): boolean {
  if (!mayRunPrograms(arch, host)) return false;
  return host !== "arm64" || arch === "arm64" || arm32El0 === true;
}

/**
 * Chooses the way: the host where it can, for user-mode emulation is about twice as fast as a whole emulated machine.
 *
 * @throws {UserError} `FOREIGN_PROGRAMS` where the host was asked for and runs such programs in no way
 */
export async function secondStage(
  arch: DebianArch,
  facts: SecondStageFacts,
  wanted: SecondStageChoice,
): Promise<SecondStage> {
  if (wanted === "guest") return "guest";
  if (runsNatively(arch, facts)) return "native";
  const { usable, found, fix } = await facts.emulation();
  if (usable) return "qemu-user";
  if (wanted === "auto") return "guest";
  throw new UserError(
    "FOREIGN_PROGRAMS",
    `This host cannot run the installation scripts of ${arch} packages: ${found}.`,
    {
      exitCode: EXIT.unusable,
      hint: `${fix === undefined ? "" : `Mend it with: ${fix}; or `}let the guest run them itself: --second-stage guest`,
    },
  );
}

/**
 * Whether an initrd that is made during the installation counts. Under user-mode emulation it can be broken without a word:
 * one that was made so for Debian 13 armhf had neither virtio_blk nor ext4 in it.
 */
export function initrdCounts(stage: SecondStage): boolean {
  return stage === "native";
}
