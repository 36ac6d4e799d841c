/** Programs and files that making and running guests takes, beside QEMU and libvirt. */
import { KEYRING } from "../provision/sources.ts";
import { printable } from "../text.ts";
import type { Probe } from "./probe.ts";
import { type Finding, met, type Requirement, unmet } from "./requirement.ts";

/** docs/requirements.md says what each is for. */
const PROGRAMS: readonly (readonly [program: string, debianPackage: string])[] = [
  ["mmdebstrap", "mmdebstrap"],
  ["mke2fs", "e2fsprogs"],
  ["ssh", "openssh-client"],
  ["ssh-keygen", "openssh-client"],
  ["flock", "util-linux"],
];

export function programRequirements(probe: Probe): Requirement[] {
  const program = (name: string, debianPackage: string, need: Requirement["need"]): Requirement => ({
    id: name,
    title: name,
    need,
    check: async () => {
      const path = probe.find(name);
      return path === undefined
        ? unmet("it is not installed", `apt-get install ${debianPackage}`)
        : met(printable(path));
    },
  });
  return [
    {
      id: "virtiofsd",
      title: "virtiofsd",
      need: "recommended",
      check: async () => {
        const path = probe.virtiofsd();
        // A package of its own since Debian 13.
        const fix = "apt-get install virtiofsd || apt-get install qemu-system-common";
        return path === undefined ? unmet("there is none, so /boot is shared by 9p", fix) : met(path);
      },
    },
    // Only a 9p share takes it, and where there is no virtiofsd, or libvirt runs none for users, there is nothing else.
    program(
      "setfattr",
      "attr",
      probe.virtiofsd() === undefined || probe.mode.name === "session" ? "required" : "recommended",
    ),
    ...PROGRAMS.map(([name, debianPackage]) => program(name, debianPackage, "required")),
    {
      id: "archive-keys",
      title: "archive keys",
      need: "required",
      check: async () =>
        "errno" in probe.stat(KEYRING)
          ? unmet(`${KEYRING} is not there`, "apt-get install debian-archive-keyring")
          : met(KEYRING),
    },
    // Not required: `create` takes addresses as options.
    {
      id: "mirror",
      title: "Debian mirror",
      need: "recommended",
      check: async () => await checkMirror(probe),
    },
  ];
}

async function checkMirror(probe: Probe): Promise<Finding> {
  const name = "give create --mirror http://mirror.example.org/debian";
  if (probe.find("apt-get") === undefined) return unmet("this machine has no apt to ask", name);
  const { archive, security } = await probe.mirrors();
  if (archive === undefined) return unmet("this machine's apt knows none", `apt-get update, or ${name}`);
  if (security === undefined) {
    return unmet(
      `${printable(archive)}; none of the security archive`,
      "give create --security-mirror URL or --no-security",
    );
  }
  return met(printable(archive));
}
