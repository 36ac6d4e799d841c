/** The file system table of an installed system that is imported (fstab(5)). Pure. */

export interface Mount {
  /** `UUID=…`, `LABEL=…`, `PARTUUID=…`, `/dev/…`. */
  readonly spec: string;
  readonly file: string;
  readonly type: string;
}

/** The mounts that it names. What is not understood is left out: it is the guest's. */
export function parseFstab(text: string): Mount[] {
  return text.split("\n").flatMap((line) => mountOf(line) ?? []);
}

function mountOf(line: string): Mount | undefined {
  if (line.trimStart().startsWith("#")) return undefined;
  const [spec, file, type] = line.trim().split(/\s+/);
  if (spec === undefined || file === undefined || type === undefined) return undefined;
  return { spec, file: file.replace(/(.)\/+$/, "$1"), type };
}

/** Before the share's line. */
export const IMPORT_COMMENT = "# /boot is a folder of the host.";
/** Before a line that is not in force as long as the share is /boot. */
export const WAS_BEFORE = "# before bootshare: ";

/** What {@link importedFstab} could not see to. */
export interface FstabChange {
  readonly text: string;
  /** Mount points of devices that the machine will have under another name, or not at all. Not trusted. */
  readonly doubtful: readonly string[];
}

/**
 * The table with /boot as the host's folder. What mounted something on /boot or below it becomes a comment; a root that is
 * named after its device is named by its UUID, since that device has another name now.
 *
 * @param shareLine the line that mounts the share
 */
export function importedFstab(text: string, rootUuid: string, shareLine: string): FstabChange {
  const doubtful: string[] = [];
  const lines = text
    .replace(/\n+$/, "")
    .split("\n")
    .map((line) => {
      const mount = mountOf(line);
      if (mount === undefined) return line;
      if (mount.file === "/boot" || mount.file.startsWith("/boot/")) return WAS_BEFORE + line;
      if (!mount.spec.startsWith("/dev/")) return line;
      if (mount.file === "/") return line.replace(mount.spec, () => `UUID=${rootUuid}`);
      // Names of the device mapper are given by the guest itself.
      if (!mount.spec.startsWith("/dev/mapper/")) doubtful.push(mount.file);
      return line;
    });
  return { text: [...lines, IMPORT_COMMENT, shareLine, ""].join("\n"), doubtful };
}
