/**
 * Installs Debian into a folder with mmdebstrap, as root or in a user namespace, through the host's apt and Debian's keys:
 * every package is verified by apt as on any Debian machine.
 *
 * Why `--variant=apt`: essential packages and apt, then what is asked for by name. `important` adds some 60 packages
 * that a guest behind ssh has no use for.
 */
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { UserError } from "../errors.ts";
import type { DebianArch } from "../kernel/arch.ts";
import { missingProgram, run } from "../process.ts";
import { lastLines } from "../text.ts";
import { DISABLED_UNITS } from "./guest-files.ts";
import type { SecondStage } from "./second-stage.ts";
import type { Suite } from "./suites.ts";
import { asGuestRoot, namespaceOptions } from "./user-namespace.ts";

export interface BootstrapOptions {
  readonly suite: Suite;
  readonly packages: readonly string[];
  /** Units that it enables. */
  readonly units: readonly string[];
  /** A file named debian.sources, its text from `aptSources`. */
  readonly sourcesFile: string;
  /** The security archive in it; undefined for none. */
  readonly securityMirror: string | undefined;
  /** Folder of {@link writeGuestFiles}. */
  readonly overlay: string;
  /** The folder to make: the guest's root file system, owned as in the guest. */
  readonly root: string;
  /** For temporary files, emptied afterwards. On the same file system as `root`, with no `nodev`. */
  readonly temporary: string;
  /** The proxy of the host's apt, for this download alone; the guest may not reach it. */
  readonly proxy?: string | undefined;
  /** dpkg's own architecture in the guest, then those that it also takes packages of. */
  readonly architectures: readonly [DebianArch, ...DebianArch[]];
  /** Where the packages' scripts run. */
  readonly stage: SecondStage;
  /** A folder that the package busybox-static is downloaded to, for {@link ./first-initrd.ts}; undefined: not needed. */
  readonly busyboxFolder?: string | undefined;
}

/**
 * The hooks are constant text: names come to them through the environment. The files go in before the kernel is
 * installed (its initrd and its links depend on them), over what is there, and never through a link. Without its fsyncs
 * dpkg is quicker; a crash on the way costs nothing, as an unfinished folder is thrown away. systemd-update-done says that
 * the packages' own installation has made the caches (ldconfig, catalogue), which the first boot would make again.
 */
const ESSENTIAL_HOOK = [
  'cp --archive --no-preserve=ownership --remove-destination -- "$BOOTSHARE_OVERLAY/." "$1/"',
  'echo force-unsafe-io >"$1/etc/dpkg/dpkg.cfg.d/bootshare-bootstrap"',
].join(" && ");
const CUSTOMIZE_HOOK = [
  'rm "$1/etc/dpkg/dpkg.cfg.d/bootshare-bootstrap"',
  'chroot "$1" systemctl --quiet enable $BOOTSHARE_UNITS',
  `chroot "$1" systemctl --quiet disable ${DISABLED_UNITS.join(" ")}`,
  // bookworm does not have it, nor the units that would look.
  '{ ! [ -x "$1/usr/lib/systemd/systemd-update-done" ] || chroot "$1" /usr/lib/systemd/systemd-update-done; }',
].join(" && ");
/**
 * Of packages that are only unpacked: the guest installs them itself (in-guest/var/lib/bootshare/second-stage). The files go
 * over what was unpacked, as they stay when dpkg unpacks the same packages again.
 */
const EXTRACT_HOOK = [
  'cp --archive --no-preserve=ownership --remove-destination -- "$BOOTSHARE_OVERLAY/." "$1/"',
  'mkdir "$1/var/lib/bootshare/debs"',
  'mv -- "$1"/var/cache/apt/archives/*.deb "$1/var/lib/bootshare/debs"',
  'echo "$BOOTSHARE_UNITS" >"$1/var/lib/bootshare/enable"',
  `echo "${DISABLED_UNITS.join(" ")}" >"$1/var/lib/bootshare/disable"`,
].join(" && ");
/** mmdebstrap's apt, which verifies what it downloads, outside of the guest. */
const BUSYBOX_HOOK =
  'cd "$BOOTSHARE_BUSYBOX" && APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-get --quiet download busybox-static';

/** The command that {@link bootstrap} runs. */
export function bootstrapCommand(options: BootstrapOptions): { file: string; args: string[] } {
  return mmdebstrapCommand([
    "--format=directory",
    `--architectures=${options.architectures.join(",")}`,
    `--include=${options.packages.join(",")}`,
    ...variant(options),
    options.suite.name,
    options.root,
    options.sourcesFile,
  ]);
}

/**
 * A process and a mount namespace of its own: whatever way it ends, nothing of it keeps running, and /proc, /sys and /dev of
 * what is unfinished are never seen by what removes the folder. It ends with bootshare, too, should that be killed.
 */
