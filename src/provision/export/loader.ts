/** Boot loaders of exported guests. Pure. */
import type { DebianArch } from "../../kernel/arch.ts";

export interface Loader {
  /** Debian's package of it, and of what installs it. */
  readonly package: string;
}

/** GRUB in the boot sector and in a partition of its own (BIOS boot partition of the GPT; GRUB's manual, "BIOS installation"). */
const GRUB_PC: Loader = { package: "grub-pc" };

/** Kernels of which architectures are given a loader; the others boot as before, by the kernel that their domain names. */
const LOADERS: Partial<Record<DebianArch, Loader>> = { amd64: GRUB_PC, i386: GRUB_PC };

/** What the disk is like that is exported. */
export interface DiskFacts {
  readonly kernelArch: DebianArch;
  /** It has a partition table. */
  readonly partitioned: boolean;
  /** GRUB for the firmware of a PC is installed on it. */
  readonly grub: boolean;
}

/**
 * What boots an exported guest. `own`: the loader that the disk had before. `install`: one that is put in, and where the disk
 * has no partitions, those it needs. `none`: its domain goes on naming a kernel and an initrd.
 */
export type LoaderPlan =
  | { readonly kind: "own" }
  | { readonly kind: "install"; readonly loader: Loader }
  | { readonly kind: "none"; readonly why: string };

/** Decides it. `why` is a clause that follows "It boots by the kernel that its domain names, because". */
export function planLoader({ kernelArch, partitioned, grub }: DiskFacts): LoaderPlan {
  const loader = LOADERS[kernelArch];
  // The machines of others have no firmware that would look for a loader.
  if (loader === undefined) return { kind: "none", why: `bootshare installs no loader for ${kernelArch}` };
  if (partitioned && grub) return { kind: "own" };
  // Room for a loader on a table of somebody else's is not ours to make.
  if (partitioned)
    return { kind: "none", why: "its disk has partitions, and no GRUB that could be set up again" };
  return { kind: "install", loader };
}
