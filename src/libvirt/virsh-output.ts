/** Reads what virsh prints (LC_ALL=C). Pure, apart from {@link ./virsh.ts} so that tests need no libvirt. */
import { EXIT, UserError } from "../errors.ts";
import { workMode } from "../mode.ts";
import { UUID_PATTERN } from "../paths.ts";
import { printable } from "../text.ts";

/** A domain and its state. */
export interface DomainEntry {
  readonly uuid: string;
  /** Not trusted: a person chose it. */
  readonly name: string;
  /** As `virsh domstate` says it: "running", "shut off", … */
  readonly state: string;
  /** As `virsh domstate --reason` says it: "booted", "shutdown", "destroyed", "crashed", … */
  readonly reason: string;
  /** A managed save exists: the next start restores it. */
  readonly saved: boolean;
}

/**
 * The words of virDomainState and of the reasons of each, in the order of libvirt-domain.h; the words are those of
 * `virsh domstate --reason`, so that what is shown and logged is what an administrator knows.
 */
const STATES: readonly (readonly [state: string, reasons: readonly string[]])[] = [
  ["no state", ["unknown"]],
  [
    "running",
    [
      ...["unknown", "booted", "migrated", "restored", "from snapshot", "unpaused", "migration canceled"],
      ...["save canceled", "event wakeup", "crashed", "post-copy", "post-copy failed"],
    ],
  ],
  ["idle", ["unknown"]],
  [
    "paused",
    [
      ...["unknown", "user", "migrating", "saving", "dumping", "I/O error", "watchdog", "from snapshot"],
      ...[
        "shutting down",
        "creating snapshot",
        "crashed",
        "starting up",
        "post-copy",
        "post-copy failed",
        "api error",
      ],
    ],
  ],
  ["in shutdown", ["unknown", "user"]],
  [
    "shut off",
    [
      ...["unknown", "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from snapshot"],
      ...["daemon"],
    ],
  ],
  ["crashed", ["unknown", "panicked"]],
  ["pmsuspended", ["unknown"]],
];

/** The words for a state and a reason as libvirt numbers them. Numbers of a later libvirt become "unknown". */
export function stateWords(state: number, reason: number): { state: string; reason: string } {
  const [word, reasons] = STATES[state] ?? ["unknown", []];
  return { state: word, reason: reasons[reason] ?? "unknown" };
}

/** Reads `virsh list --all --uuid --name`: a UUID, a space, and the name, padded. */
export function parseList(text: string): { uuid: string; name: string }[] {
  return text.split("\n").flatMap((line) => {
    const uuid = line.slice(0, 36);
    return UUID_PATTERN.test(uuid) ? [{ uuid, name: line.slice(37).trimEnd() }] : [];
  });
}

