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
import { missingProgram, run } from "../process.ts";
import { lastLines } from "../text.ts";
import { DISABLED_UNITS, ENABLED_UNITS } from "./guest-files.ts";
import type { Suite } from "./suites.ts";
import { asGuestRoot, namespaceOptions } from "./user-namespace.ts";

export interface BootstrapOptions {
  readonly suite: Suite;
  readonly packages: readonly string[];
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
  `chroot "$1" systemctl --quiet enable ${ENABLED_UNITS.join(" ")}`,
  `chroot "$1" systemctl --quiet disable ${DISABLED_UNITS.join(" ")}`,
  // bookworm does not have it, nor the units that would look.
  '{ ! [ -x "$1/usr/lib/systemd/systemd-update-done" ] || chroot "$1" /usr/lib/systemd/systemd-update-done; }',
].join(" && ");

/** The command that {@link bootstrap} runs. */
export function bootstrapCommand(options: BootstrapOptions): { file: string; args: string[] } {
  return {
    // A process and a mount namespace of its own: whatever way it ends, nothing of it keeps running, and /proc, /sys and
    // /dev of the unfinished guest are never seen by what removes the folder. It ends with bootshare, too, should that be
    // killed.
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
      "--format=directory",
      "--variant=apt",
      `--include=${options.packages.join(",")}`,
      `--essential-hook=${ESSENTIAL_HOOK}`,
      `--customize-hook=${CUSTOMIZE_HOOK}`,
      options.suite.name,
      options.root,
      options.sourcesFile,
    ],
  };
}

/** Seconds to wait before the second and third try, when an archive was being updated. */
const PAUSES_S = [10, 30];

/**
 * Makes `root`. An archive that is being updated is tried three times. On failure or abort `root` is removed.
 *
 * @param log gets each line that mmdebstrap prints; not trusted
 * @throws {UserError} `SECURITY_SUITE_UNAVAILABLE`, `BOOTSTRAP_FAILED`, `PROGRAM_MISSING`
 * @throws the signal's reason when aborted
 */
export async function bootstrap(
  options: BootstrapOptions,
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
      await removeTree(options.root);
      await sleep(pause * 1000, undefined, { signal });
    }
    await nameSources(options.root);
  } catch (error) {
    await removeTree(options.root);
    signal.throwIfAborted();
    throw error;
  } finally {
    await removeTree(options.temporary);
  }
}

/** Returns undefined for success, else what was printed. */
async function once(
  options: BootstrapOptions,
  log: (line: string) => void,
  signal: AbortSignal,
): Promise<string | undefined> {
  await mkdir(options.temporary, { recursive: true });
  const lines: string[] = [];
  const { file, args } = bootstrapCommand(options);
  const proxy = options.proxy === undefined ? {} : { http_proxy: options.proxy };
  const result = await run(file, args, {
    signal,
    // unshare blocks SIGTERM while it waits; killing it kills all that runs in its namespace.
    killSignal: "SIGKILL",
    env: {
      TMPDIR: options.temporary,
      BOOTSHARE_OVERLAY: options.overlay,
      DEBIAN_FRONTEND: "noninteractive",
      ...proxy,
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

export type FailureCause = "security archive" | "archive" | "unreachable archive" | "other";

const INCONSISTENT =
  /Hash Sum mismatch|File has unexpected size|Mirror sync in progress|is not valid yet|is expired|does not have a Release file|no longer has a Release file|\b(404|403|50[0234]) |Clearsigned file isn't valid|Splitting up .* failed/;

/** Nobody there: for the archive itself this is an address that is wrong, or a network that is down, not an update. */
const UNREACHABLE =
  /Connection (failed|timed out|refused)|Could not (connect|resolve)|Temporary failure resolving/i;

/**
 * Why mmdebstrap failed. An archive that changes while it is read, or that is out of reach, is told from everything else;
 * which archive is told by the address or the suite (`trixie-security`) in apt's own error lines (`E:`, `W:`, `Err:`, and
 * the indented lines after them).
 */
export function classifyFailure(output: string, securityMirror: string | undefined): FailureCause {
  let archive = false;
  let unreachable = false;
  let inError = false;
  let security = false;
  for (const line of output.split("\n")) {
    if (/^(E:|W:|Err:)/.test(line)) {
      inError = true;
      security = isAbout(line, securityMirror);
    } else if (!/^\s/.test(line)) inError = false;
    const nobody = UNREACHABLE.test(line);
    if (!inError || !(nobody || INCONSISTENT.test(line))) continue;
    if (security || isAbout(line, securityMirror)) return "security archive";
    if (nobody) unreachable = true;
    else archive = true;
  }
  if (unreachable) return "unreachable archive";
  return archive ? "archive" : "other";
}

function isAbout(line: string, securityMirror: string | undefined): boolean {
  if (securityMirror === undefined) return false;
  return line.includes(`${securityMirror}/`) || / [a-z]+-security[ /]/.test(line);
}

const HINTS: Readonly<Record<Exclude<FailureCause, "security archive">, string>> = {
  archive: "Try again later, or name another mirror: --mirror",
  "unreachable archive": "Look at this machine's network, or name another mirror: --mirror",
  other: "With --keep, the whole log stays for a look at it.",
};

function failure(options: BootstrapOptions, cause: FailureCause, output: string): UserError {
  const detail = lastLines(output);
  if (cause === "security archive") {
    return new UserError(
      "SECURITY_SUITE_UNAVAILABLE",
      `The security archive of Debian ${options.suite.name} could not be read, in ${PAUSES_S.length + 1} tries.`,
      { hint: "Try again later, or go without it for now: --no-security", detail },
    );
  }
  return new UserError("BOOTSTRAP_FAILED", `Debian ${options.suite.name} could not be installed.`, {
    hint: HINTS[cause],
    detail,
  });
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
