/** Runs the real hook program the way libvirt's system daemon does, in a private mount namespace, watched by strace(1). */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { lstatSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Form } from "./disk.ts";
import { type Ground, OTHER, UUID } from "./ground.ts";
import { TRACED, violations } from "./trace.ts";

const repository = join(import.meta.dirname, "../..");
const HOOK = join(repository, "dist/hook.mjs");

/**
 * Longest that one run may take, in seconds. The longest row, which copies 512 MiB twice and forces them to disk, takes some
 * seconds on an idle machine; all others take a fraction of one. This is what a busy machine with a slow disk may need, and
 * half of what a person waits before they think that `virsh start` hangs. A bomb takes ten seconds of an idle processor.
 */
export const MAX_SECONDS = 60;

/**
 * Most memory that any process of one run may have resident, in MiB. Node.js with the program alone has some 80. What is read of a share is
 * capped at 256 heads of 68 KiB and 8 configurations of 4 MiB, each for a moment twice, and whole files are copied a MiB at a
 * time. So this is far above what any share can cost, and far below the smallest of the files that rows offer (512 MiB).
 */
export const MAX_MIB = 256;

/** A namespace in which everything but the ground is read-only, and the ground stands where the host's own folders are. */
export interface Jail {
  readonly run: (form: Form, phase?: string, xml?: string) => Promise<HookRun>;
  readonly close: () => Promise<void>;
}

export interface HookRun {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Rules of trace.ts that were broken. */
  readonly violations: readonly string[];
  readonly peakMiB: number;
  readonly seconds: number;
}

// $1: the ground. Binds are private to the namespace; remounting them read-only changes nothing outside.
const MAKE = `set -eu
mount --bind "$1/out" "$1/out"
mount --bind "$1/etc" /etc
mount --bind "$1/lib" /var/lib
while read -r _ _ _ _ target _; do
  case $target in /etc | /var/lib | "$1/out") continue ;; esac
  mount -o remount,bind,ro "$target" 2>/dev/null || mountpoint -q "$target" || continue
done </proc/self/mountinfo
if touch "$1/lib/probe" "/root/probe" "/tmp/probe" "/run/probe" 2>/dev/null; then echo "not read-only" >&2; exit 1; fi
echo ready
exec cat`;

export async function openJail(ground: Ground): Promise<Jail> {
  const args = ["--mount", "--propagation", "private", "--", "sh", "-c", MAKE, "sh", ground.root];
  const keeper = spawn("unshare", args, { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = (await once(keeper.stdout, "data")) as [Buffer];
  if (line.toString() !== "ready\n") throw new Error("no private mount namespace");
  return {
    run: (form, phase = "prepare begin", xml = domainXml(form)) => runHook(keeper, ground, phase, xml),
    close: async () => {
      const ended = once(keeper, "exit");
      keeper.stdin.end();
      await ended;
    },
  };
}

/** The golden domain of the transport. */
export function domainXml(form: Form): string {
  const transport = form === "virtiofs" ? "virtiofs" : "9p";
  return readFileSync(join(repository, `test/golden/domain-amd64-kvm-${transport}-user.xml`), "utf8");
}

async function runHook(keeper: ChildProcess, ground: Ground, phase: string, xml: string): Promise<HookRun> {
  const trace = join(ground.root, "out/trace");
  const usage = join(ground.root, "out/usage");
  const command = [
    ...["nsenter", `--mount=/proc/${keeper.pid}/ns/mnt`, "--"],
    ...["/usr/bin/time", "--quiet", "-f", "%M", "-o", usage],
    ...["strace", "-f", "--seccomp-bpf", "-y", "-o", trace, "-e", `trace=${TRACED}`, "-e", "signal=none"],
    // Inside of strace, for it would leave the program running when it is killed itself.
    ...["/usr/bin/timeout", "--foreground", "-s", "KILL", `${MAX_SECONDS}`],
    ...[process.execPath, HOOK, ...phase.split(" "), "4711", "-"],
  ];
  // libvirt gives a hook this environment and no other (virCommandAddEnvPassCommon).
  const env = { LC_ALL: "C", PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" };
  const from = process.hrtime.bigint();
  const child = spawn(command[0] ?? "", command.slice(1), { env, cwd: "/" });
  const [stdout, stderr, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close") as Promise<[number | null]>,
    child.stdin.end(xml),
  ]);
  const guest = `/var/lib/bootshare/guests/${UUID}`;
  return {
    status,
    stdout,
    stderr,
    violations: violations(readFileSync(trace, "utf8"), {
      stateRoot: "/var/lib/bootshare",
      guest,
      share: `${guest}/share`,
      hookLog: "/var/lib/bootshare/hook.log",
      shareUser: lstatSync(ground.paths.share).uid,
      forbidden: ["/etc/passwd", "/etc/shadow", "/root", `/var/lib/bootshare/guests/${OTHER}`],
    }),
    peakMiB: Number(readFileSync(usage, "utf8").trim().split("\n").at(-1)) / 1024,
    seconds: Number(process.hrtime.bigint() - from) / 1e9,
  };
}

async function text(stream: NodeJS.ReadableStream): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(Buffer.from(part as Uint8Array));
  return Buffer.concat(parts).toString();
}

/** The programs that are needed and not there, by name. */
export function missingPrograms(): string[] {
  return ["unshare", "nsenter", "strace", "setfattr", "mkfifo", "mknod", "/usr/bin/time"].filter(
    (program) => spawnSync(program, ["--version"]).error !== undefined,
  );
}
