/** An image of debvm's becomes a guest, boots a kernel that its apt installed, and is an ordinary domain again. */
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort } from "../../src/guest/ssh.ts";
import { guestPathsOf } from "../../src/paths.ts";
import { hostMirrors } from "../../src/provision/sources.ts";
import {
  bootshare,
  inGuest,
  inGuestLastWord,
  keepLogsOnFailure,
  statusOf,
  tryBootshare,
  until,
  untilGoodAgain,
  virsh,
} from "../vm/machine.ts";

const name = "bs-test-import";
/** Small initrds, quickly made. */
const LEAN = [
  'mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"',
  'echo MODULES=list >"$1/etc/initramfs-tools/conf.d/list"',
  'printf "virtio_blk\\nvirtio_pci\\next4\\n" >"$1/usr/share/initramfs-tools/modules.d/virtio"',
].join(" && ");

describe("an image that debvm made", () => {
  let folder = "";
  let image = "";
  let disk = "";
  let kernel = "";
  beforeAll(async () => {
    await remove();
    folder = mkdtempSync(join(tmpdir(), "imported-"));
    image = join(folder, "rootfs.ext4");
    disk = join(folder, "exported.qcow2");
    await execa("chmod", ["755", folder]);
    await execa("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, "key")]);
    const { archive } = await hostMirrors();
    if (archive === undefined) throw new Error("this host's apt names no mirror of Debian");
    const options = ["--include=linux-image-amd64", `--essential-hook=${LEAN}`, archive];
    const create = [
      "-r",
      "bookworm",
      "-k",
      join(folder, "key.pub"),
      "-z",
      "3G",
      "-o",
      image,
      "--",
      ...options,
    ];
    await execa("debvm-create", create, { cwd: folder });
  });
  afterAll(async () => {
    await remove();
    rmSync(folder, { recursive: true, force: true });
  });
  const remove = async (): Promise<void> => {
    await tryBootshare("delete", "--force", name);
    for (const verb of ["destroy", "undefine"]) await virsh(verb, name).catch(() => undefined);
  };

  it("is imported, and boots to good", async () => {
    keepLogsOnFailure(name, "import");
    const before = statSync(image).mtimeMs;
    const said = await bootshare("import", image, "--name", name, "--memory", "1G", "--cpus", "1");
    expect(said).toContain(`${name} is up, a guest made of ${image}, which stays as it was.`);
    expect(statSync(image).mtimeMs).toBe(before);
    const status = await statusOf(name);
    expect(status).toMatchObject({ state: "running", boot: "good", share: "virtiofs" });
    expect(await inGuest(name, "uname", "-r")).toBe(status.kernel);
    expect(await inGuest(name, "findmnt", "-no", "FSTYPE", "/boot")).toContain("virtiofs");
    expect(await inGuest(name, "systemctl", "is-system-running", "--wait")).toBe("running");
    expect(await inGuest(name, "sh", "-c", "ls -d /var/lib/bootshare 2>&1 || true")).toContain(
      "No such file",
    );
  });

  it("reboots into a kernel that its apt installed", async () => {
    keepLogsOnFailure(name, "import upgraded");
    const before = await statusOf(name);
    await inGuest(name, "apt-get", "-q", "update");
    const quick = [
      "-q",
      "-o",
      "Dpkg::Options::=--force-unsafe-io",
      "install",
      "-y",
      "--no-install-recommends",
    ];
    await inGuest(
      name,
      ...["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", ...quick, "linux-image-cloud-amd64"],
    );
    await inGuestLastWord(name, "systemctl", "reboot");
    const after = await untilGoodAgain(name, before);
    // Of two of a version the name decides, here as in GRUB.
    expect(after.kernel).toBe(before.kernel?.replace("-amd64", "-cloud-amd64"));
    kernel = after.kernel ?? "";
  });

  it("is exported, and boots without bootshare", async () => {
    const { uuid } = await statusOf(name);
    const { dir } = guestPathsOf(uuid);
    await bootshare("stop", name);
    const said = await bootshare("export", name, "--disk", disk);
    expect(said).toContain(`${name} is an ordinary domain now`);
    expect(said).toContain("It boots from its disk, by GRUB.");
    expect(existsSync(dir)).toBe(false);
    expect((await tryBootshare("status", name)).stderr).toContain("[GUEST_NOT_FOUND]");
    expect(await virsh("dumpxml", name)).not.toMatch(/bootshare|<kernel>/);

    await virsh("start", name);
    const port = await freePort();
    await virsh("qemu-monitor-command", name, "--hmp", `hostfwd_add tcp:127.0.0.1:${port}-:22`);
    const script = [
      "uname -r",
      "findmnt -no FSTYPE /boot || echo on the disk",
      "ls /boot | grep -c ^vmlinuz-",
      "ls -d /usr/lib/bootshare /etc/bootshare /var/lib/bootshare /etc/systemd/system/*bootshare* 2>/dev/null | wc -l",
      "dpkg-query -W bootshare-guest 2>/dev/null | wc -l",
      "cat /etc/fstab",
      "systemctl is-system-running --wait",
    ].join("; ");
    const ssh = [
      ...["-F", "/dev/null", "-i", join(folder, "key"), "-p", String(port), "-l", "root"],
      ...["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=20"],
      ...["127.0.0.1", script],
    ];
    const answer = await until("it answers", 300, async () => {
      const { exitCode, stdout } = await execa("ssh", ssh, { reject: false, stdin: "ignore" });
      return exitCode === 255 ? undefined : stdout;
    });
    const [release, boot, kernels, parts, packages, ...rest] = answer.split("\n");
    expect([release, boot, kernels, parts, packages]).toEqual([kernel, "on the disk", "2", "0", "0"]);
    expect(rest).toEqual(["LABEL=debvm / ext4 defaults 0 0", "running"]);
  });
});
