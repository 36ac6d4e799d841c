/** An ordinary user of this machine, made for the tests, and what they run. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { PROGRAM, type Ran, until } from "../vm/machine.ts";

const NAME = "bs-test-user";

export interface OrdinaryUser {
  readonly name: string;
  readonly uid: number;
  readonly home: string;
  /** Runs a program as the user. With `hook` false, libvirt's folder for hooks is empty in the eyes of all that it starts. */
  run(program: string, args: readonly string[], hook: boolean): Promise<Ran>;
  /** Runs bootshare as the user, whatever comes of it. */
  tryBootshare(args: readonly string[], hook: boolean): Promise<Ran>;
}

/**
 * Makes the user, with a copy of the built program in their home: the sources may be where only root comes.
 *
 * useradd gives subordinate ids by itself, and Debian's HOME_MODE keeps everybody else out of the home.
 */
export function makeUser(): OrdinaryUser {
  removeUser();
  execFileSync("useradd", ["--create-home", "--shell", "/bin/sh", NAME]);
  const [, , uid = "", gid = "", , home = ""] = execFileSync("getent", ["passwd", NAME], {
    encoding: "utf8",
  }).split(":");
  chmodSync(home, 0o700);
  const program = join(home, "program");
  cpSync(dirname(PROGRAM), program, { recursive: true });
  execFileSync("chown", ["-R", `${uid}:${gid}`, program]);
  const run = async (file: string, args: readonly string[], hook: boolean): Promise<Ran> => {
    const asUser = ["setpriv", `--reuid=${uid}`, `--regid=${gid}`, "--init-groups", "--", file, ...args];
    const hideHook = [
      "unshare",
      "--mount",
      "sh",
      "-c",
      'mount -t tmpfs none /etc/libvirt/hooks && exec "$@"',
      "sh",
    ];
    const [first = "", ...rest] = hook ? asUser : [...hideHook, ...asUser];
    const { exitCode, stdout, stderr } = await execa(first, rest, {
      reject: false,
      stdin: "ignore",
      cwd: home,
      extendEnv: false,
      // As `su -` has it: no folder of a login's, so libvirt takes the one for caches.
      env: { HOME: home, USER: NAME, LOGNAME: NAME, PATH: "/usr/local/bin:/usr/bin:/bin" },
    });
    return { exitCode: exitCode ?? -1, stdout, stderr };
  };
  return {
    name: NAME,
    uid: Number(uid),
    home,
    run,
    tryBootshare: async (args, hook) =>
      await run(process.execPath, [join(program, "bootshare.mjs"), ...args], hook),
  };
}

/** Ends libvirt's daemons of the user, by their pid files. Guests of theirs go on. */
export async function endDaemons({ home }: OrdinaryUser): Promise<void> {
  for (const name of ["libvirtd", "virtqemud", "virtlogd"]) {
    const file = join(home, ".cache/libvirt", `${name}.pid`);
    if (!existsSync(file)) continue;
    const pid = Number(readFileSync(file, "utf8"));
    if (!existsSync(`/proc/${pid}`)) continue;
    process.kill(pid, "SIGTERM");
    await until(`${name} of the user has ended`, 30, async () =>
      existsSync(`/proc/${pid}`) ? undefined : true,
    );
  }
}

/** Takes the user away with everything of theirs. Nothing of theirs runs any more. */
export function removeUser(): void {
  spawnSync("userdel", ["--force", NAME]);
  // What is of their guests' users as well.
  rmSync(join("/home", NAME), { recursive: true, force: true });
}
