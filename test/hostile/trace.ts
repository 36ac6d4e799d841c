/** Reads what strace(1) saw of the hook, and holds it against the rules for what it may touch and how. */

interface Call {
  readonly pid: string;
  readonly name: string;
  readonly args: string;
  /** What it returned, with the path that a new descriptor leads to. */
  readonly result: string;
}

/** The system calls that are traced: all that take a file name, and those that change who one is or reach out. */
export const TRACED =
  "%file,fchmod,fchown,ftruncate,setresuid,setresgid,setgroups,socket,connect,bind,ptrace";

/** Paths as the hook sees them. */
export interface Bounds {
  readonly share: string;
  readonly guest: string;
  readonly hookLog: string;
  /** Effective user of everything that is done in the share. */
  readonly shareUser: number;
  /** Folders and files that nothing may open. */
  readonly forbidden: readonly string[];
  /** The programs that may run. */
  readonly programs: readonly string[];
}

/** Calls that are cut in two by another thread's are put together again. */
export function parseTrace(text: string): Call[] {
  const halves = new Map<string, string>();
  const calls: Call[] = [];
  for (const line of text.split("\n")) {
    const [, pid = "", rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const half = /^(.*) <unfinished \.\.\.>$/.exec(rest);
    if (half !== null) {
      halves.set(pid, half[1] ?? "");
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    const whole = resumed === null ? rest : `${halves.get(pid) ?? ""}${resumed[1] ?? ""}`;
    const call = /^(\w+)\((.*)\) += (.*)$/.exec(whole);
    if (call !== null) calls.push({ pid, name: call[1] ?? "", args: call[2] ?? "", result: call[3] ?? "" });
  }
  return calls;
}

const OPENS = /^(open|openat|openat2|creat)$/;
/** Calls that change what a name stands for, or a file's owner, mode, length or times. */
const CHANGES =
  /^(mkdir|rename|unlink|rmdir|link|symlink|chmod|chown|lchown|fchmod|fchown|truncate|ftruncate|mknod|utime|futime|setxattr|lsetxattr|removexattr|lremovexattr|mount|umount|pivot_root|chroot|swapon|acct)/;
/** Those among them that the hook has use for. */
const USEFUL = /^(mkdir|rename|unlink|rmdir)/;

function quotedIn(args: string): string[] {
  return [...args.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map((match) => match[1] ?? "");
}

function inside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/** Every rule that was broken, with the call that broke it; none where all is well. */
export function violations(text: string, bounds: Bounds): string[] {
  const { share, guest, hookLog } = bounds;
  const found: string[] = [];
  let user = 0;
  const mayWrite = (path: string): boolean =>
    !/(^|\/)\.\.(\/|$)/.test(path) &&
    ((inside(path, guest) && path !== guest && !inside(path, share)) ||
      path === hookLog ||
      path === `${hookLog}.1` ||
      path === "/dev/null");

  for (const { name, args, result } of parseTrace(text)) {
    const call = `${name}(${args}) = ${result}`;
    const blame = (rule: string): void => void found.push(`${rule}: ${call}`);
    const paths = quotedIn(args);
    const failed = result.startsWith("-1");
    if (name === "setresuid" && !failed) {
      const effective = Number(args.split(",")[1]?.trim());
      if (effective >= 0) user = effective;
    }
    if (/^(socket|connect|bind|ptrace)$/.test(name)) blame("reaches out");
    if (name === "execve" && !failed && !bounds.programs.includes(paths[0] ?? "")) blame("runs a program");
    if (CHANGES.test(name)) {
      if (!USEFUL.test(name)) blame("changes what is none of its business");
      else if (!paths.every(mayWrite)) blame("changes a name outside of the guest's own folder");
    }
    if (!OPENS.test(name)) continue;
    const [path = ""] = paths;
    const reached = /^\d+<(.*)>$/.exec(result)?.[1];
    const target = reached ?? path;
    const writes = /O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND|O_TMPFILE/.test(args) || name === "creat";
    if (writes && !mayWrite(target)) blame("opens for writing outside of the guest's own folder");
    if (writes && args.includes("O_CREAT") && !/O_EXCL|O_APPEND/.test(args)) blame("writes over a file");
    if (bounds.forbidden.some((one) => inside(target, one) || inside(path, one)))
      blame("opens what it must not");
    const byDescriptor = path.startsWith("/proc/self/fd/");
    if (byDescriptor && reached !== undefined && !inside(reached, share)) blame("left the share");
    if (!byDescriptor && !inside(target, share)) continue;
    if (user !== bounds.shareUser) blame(`is user ${user} in the share`);
    if (target === share) {
      if (!args.includes("O_DIRECTORY")) blame("opens the share as something else than a folder");
      if (!byDescriptor && !args.includes("O_NOFOLLOW")) blame("follows a link to the share");
    } else if (args.includes("O_PATH")) {
      if (!args.includes("O_NOFOLLOW")) blame("follows a link in the share");
    } else {
      if (!/^\/proc\/self\/fd\/\d+$/.test(path)) blame("opens by name what may have been swapped");
      if (!args.includes("O_RDONLY") || !args.includes("O_NONBLOCK")) blame("may wait for what it opens");
    }
  }
  return found;
}
