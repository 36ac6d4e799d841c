/** Which programs a start may run, one after the other, and with which rights: what strace(1) saw of processes. */
import { basename } from "node:path";

/** A system call as strace writes it. */
export interface Call {
  readonly pid: string;
  readonly name: string;
  readonly args: string;
  /** What it returned, with the path that a new descriptor leads to. */
  readonly result: string;
}

/** Debian's user and group who own nothing. */
const NOBODY = 65_534;

type Step = "timeout" | "hook" | "limits" | "privileges" | "look" | "unpacker";

interface Program {
  /** Absolute. */
  readonly file: string;
  /** How its argument vector begins, as strace writes it; any where it does not matter. */
  readonly argv?: string;
  readonly step: Step;
}

const LOOK = `"--max-old-space-size=192", "--input-type=module", "-", "{\\"maxBytes\\":2147483648}"]`;

/** What may run in the place of, or be started by, each: nothing else, and nothing in another order. */
function next(step: Step | undefined): readonly Program[] {
  const node = process.execPath;
  switch (step) {
    case undefined:
      return [{ file: "/usr/bin/timeout", step: "timeout" }];
    case "timeout":
      return [{ file: node, step: "hook" }];
    case "hook": {
      const limits = `"--as=2147483648", "--cpu=30:31", "--core=0", "--fsize=0", "--nofile=64"`;
      const argv = `["prlimit", ${limits}, "--", "setpriv", "--no-new-privs", "--", "${node}", ${LOOK}`;
      return [{ file: "/usr/bin/prlimit", argv, step: "limits" }];
    }
    case "limits": {
      const argv = `["setpriv", "--no-new-privs", "--", "${node}", ${LOOK}`;
      return [{ file: "/usr/bin/setpriv", argv, step: "privileges" }];
    }
    case "privileges":
      return [{ file: node, argv: `["${node}", ${LOOK}`, step: "look" }];
    case "look":
      return ["gzip", "xz", "zstd", "lz4", "bzip2"].map((name) => ({
        file: `/usr/bin/${name}`,
        argv: `["${name}", "-dc"`,
        step: "unpacker",
      }));
    case "unpacker":
      return [];
  }
}

/** A process, as far as the trace tells: who it is, and what runs in it. Threads share one. */
export interface Process {
  step: Step | undefined;
  user: number;
  effectiveUser: number;
  group: number;
  /** Its supplementary groups were dropped. */
  alone: boolean;
}

/** Whether a process is one of those that are to have no rights. */
export function isConfined({ step }: Process): boolean {
  return step !== undefined && step !== "timeout" && step !== "hook";
}

/** Follows the processes of a trace. */
export class Processes {
  readonly #parents: ReadonlyMap<string, { readonly parent: string; readonly thread: boolean }>;
  readonly #known = new Map<string, Process>();

  constructor(calls: readonly Call[]) {
    // A child may have done much before its parent's call has returned.
    this.#parents = new Map(
      calls
        .filter(({ name, result }) => /^(v?fork|clone3?)$/.test(name) && /^\d+$/.test(result))
        .map(({ pid, args, result }) => [result, { parent: pid, thread: args.includes("CLONE_THREAD") }]),
    );
  }

  of(pid: string): Process {
    const known = this.#known.get(pid) ?? this.#begin(pid);
    this.#known.set(pid, known);
    return known;
  }

  #begin(pid: string): Process {
    const birth = this.#parents.get(pid);
    if (birth === undefined) return { step: undefined, user: 0, effectiveUser: 0, group: 0, alone: false };
    const parent = this.of(birth.parent);
    return birth.thread ? parent : { ...parent };
  }

  /** Takes a call into account. Returns the rule that it broke, if it did. */
  take(call: Call): string | undefined {
    const { pid, name, args } = call;
    const who = this.of(pid);
    if (/^execve(at)?$/.test(name)) return this.#run(who, call);
    if (call.result.startsWith("-1")) return undefined;
    const ids = args.split(",").map(Number);
    const [first = -1, second = -1] = ids;
    if (/^set(res)?[ug]id$/.test(name) && isConfined(who)) return "comes to other rights";
    if (name === "setuid") [who.user, who.effectiveUser] = [first, first];
    if (name === "setgid") who.group = first;
    if (name === "setresuid") {
      if (first >= 0) who.user = first;
      if (second >= 0) who.effectiveUser = second;
    }
    if (name === "setgroups") who.alone = first === 0;
    return undefined;
  }

  #run(who: Process, { name, args, result }: Call): string | undefined {
    const [, file = "", argv = ""] = /^"([^"]*)", (\[.*)$/.exec(args) ?? [];
    const allowed = next(who.step);
    if (name !== "execve") return "runs a program";
    // The folders of PATH are tried one after the other.
    if (result.startsWith("-1"))
      return allowed.some((one) => basename(one.file) === basename(file)) ? undefined : "runs a program";
    const program = allowed.find((one) => one.file === file && argv.startsWith(one.argv ?? ""));
    if (program === undefined) return "runs a program";
    who.step = program.step;
    const { user, effectiveUser, group, alone } = who;
    const nobody = user === NOBODY && effectiveUser === NOBODY && group === NOBODY && alone;
    return isConfined(who) && !nobody ? "runs a program with rights" : undefined;
  }
}
