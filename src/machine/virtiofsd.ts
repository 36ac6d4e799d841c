/** The virtiofs daemon of this host. */
import { existsSync } from "node:fs";

/** Where Debian puts it: in a package of its own since trixie, in qemu-system-common before. */
const PLACES = ["/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd"];

/** Path of virtiofsd, or undefined where this host has none. */
export function findVirtiofsd(exists: (file: string) => boolean = existsSync): string | undefined {
  return PLACES.find(exists);
}
