import { expect, test } from "vitest";
import { usable } from "../../../src/doctor/examine.ts";
import type { Probe } from "../../../src/doctor/probe.ts";
import { UserError } from "../../../src/errors.ts";
import type { DebianArch } from "../../../src/kernel/arch.ts";
import { HOOK_FILE } from "../../../src/paths.ts";
import {
  examined,
  file,
  filesBut,
  folder,
  GUEST,
  HEALTHY,
  missing,
  ran,
  textsBut,
  USERS,
  USERS_GUEST,
  UUID,
  usersFilesBut,
  without,
} from "./machine.ts";

test("a machine that has everything is usable, and nothing is left to say", async () => {
  const all = await examined();
  expect(all.filter(({ ok, fix }) => ok !== true || fix !== null)).toEqual([]);
  expect(usable(all)).toBe(true);
  expect(Object.fromEntries(all.map(({ id, found }) => [id, found]))).toEqual({
    qemu: "7.2.22",
    "qemu-img": "7.2.22",
    libvirt: "9.0.0, libvirtd (process 42)",
    virtlogd: "process 41",
    copies: "none",
    "qemu-user": "libvirt-qemu (64055), group 64055",
    hook: "/etc/libvirt/hooks/qemu.d/bootshare, version 0.1.0",
    "hook-current": "0.1.0",
    "hook-called": "it refused a trial domain, as it should",
    service: "running (process 43)",
    virtiofsd: "/usr/libexec/virtiofsd",
    setfattr: "/usr/bin/setfattr",
    mmdebstrap: "/usr/bin/mmdebstrap",
    mke2fs: "/usr/bin/mke2fs",
    ssh: "/usr/bin/ssh",
    "ssh-keygen": "/usr/bin/ssh-keygen",
    flock: "/usr/bin/flock",
    "archive-keys": "/usr/share/keyrings/debian-archive-keyring.gpg",
    mirror: "http://mirror.example.org/debian",
    "free-space": "20.0 GiB below /var/lib/bootshare",
    "state-folders": "/var/lib/bootshare is as it should be, one guest",
    "hook-files": "only root may write them",
    "kvm-device": "0660 root:kvm",
    kvm: "ran a guest in 0.1 of the time of emulation",
    accelerator: "KVM",
  });
});

test("an ordinary user needs no hook, nothing of root's, and what makes a user namespace", async () => {
  const all = await examined(USERS);
  expect(usable(all)).toBe(true);
  const ids = all.map(({ id }) => id);
  for (const roots of ["qemu-user", "hook-files", "kvm-device"]) expect(ids).not.toContain(roots);
  const required = Object.fromEntries(all.map(({ id, required }) => [id, required]));
  expect(required).toMatchObject({ hook: false, "hook-called": false, newuidmap: true });
  expect(Object.fromEntries(all.map(({ id, found }) => [id, found]))).toMatchObject({
    virtlogd: "libvirt starts it when it is needed",
    newuidmap: "/usr/bin/newuidmap",
    "subordinate-ids": "u has them",
    "user-namespace": "this user may make one",
    "state-folders": "/home/u/.local/state/bootshare is as it should be, one guest",
  });
});

const virshFails =
  (code: string, message: string, detail?: string): Probe["virshVersion"] =>
  async () => {
    throw new UserError(code, message, detail === undefined ? {} : { detail });
  };
const unreachable = virshFails(
  "LIBVIRT_UNREACHABLE",
  "libvirt's daemon cannot be reached at qemu:///system.",
);
const hookIs = (changes: Partial<Awaited<ReturnType<Probe["hookStatus"]>>>): Partial<Probe> => ({
  hookStatus: async () => ({ ...(await HEALTHY.hookStatus()), ...changes }),
});
const noUser: Pick<Probe, "qemuUser"> = {
  qemuUser: async () => {
    throw new UserError("QEMU_USER_MISSING", "This machine has no user libvirt-qemu.");
  },
};
const noKvm: Pick<Probe, "kvm"> = {
  kvm: async () => ({ accel: "kvm", usable: false, reason: 'KVM does not run a guest: QEMU said "no".' }),
};
const refused = (errno: string) => () => {
  throw Object.assign(new Error(errno), { code: errno });
};
const INSTALL = "bootshare hook install --restart";
const LIBVIRT = "apt-get install libvirt-daemon-system";
const KVM_FIX = "chgrp kvm /dev/kvm; chmod 0660 /dev/kvm";
const NODE_FIX = "run 'bootshare hook install' with a Node.js that only root may write";

