/**
 * The hook that people write themselves for guests like ours: /etc/libvirt/hooks/qemu, a shell script that makes the links
 * `virtio-vmlinuz` and `virtio-initrd.img` from text in a guest's /boot. It runs as root on what the guest's root wrote.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync, renameSync } from "node:fs";
import { UserError } from "../errors.ts";
import { OTHERS_HOOK, OTHERS_HOOK_KEPT } from "../paths.ts";

/** Where it is, and where it is kept; tests put in their own. */
export interface OthersHookPlaces {
  readonly file: string;
  readonly kept: string;
}

const PLACES: OthersHookPlaces = { file: OTHERS_HOOK, kept: OTHERS_HOOK_KEPT };

/** Bytes of a hook that are looked at. */
const CAP = 256 * 1024;

/** What such a hook lets a guest do to its host, for a person. */
export const WHY_DANGEROUS =
  "it runs as root on text that the guest's root writes: with -a -- passwd -tetc in its vmlinuz, a guest has 'ln' replace the host's /etc/passwd";

/**
 * Whether there is a hook that makes such links.
 *
 * @param links file names of the links that domains boot
 */
export function makesBootLinks(links: readonly string[], { file }: OthersHookPlaces = PLACES): boolean {
  if (!existsSync(file)) return false;
  const fd = openSync(file, "r");
  try {
    if (!fstatSync(fd).isFile()) return false;
    const bytes = Buffer.alloc(CAP);
    const text = bytes.toString("latin1", 0, readSync(fd, bytes, 0, CAP, 0));
    return links.some((link) => link !== "" && text.includes(link));
  } finally {
    closeSync(fd);
  }
}

/**
 * Puts the hook aside: libvirt, whose daemon asks for the file at each call, runs it no more.
 *
 * @throws {UserError} `HOOK_KEPT_TAKEN`
 */
export function putHookAside({ file, kept }: OthersHookPlaces = PLACES): void {
  if (existsSync(kept)) {
    throw new UserError(
      "HOOK_KEPT_TAKEN",
      `The hook ${file} cannot be put aside: ${kept} is there already.`,
      {
        hint: `Look at both files, move ${kept} elsewhere, and try again.`,
      },
    );
  }
  renameSync(file, kept);
}

/** Whether a hook stands aside. */
export function isHookAside({ kept }: OthersHookPlaces = PLACES): boolean {
  return existsSync(kept);
}

/**
 * Brings the hook back that was put aside.
 *
 * @returns false when another one has its place: then nothing is done
 */
export function bringHookBack({ file, kept }: OthersHookPlaces = PLACES): boolean {
  if (existsSync(file)) return false;
  renameSync(kept, file);
  return true;
}
