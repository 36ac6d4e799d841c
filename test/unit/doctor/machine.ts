/** A machine that has everything, for tests to take things away from. */

import { type Examined, examine } from "../../../src/doctor/examine.ts";
import type { FileFacts, Probe } from "../../../src/doctor/probe.ts";
import { requirements } from "../../../src/doctor/requirements.ts";
import type { DebianArch } from "../../../src/kernel/arch.ts";
import { modeOf } from "../../../src/mode.ts";
import { HOOK_FILE, HOOK_PROGRAM } from "../../../src/paths.ts";
import type { RunResult } from "../../../src/process.ts";
import { KEYRING } from "../../../src/provision/sources.ts";

export const QEMU_GID = 64055;
export const UUID = "01234567-89ab-4cde-8f01-23456789abcd";
export const GUEST = `/var/lib/bootshare/guests/${UUID}`;

export const folder = (mode: number, uid = 0, gid = 0): FileFacts => ({ folder: true, mode, uid, gid });
export const file = (mode: number, uid = 0, gid = 0): FileFacts => ({ folder: false, mode, uid, gid });

/** Files of a healthy amd64 or arm64 machine, by path. */
export const healthyFiles: Readonly<Record<string, FileFacts>> = {
  "/": folder(0o755),
  "/dev/kvm": file(0o660, 0, 107),
  "/usr": folder(0o755),
  "/usr/bin": folder(0o755),
  "/usr/bin/node": file(0o755),
  "/usr/bin/qemu-system-x86_64": file(0o755),
  "/usr/bin/qemu-system-aarch64": file(0o755),
  "/usr/local": folder(0o2775, 0, 50),
  "/usr/local/lib": folder(0o2775, 0, 50),
  "/usr/local/lib/bootshare": folder(0o755),
  [HOOK_PROGRAM]: file(0o644),
  "/etc": folder(0o755),
  "/etc/libvirt": folder(0o755),
  "/etc/libvirt/hooks": folder(0o755),
  "/etc/libvirt/hooks/qemu.d": folder(0o755),
  [HOOK_FILE]: file(0o755),
  [KEYRING]: file(0o644),
  "/var/lib/bootshare": folder(0o711),
  "/var/lib/bootshare/guests": folder(0o711),
  "/var/lib/bootshare/trials.json": file(0o644),
  [GUEST]: folder(0o710, 0, QEMU_GID),
  // The guest's root made it so: its own affair.
  [`${GUEST}/share`]: folder(0o777),
  [`${GUEST}/boots.jsonl`]: file(0o600),
};

export const ran = (result: Partial<RunResult>): RunResult => ({
  command: "",
  exitCode: 0,
  stdout: "",
  stderr: "",
  timedOut: false,
  missing: false,
  ...result,
});
export const missing = ran({ exitCode: -1, missing: true });

const PROGRAMS: Readonly<Record<string, string>> = {
  "/usr/bin/qemu-system-x86_64": "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\n",
  "/usr/bin/qemu-system-aarch64": "QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\n",
  "qemu-img": "qemu-img version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)\n",
  lscpu: "Architecture:                    aarch64\nCPU op-mode(s):                  32-bit, 64-bit\n",
  perl: "1",
};

const TEXTS: Readonly<Record<string, string>> = {
  "/run/virtlogd.pid": "41\n",
  "/proc/41/comm": "virtlogd\n",
  [HOOK_FILE]: "#!/bin/sh\n# bootshare 0.1.0\nnode='/usr/bin/node'\n",
};

