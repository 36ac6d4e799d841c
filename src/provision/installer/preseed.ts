/**
 * The answers that Debian's installer is given (preseeding: appendix B of its manual). Pure. Ours come first, then a person's, which
 * win, and at the end what bootshare cannot do without.
 */
import type { Mirrors } from "../sources.ts";
import type { Suite } from "../suites.ts";

export interface PreseedFacts {
  readonly suite: Suite;
  readonly hostname: string;
  readonly mirrors: Mirrors;
  /** The proxy of the host's own apt. */
  readonly proxy: string | undefined;
  /** Package of the guest's kernel, which can mount the share. */
  readonly kernelPackage: string;
  /** Whether a person answers on the console: only what bootshare cannot do without is answered then. */
  readonly interactive: boolean;
  /** The text of a person's own preseed file. */
  readonly own: string | undefined;
}

export interface Preseed {
  /** preseed.cfg */
  readonly text: string;
  /** A person's own commands, by the name of the script that they go before. Shell text, for the installer. */
  readonly commands: Readonly<Partial<Record<InstallerScript, string>>>;
}

/** bootshare's scripts in the installer (installer/), each run at one of the installer's own moments. */
export type InstallerScript = "early" | "disk" | "finish";

/** Where the scripts are in the installer's file system. */
export const INSTALLER_FOLDER = "/bootshare";

const MOMENTS: Readonly<Record<string, InstallerScript>> = {
  "preseed/early_command": "early",
  "partman/early_command": "disk",
  "preseed/late_command": "finish",
};

/** A login over ssh, a shutdown that is asked for, and what both need where no recommended packages are installed. */
const PACKAGES: readonly string[] = ["openssh-server", "qemu-guest-agent", "dbus", "libpam-systemd"];

/** One ext4 file system over the whole disk (partman-auto's recipes: debian-installer's doc/devel/partman-auto-recipe.txt). */
const RECIPE =
  "bootshare :: 1000 10000 -1 ext4 $primary{ } method{ format } format{ } use_filesystem{ } filesystem{ ext4 } mountpoint{ / } .";

/** Questions whose answers are made for one another. */
const PARTITIONING = [
  "partman-auto/method",
  "partman-auto/choose_recipe",
  "partman-auto/expert_recipe",
  "partman-auto/expert_recipe_file",
];
const ROOT_PASSWORD = ["passwd/root-password", "passwd/root-password-crypted"];
const USER = [
  "passwd/user-fullname",
  "passwd/username",
  "passwd/user-password",
  "passwd/user-password-crypted",
];

/** What the installer is told. */
export function preseed(facts: PreseedFacts): Preseed {
  const own = takeApart(facts.own ?? "");
  const parts = [
    ...(facts.interactive ? [] : ["# bootshare's answers", ...answers(facts, own.questions)]),
    ...(own.text === "" ? [] : ["# a person's own", own.text]),
    "# what bootshare needs",
    ...essentials(facts, own),
  ];
  return { text: `${parts.join("\n")}\n`, commands: own.commands };
}

function answers(
  { suite, hostname, mirrors, proxy, kernelPackage }: PreseedFacts,
  theirs: ReadonlySet<string>,
): string[] {
  return [
    "d-i debian-installer/language string en",
    "d-i debian-installer/country string US",
    "d-i debian-installer/locale string C.UTF-8",
    "d-i keyboard-configuration/xkb-keymap select us",
    "d-i netcfg/choose_interface select auto",
    `d-i netcfg/get_hostname string ${hostname}`,
    `d-i netcfg/hostname string ${hostname}`,
    "d-i netcfg/get_domain string",
    "d-i hw-detect/load_firmware boolean false",
    ...mirrorAnswers(mirrors.archive, proxy),
    `d-i mirror/suite string ${suite.name}`,
    `d-i mirror/udeb/suite string ${suite.name}`,
    // Nobody but who has the key. A locked password; "!" alone counts as none given (user-setup-ask), and it would ask for one.
    "d-i passwd/root-login boolean true",
    ...(USER.some((question) => theirs.has(question)) ? [] : ["d-i passwd/make-user boolean false"]),
    ...(ROOT_PASSWORD.some((question) => theirs.has(question))
      ? []
      : ["d-i passwd/root-password-crypted password !!"]),
    "d-i clock-setup/utc boolean true",
    "d-i clock-setup/ntp boolean false",
    "d-i time/zone string Etc/UTC",
    "d-i partman-auto/method string regular",
    // The installer takes a recipe that it is given before one that is chosen by name, and ours fits no other method: a person who
    // says anything of it says it all (partman-auto, lib/recipes.sh).
    ...(PARTITIONING.some((question) => theirs.has(question))
      ? []
      : [
          `d-i partman-auto/expert_recipe string ${RECIPE}`,
          "d-i partman-auto/choose_recipe select bootshare",
        ]),
    "d-i partman-basicfilesystems/no_swap boolean false",
    "d-i partman-partitioning/confirm_write_new_label boolean true",
    "d-i partman-lvm/device_remove_lvm boolean true",
    "d-i partman-lvm/confirm boolean true",
    "d-i partman-lvm/confirm_nooverwrite boolean true",
    "d-i partman-auto-lvm/guided_size string max",
    // A new disk is all zeroes: nothing to be erased.
    "d-i partman-auto-crypto/erase_disks boolean false",
    "d-i partman/choose_partition select finish",
    "d-i partman/confirm boolean true",
    "d-i partman/confirm_nooverwrite boolean true",
    "d-i base-installer/install-recommends boolean false",
    `d-i base-installer/kernel/image string ${kernelPackage}`,
    ...serviceAnswers(mirrors, suite),
    "d-i apt-setup/enable-source-repositories boolean false",
    // Tasks are packages of other kinds of machines; none, unless a person names some.
    ...(theirs.has("tasksel/first") ? [] : ["d-i pkgsel/run_tasksel boolean false"]),
    "d-i pkgsel/update-policy select none",
    "popularity-contest popularity-contest/participate boolean false",
  ];
}

