/**
 * What tells a clone from the guest that it is a clone of: made on the host, taken by the clone in its first boot
 * (in-guest/usr/lib/bootshare/take-identity). The guest's disk is never mounted on the host. Its machine id is on the kernel's
 * command line instead, for PID 1 needs it before anything can be read.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { machineIdOf } from "../libvirt/domain-clone.ts";
import { type GuestPaths, IDENTITY_FILE } from "../paths.ts";
import { runOk } from "../process.ts";
import { hostNameFor } from "../provision/guest-files.ts";
import { seedShare } from "../share/seed.ts";
import type { ShareTransport } from "../share/transport.ts";
import type { QemuUser } from "./qemu-user.ts";

/** Kinds of host keys. RSA is left out: making one takes longer than the clone, and every ssh since 2014 knows Ed25519. */
const KEY_TYPES = ["ed25519", "ecdsa"] as const;

/**
 * Makes a login key and host keys, keeps what the host needs of them, and puts what the guest needs into its share, where it is
 * root's alone until the guest takes it away.
 *
 * @param uuid of the clone
 */
export async function giveIdentity(
  paths: GuestPaths,
  { uuid, name, mac }: { readonly uuid: string; readonly name: string; readonly mac: string },
  transport: ShareTransport,
  qemu: QemuUser,
): Promise<void> {
  const folder = await mkdtemp(join(paths.dir, "identity-"));
  const work = join(folder, "files");
  const archive = join(folder, IDENTITY_FILE);
  try {
    await mkdir(work);
    await rm(paths.sshKey, { force: true });
    const login = runOk("ssh-keygen", keygen("ed25519", `bootshare ${name}`, paths.sshKey));
    const hostKey = (type: string): string => join(work, `ssh_host_${type}_key`);
    await Promise.all([
      login,
      ...KEY_TYPES.map(async (type) => await runOk("ssh-keygen", keygen(type, name, hostKey(type)))),
    ]);
    const files: Readonly<Record<string, string>> = {
      "machine-id": `${machineIdOf(uuid)}\n`,
      hostname: `${hostNameFor(name)}\n`,
      mac: `${mac}\n`,
      authorized_key: await readFile(`${paths.sshKey}.pub`, "utf8"),
    };
    await rm(`${paths.sshKey}.pub`);
    for (const [file, text] of Object.entries(files)) await writeFile(join(work, file), text);
    const known = await Promise.all(
      KEY_TYPES.map(async (type) => {
        const [kind, key] = (await readFile(`${hostKey(type)}.pub`, "utf8")).split(" ");
        return `${uuid} ${kind} ${key?.trim()}\n`;
      }),
    );
    await writeFile(paths.knownHosts, known.join(""), { mode: 0o600 });
    await runOk("tar", ["--create", "--owner=0", "--group=0", "--file", archive, "--directory", work, "."]);
    await seedShare(transport, paths.share, [{ from: archive, name: IDENTITY_FILE, mode: 0o600 }], [], qemu);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function keygen(type: string, comment: string, file: string): string[] {
  return ["-q", "-t", type, "-N", "", "-C", comment, "-f", file];
}
