/**
 * The files that bootshare puts into a guest: those of in-guest/, each at its place, with `@NAME@` filled in. They are
 * gathered in a folder of the host before anything is installed, and copied in between the essential packages and the
 * kernel, since the kernel's installation already reads some of them.
 */
import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { EXIT, UserError } from "../errors.ts";
import type { DebianArch } from "../kernel/arch.ts";
import { shippedFile } from "../paths.ts";
import type { Transport } from "../share/transport.ts";
import { VERSION } from "../version.ts";
import { type ObsWorkerFacts, obsWorkerUnits, obsWorkerValues } from "./obs-worker.ts";
import type { SecondStage } from "./second-stage.ts";
import type { Suite } from "./suites.ts";

export interface GuestFacts {
  readonly suite: Suite;
  readonly arch: DebianArch;
  readonly transport: Transport;
  /** Checked here; {@link hostNameFor} makes one of a guest's name. */
  readonly hostname: string;
  /** `52:54:00:xx:xx:xx`. */
  readonly mac: string;
  readonly rootUuid: string;
  /** The line of /etc/fstab that mounts the boot share. */
  readonly shareFstabLine: string;
  /** Where its packages are installed. */
  readonly stage: SecondStage;
  /** 32-bit programs on a 64-bit kernel. */
  readonly narrow: boolean;
  /** Public keys that may log in as root, one line each. */
  readonly authorizedKeys: readonly string[];
  /** Of a worker of the Open Build Service. */
  readonly obsWorker?: ObsWorkerFacts | undefined;
}

/** Units that a guest is made with. */
export function enabledUnits(
  stage: SecondStage,
  obsWorker?: Pick<ObsWorkerFacts, "instances">,
): readonly string[] {
  return [
    "systemd-networkd.service",
    "bootshare-identity.service",
    "bootshare-up.service",
    "bootshare-gate.service",
    "bootshare-good.service",
    ...(stage === "qemu-user" ? ["bootshare-own-initrd.service"] : []),
    ...(obsWorker === undefined ? [] : obsWorkerUnits(obsWorker)),
  ];
}

/** Of e2fsprogs: it cleans up after checks on LVM snapshots, which a guest has none of; 10 s of each emulated boot. */
export const DISABLED_UNITS: readonly string[] = ["e2scrub_reap.service"];

/** Files that not everybody may read, and folders that not everybody may enter. All else is 0644 or 0755. */
const MODES: Readonly<Record<string, number>> = {
  root: 0o700,
  "root/.ssh": 0o700,
  "root/.ssh/authorized_keys": 0o600,
};

/** Files that not every guest gets. */
const ONLY_WHERE: Readonly<Record<string, (facts: GuestFacts) => boolean>> = {
  "etc/bootshare/make-own-initrd": ({ stage }) => stage === "qemu-user",
  "usr/lib/bootshare/own-initrd": ({ stage }) => stage === "qemu-user",
  "usr/lib/systemd/system/bootshare-own-initrd.service": ({ stage }) => stage === "qemu-user",
  "var/lib/bootshare/second-stage": ({ stage }) => stage === "guest",
  "usr/lib/bootshare/init32": ({ narrow }) => narrow,
  "etc/bootshare/obs-worker.conf": ({ obsWorker }) => obsWorker !== undefined,
  "usr/lib/bootshare/obs-worker": ({ obsWorker }) => obsWorker !== undefined,
  "usr/lib/systemd/system/bootshare-obs-worker@.service": ({ obsWorker }) => obsWorker !== undefined,
};

const HOSTNAME = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * A host name (RFC 1123, one label, at most 63 characters) made of a guest's name: `My_Guest.1` becomes `my-guest-1`.
 */
export function hostNameFor(guestName: string): string {
  const label = guestName
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 63)
    .replace(/^-+|-+$/g, "");
  return label === "" ? "guest" : label;
}

/**
 * What stands for each `@NAME@`. Every value is checked here, for it ends up in a file that the guest's root, apt or
 * systemd reads.
 *
 * @throws {UserError} `HOSTNAME_INVALID`, `MAC_INVALID`, `SSH_KEY_INVALID`
 */
