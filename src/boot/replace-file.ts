/** Writing a small file anew, so that whoever reads it finds the old one or the new one. */
import { renameSync, rmSync, writeFileSync } from "node:fs";

/**
 * Writes a new file of mode 0600, forces it to disk and gives it the name of the old one. The new file always has the same
 * name, FILE.new, so that what a killed program left is taken away by the next: taken away, and never written over.
 *
 * @throws what the system refuses; the old file is there then, and nothing of the new one
 */
export function replaceFile(file: string, content: string | Buffer): void {
  const fresh = `${file}.new`;
  try {
    rmSync(fresh, { force: true });
    writeFileSync(fresh, content, { mode: 0o600, flag: "wx", flush: true });
    renameSync(fresh, file);
  } catch (error) {
    rmSync(fresh, { force: true });
    throw error;
  }
}