/** Reads `virsh domstats --state`: by the name of the domain, its state in words. */
export function parseStates(text: string): Map<string, { state: string; reason: string }> {
  const found = new Map<string, { state: string; reason: string }>();
  for (const block of text.split(/^Domain: '/m).slice(1)) {
    const name = block.slice(0, Math.max(0, block.split("\n")[0]?.lastIndexOf("'") ?? 0));
    const number = (key: string): number =>
      Number(new RegExp(`^ +state\\.${key}=(\\d+)$`, "m").exec(block)?.[1] ?? 0);
    found.set(name.trimEnd(), stateWords(number("state"), number("reason")));
  }
  return found;
}

/**
 * Reads what one virsh prints for `list --all --uuid --name`, a marker, `list --all --uuid --with-managed-save`, the
 * marker, and `domstats --state`. A domain that came between the first and the last has no state yet.
 */
export function parseStatuses(text: string, marker: string): DomainEntry[] {
  const [list = "", saves = "", stats = ""] = text.split(`${marker}\n`);
  const states = parseStates(stats);
  const saved = new Set(saves.split("\n").map((line) => line.trim()));
  return parseList(list).map(({ uuid, name }) => ({
    uuid,
    name,
    ...(states.get(name) ?? stateWords(0, 0)),
    saved: saved.has(uuid),
  }));
}

/** The daemon's version in what `virsh version --daemon` prints. */
export function parseDaemonVersion(text: string): readonly [major: number, minor: number] | undefined {
  const version = /^Running against daemon: (\d+)\.(\d+)\S*$/m.exec(text);
  return version === null ? undefined : [Number(version[1]), Number(version[2])];
}

/** Addresses in what `virsh domifaddr` prints, IPv4 first; none of the loopback interface or of link scope. */
export function parseAddresses(text: string): string[] {
  const found = [...text.matchAll(/ (ipv[46]) +([0-9a-fA-F.:]+)\/\d+\s*$/gm)].map(
    ([, , address = ""]) => address,
  );
  const useful = found.filter((address) => !/^(127\.|::1$|fe80:|169\.254\.)/i.test(address));
  return [
    ...useful.filter((address) => !address.includes(":")),
    ...useful.filter((address) => address.includes(":")),
  ];
}

interface KnownError {
  readonly pattern: RegExp;
  readonly error: (match: RegExpExecArray, said: string) => UserError;
}

const UNREACHABLE_HINTS = {
  system:
    "Start it with 'systemctl start libvirtd', or on a machine without systemd with 'virtlogd -d; libvirtd -d'.",
  session:
    "virsh starts a daemon of your own: see that libvirtd is installed, and that XDG_RUNTIME_DIR, where it is set, is a folder of yours.",
} as const;

const KNOWN_ERRORS: readonly KnownError[] = [
  {
    pattern: /Hook script execution failed: ([\s\S]*)/,
    error: ([, text = ""]) => hookRefused(text),
  },
  {
    pattern:
      /failed to connect to the hypervisor|Failed to connect socket|Cannot recv data|Connection reset by peer|client socket is closed|End of file while reading data/i,
    error: (_, said) =>
      new UserError("LIBVIRT_UNREACHABLE", `libvirt's daemon cannot be reached at ${workMode().uri}.`, {
        exitCode: EXIT.unusable,
        hint: UNREACHABLE_HINTS[workMode().name],
        detail: said,
      }),
  },
  {
    pattern: /failed to get domain|Domain not found|no domain with matching/i,
    error: (_, said) =>
      new UserError("GUEST_NOT_FOUND", "libvirt has no such domain.", {
        exitCode: EXIT.notFound,
        hint: "'bootshare list' shows all guests.",
        detail: said,
      }),
  },
  {
    pattern: /domain is already running|domain .* is already active|Domain is already active/i,
    error: () =>
      new UserError("GUEST_RUNNING", "The domain is running already.", { exitCode: EXIT.conflict }),
  },
  {
    pattern: /domain is not running|domain is inactive|Domain is already inactive/i,
    error: () => new UserError("GUEST_OFF", "The domain is not running.", { exitCode: EXIT.conflict }),
  },
  {
    pattern:
      /guest agent is not connected|agent is not responding|agent is not available|agent is not configured|Guest agent not available/i,
    error: (_, said) =>
      new UserError("AGENT_UNAVAILABLE", "The guest's agent does not answer.", {
        exitCode: EXIT.conflict,
        hint: "It answers when the guest is up and runs qemu-guest-agent.",
        detail: said,
      }),
  },
  {
    pattern: /(domain|operation failed: domain) '.*' already exists|already exists with uuid/i,
    error: (_, said) =>
      new UserError("DOMAIN_EXISTS", "libvirt has a domain of this name or UUID already.", {
        exitCode: EXIT.conflict,
        hint: "Choose another name.",
        detail: said,
      }),
  },
];

/** The error for a virsh that failed, from what it wrote to standard error. @param what its first argument, a command */
export function virshError(what: string, stderr: string): UserError {
  const said = stderr
    .split("\n")
    .filter((line) => line.trim() !== "")
    .slice(-12)
    .map((line) => printable(line, 500))
    .join("\n");
  for (const { pattern, error } of KNOWN_ERRORS) {
    const match = pattern.exec(stderr);
    if (match !== null) return error(match, said);
  }
  return new UserError("LIBVIRT_FAILED", `libvirt could not do it: virsh ${what} failed.`, { detail: said });
}

/**
 * A hook said no. libvirt puts the hook's whole command line and its standard error into one message; ours writes one
 * line that begins with "bootshare: ".
 */
function hookRefused(text: string): UserError {
  const own = /\bbootshare: (.+)/.exec(text)?.[1];
  if (own === undefined) {
    return new UserError("HOOK_REFUSED_START", "A libvirt hook refused the start.", {
      exitCode: EXIT.conflict,
      hint: "It is not bootshare's hook: see /etc/libvirt/hooks/.",
      detail: printable(text.trim(), 1000),
    });
  }
  return new UserError("HOOK_REFUSED_START", printable(own.trim(), 2000), { exitCode: EXIT.conflict });
}
