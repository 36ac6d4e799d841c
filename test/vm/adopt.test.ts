/**
 * A domain made by hand as people make it: its /boot a folder below /srv, a hook of one's own that makes links of what is in
 * it, `on_reboot` destroy. It changes libvirt's hooks, so no other test runs beside it.
 */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { guestPathsOf, OTHERS_HOOK, OTHERS_HOOK_KEPT } from "../../src/paths.ts";
import { mountShare } from "../../src/share/mount.ts";
import { ensureGuest, NINEP } from "./guests.ts";
import {
  BOOT_SECONDS,
  bootshare,
  inGuest,
  inGuestLastWord,
  json,
  keepLogsOnFailure,
  PROGRAM,
  statusOf,
  tryBootshare,
  until,
  untilGoodAgain,
  virsh,
} from "./machine.ts";

const NAME = "bs-test-adopt";
const UUID = "0ad0b7ed-0000-4000-8000-000000000001";
const BOOT = `/srv/${NAME}-boot`;
const DISK = `/srv/${NAME}.img`;
/** As people write it, quotes left out and all. */
const HOOK = `#!/bin/sh
if [ "$2" = prepare ] && [ -d "/srv/$1-boot" ]; then
	cd "/srv/$1-boot" || exit 0
	ln -sf $(basename $(cat vmlinuz)) virtio-vmlinuz
	ln -sf $(basename $(cat initrd.img)) virtio-initrd.img
fi
`;
const FSTAB = "virtio-boot /boot 9p trans=virtio,version=9p2000.L,x-systemd.automount 0 0";

const { dir, share, sshKey } = guestPathsOf(UUID);
let work: string;
/** Releases of the kernels in its /boot. */
let stock: string;
let newer: string;
/** The domain's XML, as libvirt prints it before anything is done. */
let original: string;

const dump = async (): Promise<string> => await virsh("dumpxml", "--inactive", "--security-info", NAME);

beforeAll(async () => {
  if (existsSync(OTHERS_HOOK) || existsSync(OTHERS_HOOK_KEPT))
    throw new Error(`this machine has a hook of its own, ${OTHERS_HOOK}, which this test would move about`);
  work = mkdtempSync(join(tmpdir(), "bootshare-adopt-"));
  await removeAll();
  // A guest that is there lends its disk and /boot: making one takes minutes.
  const lender = await lenderOff();
  copyDisk(lender.disk);
  execFileSync("cp", ["-a", lender.share, BOOT]);
  const releases = readdirSync(BOOT).flatMap((name) => /^vmlinuz-(.+)$/.exec(name)?.[1] ?? []);
  newer = releases.find((release) => release.includes(NINEP.flavour)) ?? "";
  stock = releases.find((release) => !release.includes(NINEP.flavour)) ?? "";
  for (const link of ["vmlinuz", "initrd.img"]) {
    writeFileSync(join(BOOT, link), `${link}-${stock}`);
    symlinkSync(`${link}-${stock}`, join(BOOT, `virtio-${link}`));
  }
  writeFileSync(OTHERS_HOOK, HOOK, { mode: 0o755 });
  const file = join(work, "domain.xml");
  writeFileSync(file, domain(lender.mac));
  await virsh("define", "--validate", file);
  // libvirt prints the controllers that it added in another order once it has read them itself.
  writeFileSync(file, await dump());
  await virsh("define", file);
  original = await dump();
});

afterAll(async () => {
  await removeAll();
  for (const file of [OTHERS_HOOK, OTHERS_HOOK_KEPT]) rmSync(file, { force: true });
  rmSync(work, { recursive: true, force: true });
});

async function removeAll(): Promise<void> {
  for (const verb of ["destroy", "undefine"]) await virsh(verb, NAME).catch(() => undefined);
  await tryBootshare("delete", UUID);
  for (const path of [BOOT, DISK]) rmSync(path, { recursive: true, force: true });
}

/** What `virt-install` makes of such a machine. */
function domain(mac: string): string {
  const agent = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>";
  return `<domain type='qemu'>
  <name>${NAME}</name>
  <uuid>${UUID}</uuid>
  <memory unit='MiB'>1024</memory>
  <vcpu>2</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>${BOOT}/virtio-vmlinuz</kernel>
    <initrd>${BOOT}/virtio-initrd.img</initrd>
    <cmdline>console=ttyS0 root=/dev/vda no_timer_check</cmdline>
  </os>
  <features><acpi/><apic/></features>
  <cpu mode='maximum'/>
  <on_reboot>destroy</on_reboot>
  <on_crash>restart</on_crash>
  <devices>
    <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${DISK}'/><target dev='vda' bus='virtio'/></disk>
    <filesystem type='mount' accessmode='mapped'><source dir='${BOOT}'/><target dir='virtio-boot'/></filesystem>
    <interface type='user'><mac address='${mac}'/><model type='virtio'/></interface>
    <console type='pty'/>
    ${agent}
  </devices>
</domain>`;
}

