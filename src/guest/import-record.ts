/** What a guest was made of that bootshare did not install itself: a record in its folder. */
import { existsSync } from "node:fs";
import { replaceFile } from "../boot/replace-file.ts";
import type { GuestPaths } from "../paths.ts";

/** @param image absolute path of the image, or what installed it */
export function writeImport(paths: Pick<GuestPaths, "imported">, image: string): void {
  const record = { schema: 1, image, since: new Date().toISOString() };
  replaceFile(paths.imported, `${JSON.stringify(record, null, 2)}\n`);
}

export function isImported(paths: Pick<GuestPaths, "imported">): boolean {
  return existsSync(paths.imported);
}