type Case = readonly [
  what: string,
  changes: Partial<Probe>,
  id: string,
  ok: boolean | null,
  found: string | RegExp,
  fix: string | null,
];
const cases: readonly Case[] = [
  [
    "no QEMU",
    without("/usr/bin/qemu-system-x86_64"),
    "qemu",
    false,
    "/usr/bin/qemu-system-x86_64 is not installed",
    "apt-get install qemu-system-x86",
  ],
  [
    "an old QEMU still counts",
    { run: async () => ran({ stdout: "QEMU emulator version 6.10.1\n" }) },
    "qemu",
    true,
    "6.10.1, older than any that was tried (7.2)",
    null,
  ],
  [
    "QEMU that fails",
    { run: async () => ran({ exitCode: 127, stderr: "libx\u001b.so: no such file\nmore" }) },
    "qemu",
    false,
    /does not run: libx\\x1b\.so: no such file$/,
    "apt-get install qemu-system-x86",
  ],
  [
    "QEMU that hangs",
    { run: async () => ran({ exitCode: -1, timedOut: true }) },
    "qemu-img",
    false,
    /does not end/,
    null,
  ],
  ["no qemu-img", without("qemu-img"), "qemu-img", false, /not installed/, "apt-get install qemu-utils"],

  [
    "copies by virt-clone",
    { copies: async () => ["c1", "c\u001b2"].map((name) => ({ name, of: UUID })) },
    "copies",
    false,
    "c1, c\\x1b2: made by virt-clone, and not started by the hook",
    "bootshare adopt c1",
  ],
  [
    "copies that libvirt does not tell",
    {
      copies: async () => {
        throw new UserError("LIBVIRT_TIMEOUT", "libvirt did not answer within 10 s.");
      },
    },
    "copies",
    null,
    "libvirt does not tell its domains",
    null,
  ],

  ["no virsh", without("virsh"), "libvirt", false, /virsh is not/, "apt-get install libvirt-clients"],
  [
    "libvirt that does not run",
    { virshVersion: unreachable },
    "libvirt",
    false,
    /reached/,
    "systemctl start libvirtd",
  ],
  [
    "libvirt that does not run, without systemd",
    { virshVersion: unreachable, systemd: false },
    "libvirt",
    false,
    /reached/,
    "virtlogd -d; libvirtd -d",
  ],
  [
    "libvirt in parts that does not run",
    { virshVersion: unreachable, ...without("libvirtd") },
    "libvirt",
    false,
    /reached/,
    "systemctl start virtqemud",
  ],
  [
    "no daemon",
    { virshVersion: unreachable, ...without("libvirtd", "virtqemud") },
    "libvirt",
    false,
    /reached/,
    LIBVIRT,
  ],
  [
    "a user's libvirt that does not start",
    { ...USERS, virshVersion: unreachable },
    "libvirt",
    false,
    /reached/,
    "libvirtd --timeout=120 --verbose",
  ],
  [
    "a user's libvirt that knows no qemu.d",
    { ...USERS, virshVersion: async () => "Running against daemon: 6.4.0\n" },
    "libvirt",
    true,
    /older than any/,
    null,
  ],
  [
    "no virtlogd for a user",
    { ...USERS, ...without("virtlogd") },
    "virtlogd",
    false,
    "it is not installed",
    LIBVIRT,
  ],
  [
    "no hook for a user",
    USERS,
    "hook",
    false,
    "not installed: /etc/libvirt/hooks/qemu.d/bootshare does not exist",
    INSTALL,
  ],
  [
    "a hook that a user has",
    { ...USERS, hookStatus: HEALTHY.hookStatus },
    "hook-called",
    true,
    /refused/,
    null,
  ],
  [
    "no newuidmap",
    { ...USERS, ...without("newuidmap") },
    "newuidmap",
    false,
    /not inst/,
    "apt-get install uidmap",
  ],
  [
    "no subordinate ids",
    { ...USERS, read: () => "v:100000:65536\n" },
    "subordinate-ids",
    false,
    "u has none, or too few, in /etc/subuid and /etc/subgid",
    "usermod --add-subuids 165536-231071 --add-subgids 165536-231071 u",
  ],
  [
    "no user namespaces",
    { ...USERS, run: async () => ran({ exitCode: 1, stderr: "unshare: unshare failed: No space left\n" }) },
    "user-namespace",
    false,
    "it cannot be made: unshare: unshare failed: No space left",
    null,
  ],
  [
    "a user's guest that others may look into",
    usersFilesBut({ [USERS_GUEST]: folder(0o710, 1000) }),
    "state-folders",
    false,
    `${USERS_GUEST} is 0710, not 0700`,
    `chmod 0700 ${USERS_GUEST}`,
  ],
  [
    "a user's guest that root has touched",
    usersFilesBut({ [USERS_GUEST]: folder(0o700) }),
    "state-folders",
    false,
    `${USERS_GUEST} is not this user's`,
    `chown 1000 ${USERS_GUEST}`,
  ],
  [
    "libvirt that hangs",
    { virshVersion: virshFails("LIBVIRT_TIMEOUT", "libvirt did not answer within 10 s.") },
    "libvirt",
    false,
    "libvirt did not answer within 10 s",
    null,
  ],
  [
    "libvirt that finds no QEMU",
    {
      virshVersion: virshFails(
        "LIBVIRT_FAILED",
        "x",
        "error: failed to get the hypervisor version\nerror: y",
      ),
    },
    "libvirt",
    true,
    /finds no QEMU/,
    null,
  ],
  [
    "libvirt that fails otherwise",
    { virshVersion: virshFails("LIBVIRT_FAILED", "x", "error: something else") },
    "libvirt",
    false,
    "something else",
    null,
  ],
  [
    "libvirt without qemu.d",
    { virshVersion: async () => "Running against daemon: 6.4.0\n" },
    "libvirt",
    false,
    /6\.4\.0.*6\.5/,
    null,
  ],
  [
    "an old libvirt still counts",
    { virshVersion: async () => "Running against daemon: 8.10.0\n" },
    "libvirt",
    true,
    /^8\.10\.0.*older/,
    null,
  ],
  [
    "virtlogd that does not run",
    { ...textsBut({ "/proc/41/comm": "sleep\n" }) },
    "virtlogd",
    false,
    /not run/,
    "systemctl start virtlogd.socket",
  ],
  [
    "virtlogd that does not run, without systemd",
    { ...textsBut({ "/run/virtlogd.pid": undefined }), systemd: false },
    "virtlogd",
    false,
    /not run/,
    "virtlogd -d",
  ],
  [
    "virtlogd that systemd will start",
    {
      ...textsBut({ "/run/virtlogd.pid": undefined }),
      ...filesBut({ "/run/libvirt/virtlogd-sock": file(0o600) }),
    },
    "virtlogd",
    true,
    /when asked/,
    null,
  ],
  [
    "a socket that nobody serves",
    {
      ...textsBut({ "/run/virtlogd.pid": undefined }),
      ...filesBut({ "/run/libvirt/virtlogd-sock": file(0o600) }),
      systemd: false,
    },
    "virtlogd",
    false,
    /not run/,
    "virtlogd -d",
  ],
  [
    "no virtlogd",
    { ...textsBut({ "/run/virtlogd.pid": undefined }), ...without("virtlogd") },
    "virtlogd",
    false,
    /not installed/,
    LIBVIRT,
  ],
  ["no user for QEMU", noUser, "qemu-user", false, /no user/, LIBVIRT],

  [
    "no hook",
    hookIs({ installed: false, usable: false, lines: ["not installed: x does not exist"] }),
    "hook",
    false,
    "not installed: x does not exist",
    INSTALL,
  ],
  ["a hook whose Node.js went", hookIs({ nodeFound: false, usable: false }), "hook", false, /Node/, INSTALL],
  ["a hook that is not executable", hookIs({ usable: false }), "hook", false, /executable/, INSTALL],
  [
    "a hook that libvirt may not know: the trial tells",
    hookIs({ usable: false, daemonKnows: false }),
    "hook",
    true,
    /version/,
    null,
  ],
  [
    "a hook of another version",
    hookIs({ current: false, version: "0.0.9" }),
    "hook-current",
    false,
    "0.0.9, not that of this bootshare",
    "bootshare hook install",
  ],
  ["no hook to be current", hookIs({ installed: false }), "hook-current", null, /no hook/, null],
  [
    "a hook that may not be read",
    { hookStatus: async () => refused("EACCES")() },
    "hook",
    null,
    "this user may not look",
    null,
  ],
  [
    "a hook that is not called",
    { tryHook: async () => ({ outcome: "not-called", said: "x" }) },
    "hook-called",
    false,
    /let a trial domain pass/,
    INSTALL,
  ],
  [
    "a hook that fails",
    { tryHook: async () => ({ outcome: "broken", said: "The program is missing." }) },
    "hook-called",
    false,
    "it is called, and fails: the program is missing",
    INSTALL,
  ],
  [
    "a trial that does not tell",
    { tryHook: async () => ({ outcome: "unknown", said: "no room" }) },
    "hook-called",
    null,
    /no room/,
    null,
  ],
  ["a trial of a hook that is not there", USERS, "hook-called", null, "there is none to call", null],
  [
    "a trial without QEMU",
    filesBut({ "/usr/bin/qemu-system-x86_64": undefined }),
    "hook-called",
    null,
    /without QEMU/,
    null,
  ],

  [
    "no service, without systemd",
    { service: () => ({ state: "stopped", pid: null }), systemd: false },
    "service",
    false,
    /commands that start guests start it/,
    "bootshare service",
  ],
  [
    "no unit of the service",
    { service: () => ({ state: "stopped", pid: null }) },
    "service",
    false,
    /stays off/,
    "bootshare service install",
  ],
  [
    "a unit that is stopped",
    {
      service: () => ({ state: "stopped", pid: null }),
      ...filesBut({ "/etc/systemd/system/bootshare.service": file(0o644) }),
    },
    "service",
    false,
    /stays off/,
    "systemctl start bootshare",
  ],
  [
    "a service's lock that may not be opened",
    { service: refused("EACCES") },
    "service",
    null,
    /may not/,
    null,
  ],
  ["no flock", without("flock"), "service", null, /flock/, null],
  ["no flock", without("flock"), "flock", false, /not installed/, "apt-get install util-linux"],
  [
    "no virtiofsd",
    { virtiofsd: () => undefined },
    "virtiofsd",
    false,
    /9p/,
    "apt-get install virtiofsd || apt-get install qemu-system-common",
  ],
  [
    "no mmdebstrap",
    without("mmdebstrap"),
    "mmdebstrap",
    false,
    /not installed/,
    "apt-get install mmdebstrap",
  ],
  ["no mke2fs", without("mke2fs"), "mke2fs", false, /not installed/, "apt-get install e2fsprogs"],
  ["no ssh", without("ssh"), "ssh", false, /not installed/, "apt-get install openssh-client"],
  ["no setfattr", without("setfattr"), "setfattr", false, /not installed/, "apt-get install attr"],
  [
    "no keys of the archive",
    filesBut({ "/usr/share/keyrings/debian-archive-keyring.gpg": undefined }),
    "archive-keys",
    false,
    /not there/,
    "apt-get install debian-archive-keyring",
  ],
  [
    "no mirror",
    { mirrors: async () => ({ archive: undefined, security: undefined }) },
    "mirror",
    false,
    /knows none/,
    "apt-get update, or give create --mirror http://mirror.example.org/debian",
  ],
  [
    "no security mirror",
    { mirrors: async () => ({ archive: "http://mirror.example.org/debian", security: undefined }) },
    "mirror",
    false,
    "http://mirror.example.org/debian; none of the security archive",
    "give create --security-mirror URL or --no-security",
  ],
  [
    "no apt",
    without("apt-get"),
    "mirror",
    false,
    /no apt/,
    "give create --mirror http://mirror.example.org/debian",
  ],

  [
    "too little room",
    { freeBytes: async () => 4 * 2 ** 30 - 1 },
    "free-space",
    false,
    "3.9 GiB below /var/lib/bootshare; making a guest needs 4.0",
    null,
  ],
  ["just enough room", { freeBytes: async () => 4 * 2 ** 30 }, "free-space", true, /^4\.0/, null],
  [
    "no state folder yet: the room above it",
    filesBut({ "/var/lib/bootshare": undefined, "/var/lib": folder(0o755) }),
    "free-space",
    true,
    /below \/var\/lib$/,
    null,
  ],
  [
    "no state folder yet",
    filesBut({ "/var/lib/bootshare": undefined }),
    "state-folders",
    true,
    /not there yet/,
    null,
  ],
  [
    "a state folder that everybody may list",
    filesBut({ "/var/lib/bootshare": folder(0o755) }),
    "state-folders",
    false,
    "/var/lib/bootshare is 0755, not 0711",
    "chmod 0711 /var/lib/bootshare",
  ],
  [
    "a folder of guests that QEMU cannot pass",
    filesBut({ "/var/lib/bootshare/guests": folder(0o700) }),
    "state-folders",
    false,
    /0700, not 0711/,
    "chmod 0711 /var/lib/bootshare/guests",
  ],
  [
    "a guest's folder that everybody may pass",
    filesBut({ [GUEST]: folder(0o711, 0, 64055) }),
    "state-folders",
    false,
    `${GUEST} is 0711, wider than 0710`,
    `chown root:libvirt-qemu ${GUEST}; chmod 0710 ${GUEST}`,
  ],
  [
    "a guest's folder of another group's",
    filesBut({ [GUEST]: folder(0o710, 0, 100) }),
    "state-folders",
    false,
    `${GUEST} is open to group 100, not libvirt-qemu`,
    `chown root:libvirt-qemu ${GUEST}; chmod 0710 ${GUEST}`,
  ],
  [
    "a stricter guest's folder",
    filesBut({ [GUEST]: folder(0o700) }),
    "state-folders",
    true,
    /one guest/,
    null,
  ],
  [
    "two things wrong",
    filesBut({ [`${GUEST}/boots.jsonl`]: file(0o666), "/var/lib/bootshare/trials.json": file(0o646) }),
    "state-folders",
    false,
    "/var/lib/bootshare/trials.json may be written by everybody, and 1 more",
    `chmod o-w /var/lib/bootshare/trials.json; chmod o-w ${GUEST}/boots.jsonl`,
  ],
  [
    "guests that this user may not list",
    { names: () => ({ errno: "EACCES" }) },
    "state-folders",
    null,
    /may not look into/,
    null,
  ],
  [
    "guests that this user may not list, and something wrong",
    { names: () => ({ errno: "EACCES" }), ...filesBut({ "/var/lib/bootshare": folder(0o777) }) },
    "state-folders",
    false,
    /0777.*, and 1 more/,
    "chmod 0711 /var/lib/bootshare; chmod o-w /var/lib/bootshare",
  ],
  ["no guests", { names: () => [] }, "state-folders", true, /no guests/, null],
  ["guests and no user for QEMU", noUser, "state-folders", true, /one guest/, null],
  [
    "a hook that a group may write",
    filesBut({ [HOOK_FILE]: file(0o775) }),
    "hook-files",
    false,
    `others than root may write ${HOOK_FILE}`,
    `chmod go-w ${HOOK_FILE}`,
  ],
  [
    "a hooks folder of a user's",
    filesBut({ "/etc/libvirt/hooks": folder(0o755, 1000) }),
    "hook-files",
    false,
    "/etc/libvirt/hooks is not root's",
    "chown root /etc/libvirt/hooks",
  ],
  [
    "a Node.js in a user's home",
    {
      ...textsBut({ [HOOK_FILE]: "node='/home/u/bin/node'\n" }),
      ...filesBut({
        "/home": folder(0o755),
        "/home/u": folder(0o755, 1000),
        "/home/u/bin/node": file(0o755, 1000),
      }),
    },
    "hook-files",
    false,
    "/home/u is not root's",
    NODE_FIX,
  ],
  [
    "a Node.js in a sticky folder of root's",
    {
      ...textsBut({ [HOOK_FILE]: "node='/srv/node'\n" }),
      ...filesBut({ "/srv": folder(0o1777), "/srv/node": file(0o755) }),
    },
    "hook-files",
    true,
    /only root/,
    null,
  ],
  [
    "no hook files",
    filesBut({ [HOOK_FILE]: undefined, "/usr/local/lib/bootshare/hook.mjs": undefined }),
    "hook-files",
    null,
    /none yet/,
    null,
  ],

  ["no /dev/kvm", filesBut({ "/dev/kvm": undefined }), "kvm-device", false, /emulated/, null],
  [
    "/dev/kvm of root's alone",
    filesBut({ "/dev/kvm": file(0o600) }),
    "kvm-device",
    false,
    "0600 root:root: libvirt's QEMU may not open it",
    KVM_FIX,
  ],
  [
    "/dev/kvm of another group's",
    filesBut({ "/dev/kvm": file(0o660) }),
    "kvm-device",
    false,
    /0660/,
    KVM_FIX,
  ],
  [
    "/dev/kvm for everybody",
    filesBut({ "/dev/kvm": file(0o666) }),
    "kvm-device",
    true,
    "0666 root:root",
    null,
  ],
  ["KVM that runs nothing", noKvm, "kvm", false, 'does not run a guest: QEMU said "no"', null],
  ["KVM that runs nothing", noKvm, "accelerator", true, "emulation: TCG ran a guest", null],
  [
    "nothing that runs a guest",
    {
      ...noKvm,
      tcg: async () => ({
        accel: "tcg",
        usable: false,
        reason: "TCG does not run a guest: the trial did not end.",
      }),
    },
    "accelerator",
    false,
    "TCG does not run a guest: the trial did not end",
    null,
  ],
  [
    "KVM that an ordinary user may not open",
    {
      ...USERS,
      kvm: async () => ({ accel: "kvm", usable: false, reason: "This user may not open /dev/kvm." }),
    },
    "kvm",
    false,
    "this user may not open /dev/kvm",
    "adduser u kvm",
  ],
  [
    "no QEMU to try KVM with",
    filesBut({ "/usr/bin/qemu-system-x86_64": undefined }),
    "kvm",
    null,
    /without QEMU/,
    null,
  ],
];

