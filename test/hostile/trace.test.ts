/** The rules themselves: what they let pass, and that each of them can be broken. */
import { describe, expect, it } from "vitest";
import { violations } from "./trace.ts";

const GUEST = "/var/lib/bootshare/guests/3b241101-e2bb-4255-8caf-4136c566a962";
const SHARE = `${GUEST}/share`;
const broken = (lines: readonly string[]): string[] =>
  violations(lines.join("\n"), {
    stateRoot: "/var/lib/bootshare",
    guest: GUEST,
    share: SHARE,
    hookLog: "/var/lib/bootshare/hook.log",
    shareUser: 64_055,
    forbidden: ["/etc/passwd"],
  }).map((text) => text.slice(0, text.indexOf(":")));

const NODE = process.execPath;
const FORK = "flags=CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD";
const LOOK = `"${NODE}", "--max-old-space-size=192", "--input-type=module", "-", "{\\"maxBytes\\":2147483648}"]`;
const SETPRIV = `"setpriv", "--no-new-privs", "--", ${LOOK}`;
const PRLIMIT = `"prlimit", "--as=2147483648", "--cpu=30:31", "--core=0", "--fsize=0", "--nofile=64", "--", ${SETPRIV}`;

const HOOK = [
  `10 execve("/usr/bin/timeout", ["/usr/bin/timeout", "60", "${NODE}", "hook.mjs"], 0x1 /* 3 vars */) = 0`,
  // The child was there before its parent's call returned.
  `10 clone(child_stack=NULL, ${FORK} <unfinished ...>`,
  `11 execve("${NODE}", ["${NODE}", "hook.mjs"], 0x1 /* 3 vars */) = 0`,
  "10 <... clone resumed>) = 11",
  "11 clone3({flags=CLONE_VM|CLONE_THREAD} => {parent_tid=[12]}, 88) = 12",
];
const NOBODY = ["13 setgroups(0, NULL) = 0", "13 setgid(65534) = 0", "13 setuid(65534) = 0"];
const CHILD = [...HOOK, `11 clone(child_stack=NULL, ${FORK}) = 13`];
const LIMITED = [...CHILD, ...NOBODY, `13 execve("/usr/bin/prlimit", [${PRLIMIT}, 0x1 /* 2 vars */) = 0`];
const LOOKING = [
  ...LIMITED,
  `13 execve("/usr/sbin/setpriv", [${SETPRIV}, 0x1 /* 2 vars */) = -1 ENOENT (No such file or directory)`,
  `13 execve("/usr/bin/setpriv", [${SETPRIV}, 0x1 /* 2 vars */) = 0`,
  `13 execve("${NODE}", [${LOOK}, 0x1 /* 2 vars */) = 0`,
  "13 clone3({flags=CLONE_VM|CLONE_THREAD} => {parent_tid=[14]}, 88) = 14",
];
const UNPACKING = [
  ...LOOKING,
  `14 clone(child_stack=NULL, ${FORK}) = 15`,
  `15 execve("/usr/bin/xz", ["xz", "-dc", "--format=xz"], 0x1 /* 2 vars */) = 0`,
];
const TEMPORARY = `${GUEST}/initrds.json.123`;

describe("the rules let pass", () => {
  it("a look into an initrd, and the file that keeps what came of it", () => {
    const remember = [
      `11 openat(AT_FDCWD</>, "${TEMPORARY}", O_WRONLY|O_CREAT|O_TRUNC|O_CLOEXEC, 0600) = 19<${TEMPORARY}>`,
      `11 chown("${TEMPORARY}", 0, 0) = 0`,
      `11 chmod("${TEMPORARY}", 0600) = 0`,
      `11 rename("${TEMPORARY}", "${GUEST}/initrds.json") = 0`,
    ];
    expect(broken([...UNPACKING, ...remember])).toEqual([]);
  });

  it("the share with the rights of its owner, in every thread", () => {
    const open = `openat(AT_FDCWD</>, "${SHARE}", O_RDONLY|O_NOFOLLOW|O_DIRECTORY) = 18<${SHARE}>`;
    expect(broken([...HOOK, "11 setresuid(-1, 64055, -1) = 0", `12 ${open}`])).toEqual([]);
    expect(broken([...HOOK, `12 ${open}`])).toEqual(["is user 0 in the share"]);
  });
});