/** The guest of other tests, shut off, with two kernels in its /boot. */
async function lenderOff(): Promise<{ disk: string; share: string; mac: string }> {
  const { exitCode } = await tryBootshare("status", NINEP.name);
  if (exitCode !== 0) await ensureGuest(NINEP);
  const { uuid, state } = await statusOf(NINEP.name);
  const paths = guestPathsOf(uuid);
  mountShare(paths.shareImage, paths.share);
  if (!readdirSync(paths.share).some((name) => name.startsWith("vmlinuz-") && name.endsWith(NINEP.flavour))) {
    await ensureGuest(NINEP);
    await inGuest(NINEP.name, "apt-get", "-q", "update");
    const install = ["apt-get", "-q", "install", "-y", "--no-install-recommends", NINEP.secondKernel];
    await inGuest(NINEP.name, "env", "DEBIAN_FRONTEND=noninteractive", ...install);
    await bootshare("stop", NINEP.name);
  } else if (state !== "shut off") await bootshare("stop", NINEP.name);
  const mac = /52:54:00(:[0-9a-f]{2}){3}/.exec(await virsh("domiflist", NINEP.name))?.[0] ?? "";
  return { disk: paths.disk, share: paths.share, mac };
}

/** Its disk, without what bootshare put there to report. */
function copyDisk(from: string): void {
  execFileSync("qemu-img", ["convert", "-O", "raw", from, DISK]);
  const wants = "/etc/systemd/system";
  const fstab = join(work, "fstab");
  writeFileSync(fstab, `/dev/vda / ext4 errors=remount-ro 0 1\n${FSTAB}\n`);
  const commands = [
    ...["gate", "report", "keep-kernel"].map((name) => `rm /usr/lib/bootshare/${name}`),
    "rm /usr/lib/systemd/system-shutdown/bootshare-end",
    "rm /usr/lib/udev/rules.d/61-bootshare.rules",
    ...["up", "gate", "good"].map((name) => `rm /usr/lib/systemd/system/bootshare-${name}.service`),
    `rm ${wants}/sysinit.target.wants/bootshare-up.service`,
    `rm ${wants}/multi-user.target.wants/bootshare-good.service`,
    `rm ${wants}/boot-complete.target.requires/bootshare-gate.service`,
    "rm /root/.ssh/authorized_keys",
    "rm /etc/fstab",
    `write ${fstab} /etc/fstab`,
  ];
  const script = join(work, "debugfs");
  writeFileSync(script, `${commands.join("\n")}\n`);
  const said = execFileSync("debugfs", ["-w", "-f", script, DISK], { encoding: "utf8", stdio: "pipe" });
  expect(said).not.toMatch(/not found/);
}

/**
 * Runs the program and kills it at the moment when it says its Nth line: what it shows first, then a line before each step.
 *
 * @returns false when it came to its end before
 */
function killedAt(line: number, ...args: string[]): boolean {
  const output = join(work, "output");
  rmSync(output, { force: true });
  const inject = `inject=write:signal=SIGKILL:when=${line}`;
  const command = `exec strace -qq -o /dev/null -P "$1" -e trace=write -e ${inject} "$2" "$3" adopt "$4" --yes $5 >"$1"`;
  try {
    writeFileSync(output, "");
    execFileSync("sh", ["-c", command, "sh", output, process.execPath, PROGRAM, NAME, args.join(" ")], {
      stdio: "pipe",
    });
    return false;
  } catch (error) {
    if (error instanceof Error && "signal" in error && error.signal === "SIGKILL") return true;
    throw error;
  }
}

/** Kills it at each of its lines, each run going on from what the one before left. @returns how many runs that were */
function killedEverywhere(...args: string[]): number {
  let line = 2;
  while (killedAt(line, ...args)) {
    line++;
    if (line > 40) throw new Error("it never came to its end");
  }
  return line - 2;
}

