/**
 * The libvirt hook, called by the guard in /etc/libvirt/hooks/qemu.d/ for domains of ours only, by the system's daemon as
 * root and by users' own daemons as those users:
 *
 *     hook.mjs OPERATION SUB-OPERATION LIBVIRTD-PID [REASON]      with the domain's XML on standard input
 *
 * It never calls libvirt (libvirt holds the domain's lock and waits for us), never waits, and prints nothing to standard
 * output (in *restore*, libvirt takes that for a new definition). A failure matters in *prepare* alone, where it refuses
 * the start: libvirt shows the line on standard error to whoever asked. https://libvirt.org/hooks.html
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { onDisk } from "./boot/disk.ts";
import { appendEvents } from "./boot/log.ts";
import { presentMoment } from "./boot/moment.ts";
import { prepareBoot } from "./boot/prepare.ts";
import { noteRestore, takeRestoreNote } from "./boot/restore.ts";
import { messageOf, UserError } from "./errors.ts";
import { type DomainFacts, parseDomain } from "./libvirt/domain-parse.ts";
import { workMode } from "./mode.ts";
import { type GuestPaths, guestPathsOf, type StatePaths, statePaths, stateRootIn } from "./paths.ts";
import { mountShare } from "./share/mount.ts";
import { printable } from "./text.ts";

/** Above this many bytes the hook's log is put aside; two files of this size are kept at most. */
const LOG_CAP_BYTES = 256 * 1024;
/** libvirt's XML of a domain is some kilobytes. */
const XML_CAP_BYTES = 4 * 1024 * 1024;

function main(argv: readonly string[]): number {
  process.umask(0o077);
  const [operation = "", subOperation = "", libvirtPid = "", reason = "-"] = argv;
  const phase = `${operation} ${subOperation}`;
  let state = statePaths();
  try {
    const xml = readFileSync(0);
    if (xml.length > XML_CAP_BYTES)
      throw new UserError("XML_TOO_LARGE", "The domain's XML is larger than 4 MiB.");
    const domain = parseDomain(xml.toString("utf8"));
    if (domain.foreign) return 0;
    state = statePaths(stateRootOf(domain));
    const { dir } = guestPathsOf(domain.uuid, state.root);
    const done = onDisk(dir, () => act(phase, state, domain, libvirtPid, reason));
    if (done !== undefined) log(state, phase, done);
    return 0;
  } catch (error) {
    log(
      state,
      phase,
      error instanceof UserError ? error.message : String(error instanceof Error ? error.stack : error),
    );
    if (operation !== "prepare") return 0;
    const hint = error instanceof UserError && error.hint !== undefined ? ` ${error.hint}` : "";
    process.stderr.write(`bootshare: ${messageOf(error)}${hint}\n`);
    return 1;
  }
}

/**
 * Where the guest is. The system's daemon runs the hook as root, so there it is a constant: a member of the group libvirt
 * may have written the XML. A user's daemon runs it as that user, with an environment that has HOME and nothing of XDG's
 * (virCommandAddEnvPassCommon), so their own domain says it: it names its kernel in the guest's folder, and whoever wrote
 * it can do no more through this program than without.
 */
function stateRootOf(domain: DomainFacts): string {
  const { name, stateRoot } = workMode();
  if (name === "system") return stateRoot;
  return stateRootIn(domain.kernel ?? "", domain.uuid) ?? stateRoot;
}

/** Returns what was done, for the log; undefined where there was nothing to do. */
function act(
  phase: string,
  state: StatePaths,
  domain: DomainFacts,
  libvirtPid: string,
  reason: string,
): string | undefined {
  const paths = guestPathsOf(domain.uuid, state.root);
  if (phase === "prepare begin") {
    refuseStranger(domain, paths);
    // Whatever comes of it: with nothing mounted there, the guest's next upgrade would go where nobody finds it again.
    mountShare(paths.shareImage, paths.share);
    if (takeRestoreNote(paths, libvirtPid)) {
      appendEvents(paths, [{ e: "restore", m: presentMoment().m }]);
      return `${domain.uuid} is being restored: it keeps its kernel`;
    }
    const prepared = prepareBoot(paths, printable(domain.name), domain);
    return `${domain.uuid} boots ${prepared.pair.release}: ${prepared.why}`;
  }
  if (!existsSync(paths.dir)) return undefined;
  if (phase === "restore begin") noteRestore(paths, libvirtPid);
  if (phase === "started begin") appendEvents(paths, [{ e: "started" }]);
  if (phase === "release end") {
    try {
      rmSync(paths.restoring, { force: true });
      appendEvents(paths, [
        { e: "released", ...(reason === "-" || reason === "" ? {} : { reason: printable(reason, 32) }) },
      ]);
    } finally {
      // The reconciler watches this folder: that is how it learns, without listening to libvirt, that there is work.
      mkdirSync(state.released, { recursive: true, mode: 0o700 });
      writeFileSync(join(state.released, domain.uuid), "");
    }
  }
  return domain.uuid;
}

/** A domain that carries our metadata and is not a guest of ours, or not this one. */
function refuseStranger(domain: DomainFacts, paths: GuestPaths): void {
  const owner = domain.metadata?.uuid;
  if (owner !== undefined && owner !== domain.uuid) {
    throw new UserError(
      "METADATA_OF_ANOTHER",
      `The domain ${printable(domain.name)} (${domain.uuid}) carries the bootshare metadata of the guest ${printable(owner)}: it was cloned behind bootshare's back, and shares that guest's /boot.`,
      {
        hint: "'bootshare adopt' with its name makes a guest of its own of it, with a /boot of its own.",
      },
    );
  }
  if (!existsSync(paths.dir)) {
    throw new UserError(
      "GUEST_WITHOUT_FOLDER",
      `The domain ${printable(domain.name)} (${domain.uuid}) carries bootshare's metadata, and ${paths.dir} does not exist.`,
      {
        hint: "Restore that folder from a backup, or remove the bootshare element from its metadata with 'virsh edit'.",
      },
    );
  }
}

function log(state: StatePaths, phase: string, text: string): void {
  try {
    if (existsSync(state.hookLog) && statSync(state.hookLog).size > LOG_CAP_BYTES) {
      renameSync(state.hookLog, `${state.hookLog}.1`);
    }
    appendFileSync(state.hookLog, `${new Date().toISOString()} ${phase}: ${printable(text, 2000)}\n`, {
      mode: 0o600,
    });
  } catch {
    // A log that cannot be written must not keep a guest from starting.
  }
}

process.exitCode = main(process.argv.slice(2));