export function templateValues(facts: GuestFacts): Readonly<Record<string, string>> {
  if (!HOSTNAME.test(facts.hostname)) {
    throw new UserError("HOSTNAME_INVALID", `${JSON.stringify(facts.hostname)} cannot be a host name.`, {
      hint: "Lower-case letters, digits and hyphens, at most 63, beginning and ending with a letter or digit.",
      exitCode: EXIT.usage,
    });
  }
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(facts.mac)) {
    throw new UserError("MAC_INVALID", `${JSON.stringify(facts.mac)} is no MAC address.`, {
      exitCode: EXIT.usage,
    });
  }
  for (const key of facts.authorizedKeys) checkPublicKey(key);
  // These two come from bootshare itself.
  if (!/^[^\s#]+ \/boot (9p|virtiofs) \S+ 0 0$/.test(facts.shareFstabLine)) {
    throw new Error(`not a line of fstab for /boot: ${JSON.stringify(facts.shareFstabLine)}`);
  }
  if (!/^[0-9a-f-]{36}$/.test(facts.rootUuid))
    throw new Error(`not a UUID: ${JSON.stringify(facts.rootUuid)}`);
  return {
    ARCHITECTURE: facts.arch,
    AUTHORIZED_KEYS: facts.authorizedKeys.map((key) => key.trim()).join("\n"),
    HOSTNAME: facts.hostname,
    MAC: facts.mac.toLowerCase(),
    ROOT_UUID: facts.rootUuid,
    SHARE_FSTAB_LINE: facts.shareFstabLine,
    SUITE: facts.suite.name,
    TRANSPORT: facts.transport,
    VERSION,
    ...(facts.obsWorker === undefined ? {} : obsWorkerValues(facts.obsWorker, facts.arch)),
  };
}

/**
 * Fills in a template: each `@NAME@`, NAME of upper-case letters and underscores, by its value.
 *
 * @throws {Error} for a name without a value
 */
export function fillIn(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/@([A-Z]+(?:_[A-Z]+)*)@/g, (_whole, name: string) => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined;
    if (value === undefined) throw new Error(`no value for @${name}@`);
    return value;
  });
}

/**
 * Writes the files into `overlay`, which is made. Scripts (files that are executable in in-guest/) are 0755.
 *
 * @returns their paths in the guest, without the leading slash, sorted
 */
export async function writeGuestFiles(
  overlay: string,
  facts: GuestFacts,
  from: string = shippedFile("in-guest"),
): Promise<string[]> {
  const values = templateValues(facts);
  const entries = await readdir(from, { recursive: true, withFileTypes: true });
  const names = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const paths = names
    .map((name) => name.slice(from.length + 1))
    .filter((path) => ONLY_WHERE[path]?.(facts) ?? true)
    .sort();
  for (const path of paths) {
    const target = join(overlay, path);
    await makeFolders(overlay, dirname(path));
    await writeFile(target, fillIn(await readFile(join(from, path), "utf8"), values), { flag: "wx" });
    const executable = ((await stat(join(from, path))).mode & 0o100) !== 0;
    await chmod(target, MODES[path] ?? (executable ? 0o755 : 0o644));
  }
  return paths;
}

async function makeFolders(overlay: string, path: string): Promise<void> {
  const parts = path.split("/");
  await mkdir(overlay, { recursive: true });
  await chmod(overlay, 0o755);
  for (let count = 1; count <= parts.length; count++) {
    const folder = parts.slice(0, count).join("/");
    await mkdir(join(overlay, folder), { recursive: true });
    // Not left to the umask: these modes become those of the guest's folders.
    await chmod(join(overlay, folder), MODES[folder] ?? 0o755);
  }
}

/**
 * @param line of a person's public key file
 * @throws {UserError} `SSH_KEY_INVALID` unless it is one public key in OpenSSH's form, without options before it
 */
export function checkPublicKey(line: string): void {
  if (
    /^(ssh-[a-z0-9-]+|ecdsa-[a-z0-9-]+|sk-[a-z0-9@.-]+) [A-Za-z0-9+/]+={0,3}( [^\p{C}]*)?$/u.test(line.trim())
  )
    return;
  throw new UserError("SSH_KEY_INVALID", `${JSON.stringify(line.slice(0, 60))} is no public ssh key.`, {
    hint: "One line of a file like ~/.ssh/id_ed25519.pub. (A private key never goes into a guest.)",
    exitCode: EXIT.usage,
  });
}

/** `TYPE BASE64` of each public key in a text of lines, as a guest or an image has it: what is none is left out. */
export function publicKeysIn(text: string): string[] {
  return text.split("\n").flatMap((line) => {
    const [type, key] = line.trim().split(/\s+/);
    const found = `${type ?? ""} ${key ?? ""}`;
    try {
      checkPublicKey(found);
      return [found];
    } catch {
      return [];
    }
  });
}