test.each(cases)("%s: %j", async (_what, changes, id, ok, found, fix) => {
  const one = (await examined(changes)).find((each) => each.id === id);
  expect(one?.found).toMatch(typeof found === "string" ? exactly(found) : found);
  expect({ ok: one?.ok, fix: one?.fix }).toEqual({ ok, fix });
});

function exactly(text: string): RegExp {
  return new RegExp(`^${text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`);
}

test("setfattr is required only where 9p is all there is", async () => {
  const need = async (changes: Partial<Probe>): Promise<boolean | undefined> =>
    (await examined(changes)).find(({ id }) => id === "setfattr")?.required;
  expect(await need({})).toBe(false);
  expect(await need({ virtiofsd: () => undefined })).toBe(true);
  expect(await need(USERS)).toBe(true);
});

test("KVM is tried once, and emulation only where KVM does not run guests", async () => {
  let kvm = 0;
  let tcg = 0;
  const count = (usable: boolean): Partial<Probe> => ({
    kvm: async () => {
      kvm++;
      return { accel: "kvm", usable, reason: "KVM." };
    },
    tcg: async () => {
      tcg++;
      return { accel: "tcg", usable: true, reason: "TCG." };
    },
  });
  await examined(count(true));
  expect([kvm, tcg]).toEqual([1, 0]);
  await examined(count(false));
  expect([kvm, tcg]).toEqual([2, 1]);
});

