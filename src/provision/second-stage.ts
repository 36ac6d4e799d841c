/**
 * How the maintainer scripts of a guest's packages are run while its disk is made (debootstrap's "second stage"): a pure
 * decision.
 */
import { EXIT, UserError } from "../errors.ts";
import type { DebianArch } from "../kernel/arch.ts";
import type { Emulation } from "./user-emulation.ts";

export type SecondStage =
  /** By this host's processor. */
  | "native"
  /** By this host, through QEMU's user-mode emulation. */
  | "qemu-user";

export interface SecondStageFacts {
  /** Debian's name of the host's architecture, or Node's where Debian has none. */
  readonly host: string;
  /** 32-bit programs run on this arm64 host; undefined: not known. */
  readonly programs32: boolean | undefined;
  /** Asked for where the host's processor does not run the programs. */
  readonly emulation: () => Promise<Emulation>;
}

/** Whether this host's own processor runs programs of an architecture. */
export function runsNatively(
  arch: DebianArch,
  { host, programs32 }: Pick<SecondStageFacts, "host" | "programs32">,
): boolean {
  if (arch === host) return true;
  if (host === "amd64") return arch === "i386";
  return host === "arm64" && (arch === "armhf" || arch === "armel") && programs32 === true;
}

/** @throws {UserError} `FOREIGN_PROGRAMS` where this host runs programs of the architecture in no way */
export async function secondStage(arch: DebianArch, facts: SecondStageFacts): Promise<SecondStage> {
  if (runsNatively(arch, facts)) return "native";
  const { usable, found, fix } = await facts.emulation();
  if (usable) return "qemu-user";
  throw new UserError(
    "FOREIGN_PROGRAMS",
    `This host cannot run the installation scripts of ${arch} packages: ${found}.`,
    { exitCode: EXIT.unusable, ...(fix === undefined ? {} : { hint: `Mend it with: ${fix}` }) },
  );
}

/**
 * Whether an initrd that is made during the installation counts. Under user-mode emulation it can be broken without a word:
 * one that was made so for Debian 13 armhf had neither virtio_blk nor ext4 in it.
 */
export function initrdCounts(stage: SecondStage): boolean {
  return stage === "native";
}
