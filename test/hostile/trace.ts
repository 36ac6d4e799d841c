/** Reads what strace(1) saw of the hook, and holds it against the rules for what it may touch and how. */

import { type Call, isConfined, Processes } from "./programs.ts";

/** The system calls that are traced: all that take a file name, that make processes, change who one is, or reach out. */
export const TRACED =
  "%file,%process,fchmod,fchown,ftruncate,setuid,setgid,setresuid,setresgid,setgroups,socket,connect,bind,ptrace";

/** Paths as the hook sees them. */
export interface Bounds {
  /** Of all guests, and of the hook. */
  readonly stateRoot: string;
  readonly share: string;
  readonly guest: string;
  readonly hookLog: string;
  /** Effective user of everything that is done in the share. */
  readonly shareUser: number;
  /** Folders and files that nothing may open. */
  readonly forbidden: readonly string[];
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
const WRITES = /O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND|O_TMPFILE/;
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
  const { stateRoot, share, guest, hookLog } = bounds;
  const calls = parseTrace(text);
  const processes = new Processes(calls);
  const found: string[] = [];
  const mayWrite = (path: string): boolean =>
    !/(^|\/)\.\.(\/|$)/.test(path) &&
    ((inside(path, guest) && path !== guest && !inside(path, share)) ||
      path === hookLog ||
      path === `${hookLog}.1` ||
      path === "/dev/null");

  // What write-file-atomic does before it renames: the folder is root's, so nobody swaps the name.
  const isOwnTemporary = (path: string): boolean =>
    path.startsWith(`${guest}/`) && /^initrds\.json\.\d+$/.test(path.slice(guest.length + 1));

  for (const one of calls) {
    const { pid, name, args, result } = one;
    const call = `${name}(${args}) = ${result}`;
    const blame = (rule: string): void => void found.push(`${rule}: ${call}`);
    const paths = quotedIn(args);
    const broken = processes.take(one);
    if (broken !== undefined) blame(broken);
    if (/^(socket|connect|bind|ptrace)$/.test(name)) blame("reaches out");
    const who = processes.of(pid);
    if (isConfined(who)) {
      // The initrd is open already: nothing of the host's is reached by a name, and nothing is written.
      if (CHANGES.test(name)) blame("changes something without having rights");
      if (!OPENS.test(name)) continue;
      const target = /^\d+<(.*)>$/.exec(result)?.[1] ?? paths[0] ?? "";
      if (WRITES.test(args) && target !== "/dev/null") blame("opens for writing without having rights");
      if (
        [stateRoot, ...bounds.forbidden].some((path) => inside(target, path) || inside(paths[0] ?? "", path))
      )
        blame("opens what it must not");
      continue;
    }
    if (CHANGES.test(name)) {
      if (/^(chmod|chown|fchownat|fchmodat)$/.test(name) && paths.every(isOwnTemporary)) continue;
      if (!USEFUL.test(name)) blame("changes what is none of its business");
      else if (!paths.every(mayWrite)) blame("changes a name outside of the guest's own folder");
    }
    if (!OPENS.test(name)) continue;
    const [path = ""] = paths;
    const reached = /^\d+<(.*)>$/.exec(result)?.[1];
    const target = reached ?? path;
    const writes = WRITES.test(args) || name === "creat";
    if (writes && !mayWrite(target)) blame("opens for writing outside of the guest's own folder");
    if (writes && args.includes("O_CREAT") && !/O_EXCL|O_APPEND/.test(args) && !isOwnTemporary(target))
      blame("writes over a file");
    if (bounds.forbidden.some((one) => inside(target, one) || inside(path, one)))
      blame("opens what it must not");
    const byDescriptor = path.startsWith("/proc/self/fd/");
    if (byDescriptor && reached !== undefined && !inside(reached, share)) blame("left the share");
    if (!byDescriptor && !inside(target, share)) continue;
    if (who.effectiveUser !== bounds.shareUser) blame(`is user ${who.effectiveUser} in the share`);
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