export function mmdebstrapCommand(args: readonly string[]): { file: string; args: string[] } {
  return {
    file: "setpriv",
    args: [
      "--pdeathsig=KILL",
      "unshare",
      ...namespaceOptions(),
      "--mount",
      "--pid",
      "--fork",
      "--kill-child",
      "--mount-proc",
      "mmdebstrap",
      "--mode=root",
      ...args,
    ],
  };
}

function variant({ stage, busyboxFolder }: BootstrapOptions): string[] {
  const busybox = busyboxFolder === undefined ? [] : [BUSYBOX_HOOK];
  if (stage === "guest") {
    // What mmdebstrap installs by itself otherwise. Unpacking runs nothing of the guest's.
    const hooks = [EXTRACT_HOOK, ...busybox].map((hook) => `--extract-hook=${hook}`);
    return ["--variant=extract", "--include=?essential", "--include=apt", ...hooks];
  }
  const hooks = [CUSTOMIZE_HOOK, ...busybox].map((hook) => `--customize-hook=${hook}`);
  return ["--variant=apt", `--essential-hook=${ESSENTIAL_HOOK}`, ...hooks];
}

/** Seconds to wait before the second and third try, when an archive was being updated. */
const PAUSES_S = [10, 30];

/**
 * Makes `root`. An archive that is being updated is tried three times. On failure or abort `root` is removed.
 *
 * @param log gets each line that mmdebstrap prints; not trusted
 * @throws {UserError} `SECURITY_SUITE_UNAVAILABLE`, `UPDATES_SUITE_UNAVAILABLE`, `BOOTSTRAP_FAILED`, `PROGRAM_MISSING`
 * @throws the signal's reason when aborted
 */
export async function bootstrap(
  options: BootstrapOptions,
  log: (line: string) => void,
  signal: AbortSignal,
  pausesS: readonly number[] = PAUSES_S,
): Promise<void> {
  const { root, temporary, busyboxFolder } = options;
  if (busyboxFolder !== undefined) await mkdir(busyboxFolder, { recursive: true });
  const env = {
    BOOTSHARE_OVERLAY: options.overlay,
    BOOTSHARE_UNITS: options.units.join(" "),
    ...(busyboxFolder === undefined ? {} : { BOOTSHARE_BUSYBOX: busyboxFolder }),
    // Read by /etc/kernel/postinst.d/initramfs-tools.
    ...(options.stage === "qemu-user" ? { INITRD: "No" } : {}),
  };
  const command = bootstrapCommand(options);
  await runMmdebstrap({ ...options, target: root, command, env }, log, signal, pausesS);
  try {
    await nameSources(root);
  } catch (error) {
    for (const one of [root, temporary]) await removeTree(one);
    throw error;
  }
}

