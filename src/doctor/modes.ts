/** Who may enter and write a file: rules. Pure; folders.ts holds the files of this machine against them. */
import type { FileFacts } from "./probe.ts";

/** Something wrong with a file, and the command that mends it. */
export interface Problem {
  readonly found: string;
  readonly fix: string;
}

/** The group `staff` of Debian's base-passwd: its members count as root's equals in /usr/local (Debian policy 9.1.2). */
const STAFF_GID = 50;
const STICKY = 0o1000;

/** A mode as chmod(1) takes it: `0711`. */
export function modeText(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}

/**
 * A folder that every user may pass through, QEMU's among them, and only root may list or write: 0711, root's.
 *
 * @param path absolute, of bootshare's own
 */
export function passageProblem(path: string, facts: FileFacts): Problem | undefined {
  if (facts.uid !== 0) return { found: `${path} is not root's`, fix: `chown root ${path}` };
  if (facts.mode === 0o711) return undefined;
  return { found: `${path} is ${modeText(facts.mode)}, not 0711`, fix: `chmod 0711 ${path}` };
}

/**
 * A guest's folder: root's, closed to everybody but QEMU's group, which may pass through; stricter will do. What the guest
 * keeps in its share can be a set-uid program of root's on the host: this folder is all that keeps users away from it.
 *
 * @param qemuGid undefined: not known, so the group is not judged
 */
export function guestFolderProblem(
  path: string,
  facts: FileFacts,
  qemuGid: number | undefined,
): Problem | undefined {
  const fix = `chown root:libvirt-qemu ${path}; chmod 0710 ${path}`;
  if (facts.uid !== 0) return { found: `${path} is not root's`, fix };
  if ((facts.mode & ~0o710) !== 0) {
    return { found: `${path} is ${modeText(facts.mode)}, wider than 0710`, fix };
  }
  if ((facts.mode & 0o070) !== 0 && qemuGid !== undefined && facts.gid !== qemuGid) {
    return { found: `${path} is open to group ${facts.gid}, not libvirt-qemu`, fix };
  }
  return undefined;
}

/** A folder of a user's own, in session mode: theirs, and closed to everybody else. */
export function privateProblem(uid: number): (path: string, facts: FileFacts) => Problem | undefined {
  return (path, facts) => {
    if (facts.uid !== uid) return { found: `${path} is not this user's`, fix: `chown ${uid} ${path}` };
    if ((facts.mode & 0o077) === 0) return undefined;
    return { found: `${path} is ${modeText(facts.mode)}, not 0700`, fix: `chmod 0700 ${path}` };
  };
}

/** A file or folder that not everybody may write. */
export function openToAllProblem(path: string, facts: FileFacts): Problem | undefined {
  if ((facts.mode & 0o002) === 0) return undefined;
  return { found: `${path} may be written by everybody`, fix: `chmod o-w ${path}` };
}

/**
 * What only root may write, since root runs it; or a folder above that. A sticky folder of root's is safe: nobody else can
 * replace root's files in it.
 *
 * @param path absolute, printable
 */
export function rootOnlyProblem(path: string, facts: FileFacts): Problem | undefined {
  if (facts.uid !== 0) return { found: `${path} is not root's`, fix: `chown root ${path}` };
  if (facts.folder && (facts.mode & STICKY) !== 0) return undefined;
  const staff = facts.gid === STAFF_GID && /^\/usr\/local(\/|$)/.test(path);
  if ((facts.mode & (staff ? 0o002 : 0o022)) === 0) return undefined;
  return { found: `others than root may write ${path}`, fix: `chmod go-w ${path}` };
}