const BINFMT = "/proc/sys/fs/binfmt_misc";
const entry = (flags: string): string =>
  `enabled\ninterpreter /usr/libexec/qemu-binfmt/aarch64-binfmt-P\nflags: ${flags}\noffset 0\n`;
const registered = { [`${BINFMT}/status`]: "enabled\n", [`${BINFMT}/qemu-aarch64`]: entry("POCF") };

type Foreign = readonly [
  what: string,
  changes: Partial<Probe>,
  host: readonly [arch: DebianArch, native: DebianArch],
  id: string,
  ok: boolean | null | undefined,
  found: string | RegExp,
];
const arm = { nodeArch: "arm64" };
const fails = (stderr: string) => async () => ran({ exitCode: 1, stderr });
const noPerl = (qemu: Awaited<ReturnType<Probe["run"]>>): Partial<Probe> => ({
  ...arm,
  run: async (program) => (program === "perl" ? missing : qemu),
});
/** A healthy arm64 host with QEMU for armhf: what KVM says of EL1, and the exit code of a 32-bit program. */
const armhfHost = ({ el1 = "1", program = 42 }: { el1?: string; program?: number }): Partial<Probe> => ({
  ...arm,
  ...filesBut({ "/usr/bin/qemu-system-arm": file(0o755) }),
  async run(name, args) {
    if (name === "perl") return ran({ stdout: el1 });
    return name.endsWith("/arm32") ? ran({ exitCode: program }) : await HEALTHY.run(name, args);
  },
});
const foreign: readonly Foreign[] = [
  ["one's own programs", {}, ["amd64", "amd64"], "binfmt", undefined, ""],
  ["i386 on amd64", {}, ["i386", "amd64"], "binfmt", undefined, ""],
  ["one's own programs", {}, ["amd64", "amd64"], "foreign-programs", undefined, ""],
  ["all its programs", {}, ["i386", "amd64"], "foreign-programs", true, "arch-test"],
  [
    "some of them missing",
    without("depmod", "modprobe", "xz"),
    ["arm64", "amd64"],
    "foreign-programs",
    false,
    "missing: depmod, modprobe, xz",
  ],
  ["registered", textsBut(registered), ["arm64", "amd64"], "binfmt", true, /aarch64-binfmt-P$/],
  ["not mounted", {}, ["arm64", "amd64"], "binfmt", false, /not mounted/],
  [
    "off",
    textsBut({ ...registered, [`${BINFMT}/status`]: "disabled\n" }),
    ["arm64", "amd64"],
    "binfmt",
    false,
    /switched off/,
  ],
  ["of another", textsBut(registered), ["riscv64", "amd64"], "binfmt", false, /qemu-riscv64/],
  [
    "not for a chroot",
    textsBut({ ...registered, [`${BINFMT}/qemu-aarch64`]: entry("OC") }),
    ["arm64", "amd64"],
    "binfmt",
    false,
    /flag F/,
  ],
  [
    "an entry that is off",
    textsBut({ ...registered, [`${BINFMT}/qemu-aarch64`]: entry("F").replace("enabled", "disabled") }),
    ["arm64", "amd64"],
    "binfmt",
    false,
    /qemu-aarch64 is switched off/,
  ],
  ["armhf on arm64 that runs it", arm, ["armhf", "arm64"], "binfmt", true, /not needed/],
  [
    "armhf on arm64 that does not",
    { ...arm, run: async () => ran({ stdout: "CPU op-mode(s):   64-bit\n" }) },
    ["armhf", "arm64"],
    "binfmt",
    false,
    /not mounted/,
  ],
  ["KVM on amd64 for arm64", {}, ["arm64", "amd64"], "kvm", undefined, ""],
  ["KVM on amd64 for arm64", {}, ["arm64", "amd64"], "kvm-device", undefined, ""],
  ["emulation of another", noKvm, ["arm64", "amd64"], "accelerator", true, /^emulation/],
  ["no QEMU for it", {}, ["s390x", "amd64"], "qemu", false, "/usr/bin/qemu-system-s390x is not installed"],
  ["32-bit ARM on amd64", {}, ["amd64", "amd64"], "arm32-el1", undefined, ""],
  ["EL1", arm, ["arm64", "arm64"], "arm32-el1", true, "KVM_CAP_ARM_EL1_32BIT is 1"],
  [
    "no EL1",
    { ...arm, run: async () => ran({ stdout: "0" }) },
    ["arm64", "arm64"],
    "arm32-el1",
    false,
    "KVM_CAP_ARM_EL1_32BIT is 0",
  ],
  [
    "no /dev/kvm",
    { ...arm, ...filesBut({ "/dev/kvm": undefined }) },
    ["arm64", "arm64"],
    "arm32-el1",
    false,
    /no \/dev\/kvm/,
  ],
  [
    "a /dev/kvm that says nothing",
    { ...arm, run: fails("Permission denied\n") },
    ["arm64", "arm64"],
    "arm32-el1",
    null,
    "/dev/kvm does not tell: Permission denied",
  ],
  ["EL1 by QEMU", noPerl(ran({})), ["arm64", "arm64"], "arm32-el1", true, /QEMU makes/],
  [
    "no EL1 by QEMU",
    noPerl(
      ran({
        exitCode: 1,
        stderr:
          "qemu-system-aarch64: can't apply global host-arm-cpu.aarch64=off: 'aarch64' feature cannot be disabled unless KVM is enabled and 32-bit EL1 is supported",
      }),
    ),
    ["arm64", "arm64"],
    "arm32-el1",
    false,
    /QEMU says/,
  ],
  ["neither", noPerl(missing), ["arm64", "arm64"], "arm32-el1", null, /neither/],
  ["EL0", arm, ["arm64", "arm64"], "arm32-el0", true, "lscpu says op-modes 32-bit, 64-bit"],
  [
    "no EL0",
    { ...arm, run: async () => ran({ stdout: "CPU op-mode(s):   64-bit\n" }) },
    ["arm64", "arm64"],
    "arm32-el0",
    false,
    "lscpu says op-modes 64-bit",
  ],
  ["EL0 by a program", armhfHost({ program: 42 }), ["armhf", "arm64"], "arm32-el0", true, "one ran"],
  [
    "EL0 that the kernel does not offer",
    armhfHost({ program: 9 }),
    ["armhf", "arm64"],
    "arm32-el0",
    false,
    "this kernel starts none (no CONFIG_COMPAT), though lscpu says op-modes 32-bit, 64-bit",
  ],
  ["armhf with EL1", armhfHost({}), ["armhf", "arm64"], "accelerator", true, "KVM"],
  [
    "armhf without EL1",
    armhfHost({ el1: "0", program: 42 }),
    ["armhf", "arm64"],
    "accelerator",
    true,
    "KVM runs the arm64 kernel under the armhf programs, because: This host's processor has no 32-bit kernel mode (EL1)",
  ],
  [
    "armhf without either",
    armhfHost({ el1: "0", program: 9 }),
    ["armhf", "arm64"],
    "accelerator",
    true,
    /^emulation/,
  ],
  [
    "armhf where 32-bit kernels fail under KVM",
    {
      ...armhfHost({ program: 42 }),
      kvm: async (arch) => await (arch === "armhf" ? noKvm : HEALTHY).kvm(arch),
    },
    ["armhf", "arm64"],
    "accelerator",
    true,
    /^KVM runs the arm64 kernel under the armhf programs, because: KVM does not run a guest: QEMU said "no"$/,
  ],
  [
    "KVM for armhf is that of the host",
    armhfHost({ el1: "0" }),
    ["armhf", "arm64"],
    "kvm",
    true,
    /^ran a guest/,
  ],
  ["no lscpu", { ...arm, ...without("lscpu") }, ["arm64", "arm64"], "arm32-el0", null, /does not tell/],
];
test.each(foreign)("foreign: %s", async (_what, changes, [arch, native], id, ok, found) => {
  const one = (await examined(changes, arch, native)).find((each) => each.id === id);
  expect(one?.ok).toBe(ok);
  expect(one?.found ?? "").toMatch(typeof found === "string" ? exactly(found) : found);
});

test("the guest's own folders are looked at by name, and its share is not", async () => {
  const asked: string[] = [];
  await examined({
    stat: (path) => {
      asked.push(path);
      return HEALTHY.stat(path);
    },
  });
  expect(asked).toContain(`${GUEST}/disk.qcow2`);
  expect(asked.filter((path) => path === `${GUEST}/share` || path.startsWith(`${GUEST}/share/`))).toEqual([]);
  expect(asked.some((path) => path.includes(UUID))).toBe(true);
});
