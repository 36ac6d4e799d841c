/** What is installed on an image: read out of its files. All of it is the image's word, and checked before it is used. */
import { EXIT, UserError } from "../../errors.ts";
import { type DebianArch, isDebianArch } from "../../kernel/arch.ts";
import { printable } from "../../text.ts";

export interface InstalledSystem {
  /** `debian`, `ubuntu`, …, as os-release calls it. */
  readonly id: string;
  /** Code name. */
  readonly suite: string;
  readonly arch: DebianArch;
}

/** Values of a file like os-release(5): `NAME=VALUE` each, VALUE quoted as for a shell or not. */
export function parseOsRelease(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split("\n").flatMap((line) => {
      const [, name, value] = /^([A-Z0-9_]+)=(.*)$/.exec(line.trim()) ?? [];
      return name === undefined || value === undefined ? [] : [[name, value.replace(/^(["'])(.*)\1$/, "$2")]];
    }),
  );
}

/** The architecture of a system's dpkg in its status file (deb822). */
export function dpkgArch(status: string): string | undefined {
  const stanza = /(?:^|\n)Package: dpkg\n(?:.+\n)*/.exec(status)?.[0];
  return /\nArchitecture: (\S+)\n/.exec(stanza ?? "")?.[1];
}

/** A plain word, which can stand in a domain's metadata. */
const WORD = /^[a-z][a-z0-9.-]{0,30}$/;

/**
 * @param osRelease text of /usr/lib/os-release; undefined where there is none
 * @param status text of /var/lib/dpkg/status; likewise
 * @throws {UserError} `IMAGE_NOT_DEBIAN`, `IMAGE_VAR_NOT_FOUND`, `ARCH_UNKNOWN`
 */
export function installedSystem(osRelease: string | undefined, status: string | undefined): InstalledSystem {
  const release = parseOsRelease(osRelease ?? "");
  const id = release.get("ID") ?? "";
  const like = [id, ...(release.get("ID_LIKE") ?? "").split(" ")];
  if (like.includes("debian") && status === undefined) {
    throw new UserError("IMAGE_VAR_NOT_FOUND", "The image's root file system has no /var/lib/dpkg/status.", {
      exitCode: EXIT.usage,
      hint: "A system whose /var is a file system of its own is not imported.",
    });
  }
  if (status === undefined || !like.includes("debian") || !WORD.test(id)) {
    const name = release.get("PRETTY_NAME") ?? "no system that is known";
    throw new UserError(
      "IMAGE_NOT_DEBIAN",
      `On the image is ${printable(name, 80)}, not Debian or one of its kin.`,
      {
        exitCode: EXIT.usage,
      },
    );
  }
  const arch = dpkgArch(status) ?? "";
  if (!isDebianArch(arch)) {
    throw new UserError(
      "ARCH_UNKNOWN",
      `bootshare has no guests of the image's architecture, ${printable(arch)}.`,
      {
        exitCode: EXIT.usage,
      },
    );
  }
  // Debian's unstable has no code name in it.
  const suite = release.get("VERSION_CODENAME") ?? "";
  return { id, suite: WORD.test(suite) ? suite : "unknown", arch };
}
