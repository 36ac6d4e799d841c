/**
 * Where a guest's packages come from: the mirrors that the host's own apt uses, unless others are named. One text of
 * sources serves both mmdebstrap and the guest.
 */
import { existsSync } from "node:fs";
import { EXIT, UserError } from "../errors.ts";
import { runOk } from "../process.ts";
import type { Suite } from "./suites.ts";

/** In Debian and in every guest that apt is installed in. */
export const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

export interface Mirrors {
  readonly archive: string;
  /** undefined: the guest goes without the security archive. */
  readonly security: string | undefined;
  /** false: the guest goes without SUITE-updates, which is on the mirror of the archive. */
  readonly updates: boolean;
}

export interface MirrorWishes {
  /** Instead of the host's mirror of the archive. As a person typed it. */
  readonly mirror?: string | undefined;
  /** Instead of the host's mirror of the security archive. As a person typed it. */
  readonly securityMirror?: string | undefined;
  /** false: without the security archive. */
  readonly security: boolean;
  /** false: without SUITE-updates. */
  readonly updates: boolean;
}

const FORMAT = "$(ORIGIN)|$(LABEL)|$(REPO_URI)";

/** What {@link parseIndexTargets} found of the host's own mirrors. */
export interface HostMirrors {
  readonly archive: string | undefined;
  readonly security: string | undefined;
}

/**
 * Finds Debian's archives in what apt-get indextargets(8) prints in the form `ORIGIN|LABEL|REPO_URI`. Origin and label
 * come from the signed Release files. Any suite will do: a mirror of one serves all. Addresses that a guest cannot use
 * (`file:`, `cdrom:`, `mirror+file:`, …) are passed over.
 */
export function parseIndexTargets(text: string): HostMirrors {
  const find = (label: string): string | undefined => {
    for (const line of text.split("\n")) {
      const [origin, itsLabel, uri] = line.split("|");
      if (origin !== "Debian" || itsLabel !== label || uri === undefined) continue;
      if (isMirrorUrl(uri)) return withoutSlash(uri);
    }
    return undefined;
  };
  return { archive: find("Debian"), security: find("Debian-Security") };
}

/** Asks the host's apt for its mirrors. A host without apt has none. */
export async function hostMirrors(signal?: AbortSignal): Promise<HostMirrors> {
  const args = ["indextargets", "--format", FORMAT, "Created-By: Packages"];
  return parseIndexTargets(await runOk("apt-get", args, signal === undefined ? {} : { signal }));
}

/**
 * The mirrors to use.
 *
 * @throws {UserError} `MIRROR_INVALID`, `NO_MIRROR`, `NO_SECURITY_MIRROR`
 */
export function chooseMirrors(host: HostMirrors, wishes: MirrorWishes): Mirrors {
  const archive = wishes.mirror === undefined ? host.archive : checkMirrorUrl(wishes.mirror);
  if (archive === undefined) {
    throw new UserError("NO_MIRROR", "This host's apt knows no Debian mirror.", {
      hint: "Run apt-get update if the package lists were removed, or name a mirror: --mirror http://mirror.example.org/debian",
      exitCode: EXIT.unusable,
    });
  }
  const { updates } = wishes;
  if (!wishes.security) return { archive, security: undefined, updates };
  const security =
    wishes.securityMirror === undefined ? host.security : checkMirrorUrl(wishes.securityMirror);
  if (security === undefined) {
    throw new UserError(
      "NO_SECURITY_MIRROR",
      "This host's apt knows no mirror of Debian's security archive.",
      {
        hint: "Name one with --security-mirror http://mirror.example.org/debian-security, or go without: --no-security",
        exitCode: EXIT.unusable,
      },
    );
  }
  return { archive, security, updates };
}

/**
 * @param text as a person typed it
 * @returns the URL without a slash at its end
 * @throws {UserError} `MIRROR_INVALID` unless it is a plain http or https URL that can stand in a line of sources
 */
export function checkMirrorUrl(text: string): string {
  if (isMirrorUrl(text)) return withoutSlash(text);
  throw new UserError("MIRROR_INVALID", `${JSON.stringify(text)} is no address of a mirror.`, {
    hint: "An http or https URL without user name, query or spaces, for example http://mirror.example.org/debian",
    exitCode: EXIT.usage,
  });
}

/** Whether it is a plain http or https URL that can stand in a line of sources. */
export function isMirrorUrl(text: string): boolean {
  // The guest's sources are readable to everybody in it: no place for a password.
  if (!/^https?:\/\/[^\s@?#\p{C}]+$/u.test(text)) return false;
  try {
    return new URL(text).hostname !== "";
  } catch {
    return false;
  }
}

function withoutSlash(url: string): string {
  return url.replace(/\/+$/, "");
}

/**
 * The sources of a guest, in the deb822 form of sources.list(5).
 *
 * @param components default `["main"]`
 */
export function aptSources(suite: Suite, mirrors: Mirrors, components: readonly string[] = ["main"]): string {
  const stanza = (uri: string, suites: string): string =>
    `Types: deb\nURIs: ${uri}\nSuites: ${suites}\nComponents: ${components.join(" ")}\nSigned-By: ${KEYRING}\n`;
  const updates = mirrors.updates ? ` ${suite.name}-updates` : "";
  const stanzas = [stanza(mirrors.archive, `${suite.name}${updates}`)];
  if (mirrors.security !== undefined) stanzas.push(stanza(mirrors.security, `${suite.name}-security`));
  return stanzas.join("\n");
}

/** @throws {UserError} `NO_KEYRING` when the host lacks the keys that Debian's archives are signed with */
export function requireKeyring(file: string = KEYRING): void {
  if (existsSync(file)) return;
  throw new UserError("NO_KEYRING", `The keys of Debian's archives (${file}) are not on this host.`, {
    hint: "apt-get install debian-archive-keyring",
    exitCode: EXIT.unusable,
  });
}
