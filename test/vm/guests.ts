/** The guests that the tests share: made once, used by every file, since making one takes minutes. */
import { bootshare, statusOf, tryBootshare, virsh } from "./machine.ts";

export interface Shared {
  readonly name: string;
  readonly suite: string;
  readonly share: "virtiofs" | "9p";
  /** A second kernel flavour, with what this way of sharing needs in it. */
  readonly secondKernel: string;
  /** How its releases end. */
  readonly flavour: string;
}

/** Debian's cloud kernels are small, and have no 9p. */
export const VIRTIOFS: Shared = {
  name: "bs-test-virtiofs",
  suite: "trixie",
  share: "virtiofs",
  secondKernel: "linux-image-cloud-amd64",
  flavour: "cloud-amd64",
};
export const NINEP: Shared = {
  name: "bs-test-9p",
  suite: "bookworm",
  share: "9p",
  secondKernel: "linux-image-rt-amd64",
  flavour: "rt-amd64",
};

/** Makes the guest unless an earlier file did, and sees to it that it is up. */
export async function ensureGuest({ name, suite, share }: Shared): Promise<void> {
  const { exitCode } = await tryBootshare("status", name);
  if (exitCode !== 0) {
    await bootshare("create", name, "--suite", suite, "--share", share, "--memory", "1G", "--disk", "8G");
    return;
  }
  if ((await statusOf(name)).state !== "running") await bootshare("start", name, "--wait");
}

/** A domain that is none of bootshare's. */
export const FOREIGN = "bs-test-foreign";

/** Takes away what this run, or one that was killed, has made. */
export async function removeGuests(): Promise<void> {
  for (const verb of ["destroy", "undefine"]) await virsh(verb, FOREIGN).catch(() => undefined);
  for (const { name } of [VIRTIOFS, NINEP]) await tryBootshare("delete", "--force", name);
}