function mirrorAnswers(archive: string, proxy: string | undefined): string[] {
  const { protocol, host, pathname } = new URL(archive);
  const scheme = protocol.slice(0, -1);
  return [
    "d-i mirror/country string manual",
    `d-i mirror/protocol string ${scheme}`,
    `d-i mirror/${scheme}/hostname string ${host}`,
    `d-i mirror/${scheme}/directory string ${pathname}`,
    `d-i mirror/${scheme}/proxy string${proxy === undefined ? "" : ` ${proxy}`}`,
  ];
}

/** The installer knows the security archive only as http://HOST/debian-security; any other is one more repository. */
function serviceAnswers({ security, updates }: Mirrors, suite: Suite): string[] {
  const usual =
    security === undefined ? undefined : /^http:\/\/([^/]+)\/debian-security$/.exec(security)?.[1];
  const services = [...(usual === undefined ? [] : ["security"]), ...(updates ? ["updates"] : [])];
  return [
    `d-i apt-setup/services-select multiselect ${services.join(", ")}`.trimEnd(),
    ...(usual === undefined ? [] : [`d-i apt-setup/security_host string ${usual}`]),
    ...(usual === undefined && security !== undefined
      ? [`d-i apt-setup/local0/repository string ${security} ${suite.name}-security main`]
      : []),
  ];
}

function essentials(
  { interactive, kernelPackage }: PreseedFacts,
  { packages, questions, commands }: OwnPreseed,
): string[] {
  const scripts = Object.entries(MOMENTS).filter(
    ([, script]) => script !== "disk" || !interactive || commands.disk !== undefined,
  );
  return [
    ...(interactive && !questions.has("base-installer/kernel/image")
      ? [`d-i base-installer/kernel/image string ${kernelPackage}`]
      : []),
    // The host reads the links, and follows no path out of /boot.
    "d-i base-installer/kernel/linux/link_in_boot boolean true",
    `d-i pkgsel/include string ${[...new Set([...PACKAGES, ...packages])].join(" ")}`,
    // The host boots the kernel: no loader, and no word about that there is none.
    "d-i grub-installer/skip boolean true",
    "d-i nobootloader/confirmation_common note",
    "d-i finish-install/reboot_in_progress note",
    "d-i cdrom-detect/eject boolean false",
    "d-i debian-installer/exit/poweroff boolean true",
    ...scripts.map(([question, script]) => `d-i ${question} string ${commandOf(script)}`),
  ];
}

/** A person's own command goes first: what it does to the new system is there when ours looks at it. */
function commandOf(script: InstallerScript): string {
  const [ours, theirs] = [`${INSTALLER_FOLDER}/${script}`, `${INSTALLER_FOLDER}/own-${script}`];
  return `if [ -e ${theirs} ]; then sh ${theirs} || exit 1; fi; sh ${ours}`;
}

interface OwnPreseed {
  /** Without what is joined with ours. */
  readonly text: string;
  readonly commands: Preseed["commands"];
  readonly packages: readonly string[];
  /** Names of all that it answers. */
  readonly questions: ReadonlySet<string>;
}

/** Takes a preseed file apart. Its form: `OWNER QUESTION TYPE VALUE`, a backslash at a line's end continues it. */
function takeApart(text: string): OwnPreseed {
  const kept: string[] = [];
  const commands: Partial<Record<InstallerScript, string>> = {};
  const questions = new Set<string>();
  let packages: string[] = [];
  for (const line of text
    .replaceAll(/\r\n/g, "\n")
    .replaceAll(/\\\n\s*/g, " ")
    .split("\n")) {
    const [, question, type, value = ""] = /^\s*[^#\s]\S*\s+(\S+)\s+(\S+)(?:\s+(.*))?$/.exec(line) ?? [];
    if (question === undefined || type === "seen") {
      kept.push(line);
      continue;
    }
    questions.add(question);
    const script = Object.hasOwn(MOMENTS, question) ? MOMENTS[question] : undefined;
    if (script !== undefined) commands[script] = value.trim();
    else if (question === "pkgsel/include") packages = value.split(/\s+/).filter((name) => name !== "");
    else kept.push(line);
  }
  return { text: kept.join("\n").trim(), commands, packages, questions };
}