describe("the rules are broken by", () => {
  it.each<[string, readonly string[], string]>([
    ["a shell", [...CHILD, ...NOBODY, '13 execve("/bin/sh", ["sh", "-c", "x"], 0x1) = 0'], "runs a program"],
    [
      "a program that is not there",
      [...CHILD, '13 execve("/usr/bin/curl", ["curl"], 0x1) = -1 ENOENT'],
      "runs a program",
    ],
    [
      "limits in another place",
      [...CHILD, ...NOBODY, `13 execve("/tmp/prlimit", [${PRLIMIT}, 0x1) = 0`],
      "runs a program",
    ],
    [
      "no limits",
      [...CHILD, ...NOBODY, `13 execve("/usr/bin/setpriv", [${SETPRIV}, 0x1) = 0`],
      "runs a program",
    ],
    [
      "fewer limits",
      [
        ...CHILD,
        ...NOBODY,
        `13 execve("/usr/bin/prlimit", [${PRLIMIT.replace('"--fsize=0", ', "")}, 0x1) = 0`,
      ],
      "runs a program",
    ],
    ["a way to other rights", [...LIMITED, `13 execve("${NODE}", [${LOOK}, 0x1) = 0`], "runs a program"],
    [
      "an unpacker of the hook's own",
      [...CHILD, '13 execve("/usr/bin/xz", ["xz", "-dc"], 0x1) = 0'],
      "runs a program",
    ],
    [
      "an unpacker that writes files",
      [...LOOKING, '13 execve("/usr/bin/xz", ["xz", "-d"], 0x1) = 0'],
      "runs a program",
    ],
    [
      "what an unpacker starts",
      [...UNPACKING, '15 execve("/usr/bin/xz", ["xz", "-dc"], 0x1) = 0'],
      "runs a program",
    ],
    ["root", [...CHILD, `13 execve("/usr/bin/prlimit", [${PRLIMIT}, 0x1) = 0`], "runs a program with rights"],
    [
      "nobody with root's groups",
      [...CHILD, ...NOBODY.slice(1), `13 execve("/usr/bin/prlimit", [${PRLIMIT}, 0x1) = 0`],
      "runs a program with rights",
    ],
    ["one who becomes another", [...LOOKING, "14 setuid(65534) = 0"], "comes to other rights"],
    ["a socket", [...UNPACKING, "15 socket(AF_UNIX, SOCK_STREAM, 0) = 3"], "reaches out"],
    [
      "a look at the host's files",
      [...LOOKING, `14 openat(AT_FDCWD</>, "${GUEST}/policy.json", O_RDONLY) = -1 EACCES`],
      "opens what it must not",
    ],
    [
      "a file that an unpacker writes",
      [...UNPACKING, '15 openat(AT_FDCWD</>, "/tmp/x", O_WRONLY|O_CREAT|O_EXCL, 0600) = 3</tmp/x>'],
      "opens for writing without having rights",
    ],
    [
      "a name that an unpacker removes",
      [...UNPACKING, '15 unlink("x") = -1 ENOENT'],
      "changes something without having rights",
    ],
    [
      "another file that is written over",
      [
        ...HOOK,
        `11 openat(AT_FDCWD</>, "${GUEST}/policy.json.1", O_WRONLY|O_CREAT|O_TRUNC) = 19<${GUEST}/policy.json.1>`,
      ],
      "writes over a file",
    ],
    [
      "another file's mode",
      [...HOOK, `11 chmod("${GUEST}/initrds.json", 0666) = 0`],
      "changes what is none of its business",
    ],
  ])("%s", (_what, lines, rule) => {
    expect(broken(lines)).toEqual([rule]);
  });
});
