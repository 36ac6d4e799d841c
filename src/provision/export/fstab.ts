/** The file system table of a guest that is exported. Pure. */
import { SHARE_TAG } from "../../paths.ts";
import { IMPORT_COMMENT, parseFstab, WAS_BEFORE } from "../import/fstab.ts";

/** The table without the share, and with what an import made a comment of. */
export function exportedFstab(text: string): string {
  const lines = text.split("\n").flatMap((line) => {
    if (line === IMPORT_COMMENT) return [];
    if (line.startsWith(WAS_BEFORE)) return [line.slice(WAS_BEFORE.length)];
    const [mount] = parseFstab(line);
    return mount?.spec === SHARE_TAG && mount.file === "/boot" ? [] : [line];
  });
  return lines.join("\n");
}