/** What {@link runMmdebstrap} runs. */
export interface MmdebstrapRun
  extends Pick<BootstrapOptions, "suite" | "securityMirror" | "temporary" | "proxy"> {
  /** Of {@link mmdebstrapCommand}. */
  readonly command: { file: string; args: string[] };
  /** The folder or file that it makes. */
  readonly target: string;
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Runs mmdebstrap, up to three times while an archive is being updated. On failure or abort `target` is removed, `temporary`
 * in any case.
 *
 * @throws as {@link bootstrap}
 */
export async function runMmdebstrap(
  options: MmdebstrapRun,
  log: (line: string) => void,
  signal: AbortSignal,
  pausesS: readonly number[] = PAUSES_S,
): Promise<void> {
  try {
    for (let attempt = 0; ; attempt++) {
      const output = await once(options, log, signal);
      if (output === undefined) break;
      const cause = classifyFailure(output, options.securityMirror);
      const pause = pausesS[attempt];
      const hopeless = cause === "other" || cause === "unreachable archive";
      if (hopeless || pause === undefined) throw failure(options, cause, output);
      log(`The ${cause} is in the middle of an update or unreachable; trying again in ${pause} s.`);
      await removeTree(options.target);
      await sleep(pause * 1000, undefined, { signal });
    }
  } catch (error) {
    await removeTree(options.target);
    signal.throwIfAborted();
    throw error;
  } finally {
    await removeTree(options.temporary);
  }
}

/** Returns undefined for success, else what was printed. */
async function once(
  { command: { file, args }, temporary, env, proxy }: MmdebstrapRun,
  log: (line: string) => void,
  signal: AbortSignal,
): Promise<string | undefined> {
  await mkdir(temporary, { recursive: true });
  const lines: string[] = [];
  const result = await run(file, args, {
    signal,
    // unshare blocks SIGTERM while it waits; killing it kills all that runs in its namespace.
    killSignal: "SIGKILL",
    env: {
      TMPDIR: temporary,
      DEBIAN_FRONTEND: "noninteractive",
      ...env,
      ...(proxy === undefined ? {} : { http_proxy: proxy }),
    },
    onLine: (line) => {
      lines.push(line);
      log(line);
    },
  });
  signal.throwIfAborted();
  if (result.missing) throw missingProgram(file);
  // unshare's own exit code for a program that it cannot find.
  if (result.exitCode === 127) throw missingProgram("mmdebstrap");
  return result.exitCode === 0 ? undefined : lines.join("\n");
}

export type FailureCause =
  | "security archive"
  /** SUITE-updates alone: the rest of the archive could be read. */
  | "updates suite"
  | "archive"
  | "unreachable archive"
  | "other";

const INCONSISTENT =
  /Hash Sum mismatch|File has unexpected size|Mirror sync in progress|is not valid yet|is expired|does not have a Release file|no longer has a Release file|\b(404|403|50[0234]) |Clearsigned file isn't valid|Splitting up .* failed/;

/** Nobody there: for the archive itself this is an address that is wrong, or a network that is down, not an update. */
const UNREACHABLE =
  /Connection (failed|timed out|refused)|Could not (connect|resolve)|Temporary failure resolving/i;

/**
 * Why mmdebstrap failed. An archive that changes while it is read, or that is out of reach, is told from everything else;
 * which one is told by the address or the suite (`trixie-security`, `trixie-updates`) in apt's own error lines (`E:`, `W:`, `Err:`, and
 * the indented lines after them).
 */
export function classifyFailure(output: string, securityMirror: string | undefined): FailureCause {
  let archive = false;
  let updates = false;
  let unreachable = false;
  let inError = false;
  let security = false;
  let inUpdates = false;
  for (const line of output.split("\n")) {
    if (/^(E:|W:|Err:)/.test(line)) {
      inError = true;
      security = isAbout(line, securityMirror);
      inUpdates = UPDATES.test(line);
    } else if (!/^\s/.test(line)) inError = false;
    const nobody = UNREACHABLE.test(line);
    if (!inError || !(nobody || INCONSISTENT.test(line))) continue;
    if (security || isAbout(line, securityMirror)) return "security archive";
    if (nobody) unreachable = true;
    else if (inUpdates || UPDATES.test(line)) updates = true;
    else archive = true;
  }
  if (unreachable) return "unreachable archive";
  if (archive) return "archive";
  return updates ? "updates suite" : "other";
}

/** In apt's lines the suite stands in an address, or as a word by itself. */
const UPDATES = /(\/dists\/| )[a-z]+-updates[ /]/;

function isAbout(line: string, securityMirror: string | undefined): boolean {
  if (securityMirror === undefined) return false;
  return line.includes(`${securityMirror}/`) || / [a-z]+-security[ /]/.test(line);
}

const HINTS: Readonly<Record<FailureCause, string>> = {
  "security archive": "Try again later, or go without it for now: --no-security",
  "updates suite": "Try again later, or go without it for now: --no-updates",
  archive: "Try again later, or name another mirror: --mirror",
  "unreachable archive": "Look at this machine's network, or name another mirror: --mirror",
  other: "With --keep, the whole log stays for a look at it.",
};

function failure(options: Pick<BootstrapOptions, "suite">, cause: FailureCause, output: string): UserError {
  const { name } = options.suite;
  const more = { hint: HINTS[cause], detail: lastLines(output) };
  const inTries = `could not be read, in ${PAUSES_S.length + 1} tries.`;
  switch (cause) {
    case "security archive":
      return new UserError(
        "SECURITY_SUITE_UNAVAILABLE",
        `The security archive of Debian ${name} ${inTries}`,
        more,
      );
    case "updates suite":
      return new UserError("UPDATES_SUITE_UNAVAILABLE", `The suite ${name}-updates ${inTries}`, more);
    default:
      return new UserError("BOOTSTRAP_FAILED", `Debian ${name} could not be installed.`, more);
  }
}

/** mmdebstrap names the file of sources 0000NAME.sources. */
async function nameSources(root: string): Promise<void> {
  const folder = join(root, "etc/apt/sources.list.d");
  await rename(join(folder, "0000debian.sources"), join(folder, "debian.sources"));
}

/** Removes a folder that may hold a root file system, never what is mounted in it. What cannot be removed stays. */
export async function removeTree(folder: string): Promise<void> {
  const rm = ["-rf", "--one-file-system", "--", folder];
  const { file, args } = asGuestRoot("rm", rm);
  const { exitCode } = await run(file, args);
  // Without the namespace goes what is the user's own: all but what other users of a guest have made.
  if (exitCode !== 0 && file !== "rm") await run("rm", rm);
}
