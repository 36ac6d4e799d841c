/** What a person can wish of an installation by Debian's installer. */
import { EXIT, UserError } from "../errors.ts";
import type { CreateOptions } from "./plan.ts";

export interface InstallerWishes {
  /** A folder or a package with the installer's kernel and initrd, as a person typed it; Debian's package where undefined. */
  readonly netboot: string | undefined;
  /** A file with a person's own answers. */
  readonly preseedFile: string | undefined;
  /** The person answers on this terminal. */
  readonly interactive: boolean;
}

/** What a guest that the installer makes is not, by the name of its option. @throws {UserError} `USAGE` */
export function requireInstallerWishes(
  options: CreateOptions,
  wishes: InstallerWishes,
  terminal: boolean,
): void {
  const refuse = (sentence: string, hint: string): never => {
    throw new UserError("USAGE", sentence, { exitCode: EXIT.usage, hint });
  };
  if (options.worker !== undefined)
    refuse(
      "--role does not go with --installer.",
      "Make the worker without it: bootshare's own guests can be workers.",
    );
  if (options.secondStage !== "auto")
    refuse(
      "--second-stage does not go with --installer: the installer runs in a machine of the guest's own.",
      "Leave it out.",
    );
  if (options.guestKernelArch !== "auto" && options.guestKernelArch !== "native")
    refuse(
      "--guest-kernel-arch does not go with --installer: it installs a kernel of its own architecture.",
      "Leave it out.",
    );
  if (wishes.interactive && !terminal)
    refuse(
      "--interactive needs a terminal, on which the installer asks its questions.",
      "Give it the answers instead: --preseed FILE",
    );
}
