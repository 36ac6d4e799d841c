/** MAC addresses of new guests. */
import { randomBytes } from "node:crypto";

/** A MAC address in the range that QEMU and libvirt use (52:54:00). */
export function randomMac(): string {
  const own = [...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, "0"));
  return ["52", "54", "00", ...own].join(":");
}