export const HEALTHY: Probe = {
  mode: modeOf(0, {}, "/root"),
  user: { name: "root", uid: 0 },
  systemd: true,
  nodeArch: "x64",
  find: (program) => `/usr/bin/${program}`,
  run: async (program) => {
    const stdout = PROGRAMS[program];
    return stdout === undefined ? missing : ran({ stdout });
  },
  stat: (path) => healthyFiles[path] ?? { errno: "ENOENT" },
  names: (path) => (path === "/var/lib/bootshare/guests" ? [UUID, "lost+found"] : { errno: "ENOENT" }),
  read: (path) => TEXTS[path],
  groupName: (gid) => ({ 0: "root", 107: "kvm" })[gid],
  freeBytes: async () => 20.06 * 2 ** 30,
  virshVersion: async () => "Using library: libvirt 9.0.0\nRunning against daemon: 9.0.0\n\n",
  daemon: async () => ({ name: "libvirtd", pid: 42 }),
  copies: async () => [],
  hookStatus: async () => ({
    usable: true,
    installed: true,
    current: true,
    version: "0.1.0",
    nodeFound: true,
    daemonKnows: true,
    lines: [`installed: ${HOOK_FILE}, version 0.1.0`],
  }),
  tryHook: async () => ({ outcome: "called", said: "" }),
  service: () => ({ state: "running", pid: 43 }),
  qemuUser: async () => ({ uid: QEMU_GID, gid: QEMU_GID }),
  virtiofsd: () => "/usr/libexec/virtiofsd",
  mirrors: async () => ({
    archive: "http://mirror.example.org/debian",
    security: "http://mirror.example.org/debian-security",
  }),
  kvm: async () => ({
    accel: "kvm",
    usable: true,
    reason: "KVM ran a guest in 0.1 of the time of emulation.",
  }),
  tcg: async () => ({ accel: "tcg", usable: true, reason: "TCG ran a guest." }),
};

/** The same machine as an ordinary user sees it, with a guest of their own and no hook. */
const STATE = "/home/u/.local/state/bootshare";
export const USERS_GUEST = `${STATE}/guests/${UUID}`;
const userFiles: Readonly<Record<string, FileFacts>> = {
  ...healthyFiles,
  [STATE]: folder(0o700, 1000, 1000),
  [`${STATE}/guests`]: folder(0o700, 1000, 1000),
  [USERS_GUEST]: folder(0o700, 1000, 1000),
};
export const USERS: Partial<Probe> = {
  mode: modeOf(1000, {}, "/home/u"),
  user: { name: "u", uid: 1000 },
  stat: (path) => userFiles[path] ?? { errno: "ENOENT" },
  names: (path) => (path === `${STATE}/guests` ? [UUID] : { errno: "ENOENT" }),
  read: (file) => (file === "/etc/subuid" || file === "/etc/subgid" ? "u:100000:65536\n" : undefined),
  run: async (program, args) =>
    program === "unshare" && args.at(-1) === "true" ? ran({}) : await HEALTHY.run(program, args),
  hookStatus: async () => ({
    usable: false,
    installed: false,
    current: false,
    version: null,
    nodeFound: false,
    daemonKnows: false,
    lines: [`not installed: ${HOOK_FILE} does not exist`],
  }),
};

/** The user's machine with files that are otherwise. */
export function usersFilesBut(changes: Readonly<Record<string, FileFacts | undefined>>): Partial<Probe> {
  const files = { ...userFiles, ...changes };
  return { ...USERS, stat: (path) => files[path] ?? { errno: "ENOENT" } };
}

/** The healthy machine with files that are otherwise: undefined for one that is not there. */
export function filesBut(changes: Readonly<Record<string, FileFacts | undefined>>): Pick<Probe, "stat"> {
  const files = { ...healthyFiles, ...changes };
  return { stat: (path) => files[path] ?? { errno: "ENOENT" } };
}

/** The healthy machine with texts that are otherwise. */
export function textsBut(changes: Readonly<Record<string, string | undefined>>): Pick<Probe, "read"> {
  const texts: Readonly<Record<string, string | undefined>> = { ...TEXTS, ...changes };
  return { read: (path) => texts[path] };
}

/** The healthy machine without some programs. */
export function without(...programs: readonly string[]): Pick<Probe, "find" | "run"> {
  return {
    find: (program) => (programs.includes(program) ? undefined : HEALTHY.find(program)),
    run: async (program, args) => (programs.includes(program) ? missing : await HEALTHY.run(program, args)),
  };
}

/** All findings on the healthy machine with some of it changed. */
export async function examined(
  changes: Partial<Probe> = {},
  arch: DebianArch = "amd64",
  native: DebianArch | undefined = "amd64",
): Promise<Examined[]> {
  const all: Examined[] = [];
  for (const requirement of requirements(arch, native, { ...HEALTHY, ...changes })) {
    all.push(await examine(requirement));
  }
  return all;
}
