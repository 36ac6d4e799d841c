/** What is to be built: a name that apt fetches the source of, a .dsc with its files, or an unpacked tree. */
import { createHash } from "node:crypto";
import { createReadStream, existsSync, statSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { EXIT, UserError } from "../errors.ts";
import { printable } from "../text.ts";
import {
  changelogPackage,
  controlInvalid,
  type ListedFile,
  listedFiles,
  MAX_CONTROL_BYTES,
  parseControl,
  SOURCE_NAME,
  type SourcePackage,
  sourcePackage,
  upstreamVersion,
  VERSION_TEXT,
} from "./control.ts";

/** An argument of `bootshare build`, understood. */
export type SourceRequest =
  | { readonly kind: "name"; readonly name: string; readonly version: string | undefined }
  | { readonly kind: "dsc"; readonly file: string }
  | { readonly kind: "tree"; readonly folder: string };

/** A source package that is ready to be copied into a guest. */
export interface Source extends SourcePackage {
  /** Absolute paths of the files, the .dsc among them; of a tree only the upstream tarballs beside it. */
  readonly files: readonly string[];
  /** The name of the .dsc among {@link files}; undefined for a tree, of which the guest makes one. */
  readonly dsc: string | undefined;
  /** The absolute path of an unpacked tree. */
  readonly tree: string | undefined;
}

/**
 * Understands an argument as apt does: what holds a slash or ends in `.dsc` is a path, anything else a name.
 *
 * @throws {UserError} `SOURCE_INVALID`, `SOURCE_NOT_FOUND`
 */
export function readRequest(argument: string): SourceRequest {
  const isPath = argument.includes("/") || argument === "." || argument === ".." || argument.endsWith(".dsc");
  if (!isPath) return nameRequest(argument);
  const path = resolve(argument);
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) {
    throw new UserError("SOURCE_NOT_FOUND", `There is no ${printable(argument)}.`, {
      exitCode: EXIT.notFound,
    });
  }
  if (stats.isDirectory()) return { kind: "tree", folder: path };
  if (stats.isFile() && path.endsWith(".dsc")) return { kind: "dsc", file: path };
  throw new UserError("SOURCE_INVALID", `${printable(argument)} is neither a .dsc nor a folder.`, {
    exitCode: EXIT.usage,
  });
}

function nameRequest(argument: string): SourceRequest {
  const [name = "", version, ...more] = argument.split("=");
  const valid = SOURCE_NAME.test(name) && (version === undefined || VERSION_TEXT.test(version));
  if (valid && more.length === 0) return { kind: "name", name, version };
  throw new UserError("SOURCE_INVALID", `${printable(argument)} is no name of a source package.`, {
    exitCode: EXIT.usage,
    hint: "Write NAME, NAME=VERSION, or a path: a .dsc, or a folder with a slash in it (./hello).",
  });
}

/**
 * A .dsc and its files, each held against its size and checksum. A signature is not asked for: whoever names the file answers
 * for it, as with dpkg-source.
 *
 * @throws {UserError} `CONTROL_INVALID`, `SOURCE_FILE_MISSING`, `SOURCE_FILE_DIFFERS`
 */
export async function readDsc(file: string): Promise<Source> {
  const fields = await controlFile(file);
  const source = sourcePackage(fields);
  const listed = listedFiles(fields);
  if (source === undefined) throw controlInvalid(file, "it names no source package and version");
  if (listed === undefined)
    throw controlInvalid(file, "it has no valid list of files with SHA-256 checksums");
  for (const one of listed) await checkFile(join(dirname(file), one.name), one, basename(file));
  const files = [file, ...listed.map(({ name }) => join(dirname(file), name))];
  return { ...source, files, dsc: basename(file), tree: undefined };
}

async function controlFile(file: string) {
  const { size } = await stat(file);
  const fields = size > MAX_CONTROL_BYTES ? undefined : parseControl(await readFile(file, "utf8"));
  if (fields === undefined) throw controlInvalid(file, "it is no control file of Debian's");
  return fields;
}

async function checkFile(path: string, { name, size, sha256 }: ListedFile, dsc: string): Promise<void> {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isFile() !== true) {
    throw new UserError("SOURCE_FILE_MISSING", `${printable(dsc)} names ${name}, which is not beside it.`, {
      exitCode: EXIT.notFound,
      hint: "All files that a .dsc names lie in its folder; 'dget' or 'apt-get source --download-only' fetches them.",
    });
  }
  if (stats.size === size && (await sha256Of(path)) === sha256) return;
  throw new UserError(
    "SOURCE_FILE_DIFFERS",
    `${name} is not the file that ${printable(dsc)} names: its checksum differs.`,
    {
      hint: "Fetch it again, or make the .dsc anew with dpkg-source -b.",
    },
  );
}

/** Hexadecimal, lower case. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(path)) hash.update(bytes as Buffer);
  return hash.digest("hex");
}

/**
 * An unpacked tree, with the upstream tarballs that lie beside it. Nothing of it is run on this host: not even its `clean`.
 *
 * @throws {UserError} `SOURCE_INVALID`
 */
export async function readTree(folder: string): Promise<Source> {
  const changelog = join(folder, "debian/changelog");
  const text = existsSync(changelog) ? await readFile(changelog, "utf8") : undefined;
  const source = text === undefined ? undefined : changelogPackage(text);
  if (source === undefined) {
    throw new UserError(
      "SOURCE_INVALID",
      `${printable(folder)} is no tree of a Debian source package: ${text === undefined ? "it has no debian/changelog" : "its debian/changelog does not begin with a name and a version"}.`,
      { exitCode: EXIT.usage },
    );
  }
  const beside = dirname(folder);
  const begin = `${source.name}_${upstreamVersion(source.version)}.orig`;
  const names = (await readdir(beside)).filter(
    (name) =>
      name.startsWith(begin) && /^(-[A-Za-z0-9-]+)?\.tar\.[a-z0-9]+(\.asc)?$/.test(name.slice(begin.length)),
  );
  return { ...source, files: names.sort().map((name) => join(beside, name)), dsc: undefined, tree: folder };
}
