/** The guests that the tests share: made once, used by every file, since making one takes minutes. */
import { bootshare, type Ran, statusOf, tryBootshare, virsh } from "./machine.ts";

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

/** 32-bit ARM, emulated. bookworm, as the smaller one. */
export const ARMHF: Pick<Shared, "name" | "suite" | "share"> = {
  name: "bs-test-armhf",
  suite: "bookworm",
  share: "9p",
};

/** One processor: two guests at a time are as many as there are cores, and one that waits for another in its kernel wastes theirs. */
export const SIZE = ["--memory", "1G", "--cpus", "1", "--disk", "8G"];

/** What a mirror at times has inconsistent lists of, by the error that `create` ends with, and how to do without it. */
const WITHOUT: Readonly<Record<string, string>> = {
  SECURITY_SUITE_UNAVAILABLE: "--no-security",
  UPDATES_SUITE_UNAVAILABLE: "--no-updates",
};

/**
 * Runs bootshare for another architecture. A mirror's security archive and its updates are at times inconsistent for some of
 * them: what a person would do then is done here, and said.
 */
export async function tryForeign(...given: string[]): Promise<Ran> {
  const args = [...given];
  for (;;) {
    const ran = await tryBootshare(...args);
    const code = Object.keys(WITHOUT).find((one) => `${ran.stdout}${ran.stderr}`.includes(one)) ?? "";
    const option = WITHOUT[code];
    if (ran.exitCode === 0 || option === undefined || args.includes(option)) return ran;
    console.error(`${code}: going on with ${option}`);
    args.push(option);
  }
}

/** Makes a guest of another architecture. @returns what `create` printed */
export async function createForeign(name: string, arch: string, ...options: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await tryForeign("create", name, "--arch", arch, ...SIZE, ...options);
  if (exitCode === 0) return stdout;
  throw new Error(`create --arch ${arch}: exit code ${exitCode}\n${stdout}\n${stderr}`);
}

/** Makes the guest unless an earlier file did, and sees to it that it is up. */
export async function ensureGuest({ name, suite, share }: Shared): Promise<void> {
  const { exitCode } = await tryBootshare("status", name);
  if (exitCode !== 0) {
    await bootshare("create", name, "--suite", suite, "--share", share, ...SIZE);
    return;
  }
  if ((await statusOf(name)).state !== "running") await bootshare("start", name, "--wait");
}

/** A domain that is none of bootshare's. */
export const FOREIGN = "bs-test-foreign";

/** Takes away what this run, or one that was killed, has made. */
export async function removeGuests(): Promise<void> {
  for (const verb of ["destroy", "undefine"]) await virsh(verb, FOREIGN).catch(() => undefined);
  for (const { name } of [VIRTIOFS, NINEP, ARMHF]) await tryBootshare("delete", "--force", name);
}