describe("a domain made by hand, off", () => {
  it("is shown what would be done, and nothing is", async () => {
    const said = await bootshare("adopt", NAME, "--dry-run");
    expect(said).toContain(`+    <kernel>${guestPathsOf(UUID).runKernel}</kernel>`);
    expect(said).toContain("-  <on_crash>restart</on_crash>");
    expect(said).toContain(`Boots next  ${stock}: the links in the guest's /boot name it`);
    expect(said).toContain(`The hook ${OTHERS_HOOK} makes the links`);
    expect(await dump()).toBe(original);
    expect(existsSync(dir)).toBe(false);
    const { exitCode, stderr } = await tryBootshare("adopt", NAME);
    expect([exitCode, stderr]).toEqual([
      2,
      "Error: There is nobody to ask whether to go on; nothing was changed. [USAGE]\nWhat to do: Say it beforehand: --yes",
    ]);
  });

  it("is adopted and given back whole, however often either is killed", async () => {
    expect(killedEverywhere()).toBeGreaterThan(6);
    expect(await json("status", NAME)).toMatchObject({ desired: "off", boot: "-", reports: false });
    expect([existsSync(OTHERS_HOOK), readFileSync(OTHERS_HOOK_KEPT, "utf8")]).toEqual([false, HOOK]);
    expect(readdirSync(share).sort()).toEqual(
      readdirSync(BOOT)
        .filter((name) => !name.startsWith("virtio-"))
        .sort(),
    );
    const stats = lstatSync(BOOT);
    expect(killedEverywhere("--undo")).toBeGreaterThan(4);
    expect(await dump()).toBe(original);
    expect(readFileSync(OTHERS_HOOK, "utf8")).toBe(HOOK);
    expect([existsSync(dir), existsSync(OTHERS_HOOK_KEPT)]).toEqual([false, false]);
    expect(lstatSync(BOOT)).toMatchObject({ mode: stats.mode, uid: stats.uid, ino: stats.ino });
  });

  it("does the host no harm with what its guest wrote for the old hook", async () => {
    const link = join(BOOT, "vmlinuz");
    writeFileSync(link, "-a -- passwd -tetc");
    const passwd = readFileSync("/etc/passwd", "utf8");
    await bootshare("adopt", NAME, "--yes");
    const { next } = await json<{ next: { release: string; why: string } }>("kernels", NAME);
    expect(next.why).toMatch(/highest version/);
    await bootshare("adopt", NAME, "--undo", "--yes");
    expect(lstatSync("/etc/passwd").isFile() && readFileSync("/etc/passwd", "utf8") === passwd).toBe(true);
    expect(readFileSync(link, "utf8")).toBe("-a -- passwd -tetc");
    writeFileSync(link, `vmlinuz-${stock}`);
  });
});

describe("with its guest", () => {
  it("is adopted, reboots into a new kernel, and is undone", async () => {
    keepLogsOnFailure(NAME, "adopt");
    const said = await bootshare("adopt", NAME, "--yes", "--agent");
    expect(said).toContain(`${NAME} is up with ${stock}, and its boots are judged from now on.`);
    const before = await statusOf(NAME);
    expect(before).toMatchObject({ state: "running", boot: "good", kernel: stock, reports: true });
    expect(existsSync(sshKey)).toBe(true);
    expect(await inGuest(NAME, "grep", "/boot", "/etc/fstab")).toBe(FSTAB);

    // What apt does at the end of a kernel's installation.
    const links = 'cd /boot && for one in vmlinuz initrd.img; do ln -sf "$one-$1" "$one"; done';
    await inGuest(NAME, "sh", "-c", links, "sh", newer);
    await inGuestLastWord(NAME, "systemctl", "reboot");
    expect(await untilGoodAgain(NAME, before)).toMatchObject({ kernel: newer });

    await bootshare("stop", NAME);
    await bootshare("adopt", NAME, "--undo", "--yes");
    expect(await dump()).toBe(original);
    expect(readFileSync(join(BOOT, "vmlinuz"), "utf8")).toBe(`vmlinuz-${newer}`);
    expect(readlinkSync(join(BOOT, "virtio-vmlinuz"))).toBe(`vmlinuz-${newer}`);
    expect(readFileSync(OTHERS_HOOK, "utf8")).toBe(HOOK);

    // By hand again, with the kernel that it has by now.
    await virsh("start", NAME);
    const ask = JSON.stringify({ execute: "guest-get-osinfo" });
    const answer = await until(`${NAME} is up by hand`, BOOT_SECONDS, async () =>
      virsh("qemu-agent-command", NAME, ask).catch(() => undefined),
    );
    expect(JSON.parse(answer)).toMatchObject({ return: { "kernel-release": newer } });
    await virsh("destroy", NAME);
  });
});
