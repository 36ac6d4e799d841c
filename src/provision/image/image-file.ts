/** A disk image that a person has: what format it is in, and a copy of one's own to work on, raw. */
import { chmodSync, chownSync, closeSync, openSync, readSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { EXIT, errnoOf, UserError } from "../../errors.ts";
import { missingProgram, runOk } from "../../process.ts";
import { lastLines, printable } from "../../text.ts";
import { requireFree } from "../free-space.ts";
import { type Outsider, runAsOutsider } from "./outsider.ts";

export type ImageFormat = "raw" | "qcow2";

/** What begins like this is something that a disk does not begin with. Sources: the formats' own specifications, file(1). */
const MAGICS: readonly {
  readonly at: number;
  readonly bytes: string;
  readonly what: string;
  readonly do: string;
}[] = [
  { at: 0, bytes: "KDMV", what: "a VMDK image", do: "convert" },
  { at: 0, bytes: "# Disk DescriptorFile", what: "a VMDK descriptor", do: "convert" },
  { at: 0, bytes: "vhdxfile", what: "a VHDX image", do: "convert" },
  { at: 0, bytes: "conectix", what: "a VHD image", do: "convert" },
  { at: 0x40, bytes: "\x7f\x10\xda\xbe", what: "a VDI image", do: "convert" },
  { at: 0, bytes: "QED\0", what: "a QED image", do: "convert" },
  { at: 0, bytes: "\xfd7zXZ\0", what: "compressed by xz", do: "unpack" },
  { at: 0, bytes: "\x1f\x8b", what: "compressed by gzip", do: "unpack" },
  { at: 0, bytes: "\x28\xb5\x2f\xfd", what: "compressed by zstd", do: "unpack" },
  { at: 0, bytes: "BZh", what: "compressed by bzip2", do: "unpack" },
  { at: 0, bytes: "PK\x03\x04", what: "a zip archive", do: "unpack" },
  { at: 0x101, bytes: "ustar", what: "a tar archive", do: "unpack" },
];
const HINTS: Readonly<Record<string, string>> = {
  convert: "Convert it first: qemu-img convert -O qcow2 IMAGE NEW.qcow2",
  unpack: "Unpack it first; a disk image, raw or qcow2, is what is imported.",
};
/** How much of a file {@link formatOf} looks at, in bytes. */
export const HEAD_BYTES = 512;

/**
 * What an image is, by how it begins. Whatever is nothing else is raw.
 *
 * @param head the first {@link HEAD_BYTES} bytes, or fewer of a shorter file
 * @throws {UserError} `IMAGE_FORMAT` for one that must be converted or unpacked first
 */
export function formatOf(head: Buffer, file: string): ImageFormat {
  const begins = ({ at, bytes }: { at: number; bytes: string }): boolean =>
    head.subarray(at, at + bytes.length).equals(Buffer.from(bytes, "latin1"));
  if (begins({ at: 0, bytes: "QFI\xfb" })) return "qcow2";
  const other = MAGICS.find(begins);
  if (other === undefined) return "raw";
  throw new UserError("IMAGE_FORMAT", `${printable(file)} is ${other.what}, not a raw or qcow2 image.`, {
    exitCode: EXIT.usage,
    hint: HINTS[other.do] ?? "",
  });
}

/** The parts of `qemu-img info --output=json` that matter. The image says them: not trusted. */
const infoSchema = z.object({
  format: z.string(),
  "virtual-size": z.number().int().nonnegative(),
  encrypted: z.boolean().optional(),
  "backing-filename": z.string().optional(),
  "format-specific": z
    .object({ data: z.object({ "data-file": z.string().optional() }).optional() })
    .optional(),
});

/**
 * Looks at a file that is to be imported, without changing anything.
 *
 * @throws {UserError} `IMAGE_NOT_FOUND`, `IMAGE_UNREADABLE`, `IMAGE_FORMAT`
 */
export function lookAtImage(file: string): ImageFormat {
  let fd: number;
  try {
    if (!statSync(file).isFile()) throw unreadable(file, "is not a regular file");
    fd = openSync(file, "r");
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (errnoOf(error) !== "ENOENT")
      throw unreadable(file, `cannot be read (${errnoOf(error) ?? "unknown error"})`);
    throw new UserError("IMAGE_NOT_FOUND", `There is no file ${printable(file)}.`, {
      exitCode: EXIT.notFound,
    });
  }
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    return formatOf(head.subarray(0, readSync(fd, head, 0, HEAD_BYTES, 0)), file);
  } finally {
    closeSync(fd);
  }
}

function unreadable(file: string, why: string): UserError {
  return new UserError("IMAGE_UNREADABLE", `The image ${printable(file)} ${why}.`, { exitCode: EXIT.usage });
}

/**
 * Copies an image, as raw, for working on it. The image itself is only read, by this process's own rights; whatever
 * understands its format has the outsider's.
 *
 * @param file the image; a person named it
 * @param format what {@link lookAtImage} said
 * @param raw name in the outsider's folder of the copy, which is sparse and the outsider's
 * @throws {UserError} `IMAGE_INVALID`, `IMAGE_NOT_WHOLE`, `NO_SPACE`, `PROGRAM_MISSING`, `PROGRAM_FAILED`
 */
export async function copyImage(
  file: string,
  format: ImageFormat,
  raw: string,
  outsider: Outsider,
  signal: AbortSignal,
): Promise<void> {
  const copy = format === "raw" ? raw : `${raw}.${format}`;
  const path = join(outsider.folder, copy);
  await runOk("cp", ["--sparse=always", "--reflink=auto", "--", file, path], { signal });
  own(path, outsider);
  if (copy === raw) return;
  const info = await runAsOutsider(outsider, "qemu-img", ["info", "-f", format, "--output=json", copy], {
    signal,
  });
  signal.throwIfAborted();
  if (info.missing) throw missingProgram("qemu-img");
  if (info.exitCode !== 0) throw invalid(file, info.stderr);
  requireWhole(file, info.stdout);
  const measured = await runAsOutsider(
    outsider,
    "qemu-img",
    ["measure", "-f", format, "-O", "raw", "--output=json", copy],
    { signal },
  );
  signal.throwIfAborted();
  if (measured.exitCode !== 0) throw invalid(file, measured.stderr);
  requireRoomFor(file, measured.stdout, outsider.folder);
  const convert = ["convert", "-f", format, "-O", "raw", copy, raw];
  const done = await runAsOutsider(outsider, "qemu-img", convert, { signal });
  signal.throwIfAborted();
  if (done.exitCode !== 0) throw invalid(file, done.stderr);
  await rm(path);
}

function own(path: string, { uid, gid }: Outsider): void {
  chmodSync(path, 0o600);
  if (process.getuid?.() === 0) chownSync(path, uid, gid);
}

/**
 * An image that says that a part of it lies elsewhere would have that read: another image, or any file of the host.
 *
 * @param json what qemu-img says of it
 * @throws {UserError} `IMAGE_NOT_WHOLE`, `IMAGE_INVALID`
 */
export function requireWhole(file: string, json: string): void {
  let info: z.infer<typeof infoSchema>;
  try {
    info = infoSchema.parse(JSON.parse(json));
  } catch {
    throw invalid(file, "qemu-img says something that is not understood.");
  }
  const elsewhere = info["backing-filename"] ?? info["format-specific"]?.data?.["data-file"];
  if (elsewhere === undefined && info.encrypted !== true) return;
  const why =
    elsewhere === undefined ? "is encrypted" : `is not whole: a part of it lies in ${printable(elsewhere)}`;
  throw new UserError("IMAGE_NOT_WHOLE", `The image ${printable(file)} ${why}.`, {
    exitCode: EXIT.usage,
    hint: "Make a whole one of it: qemu-img convert -O qcow2 IMAGE NEW.qcow2",
  });
}

const measureSchema = z.object({ required: z.number().nonnegative() });

/** An image that is packed takes many times its own size when it is not. @param json what `qemu-img measure` says */
function requireRoomFor(file: string, json: string, folder: string): void {
  const measured = measureSchema.safeParse(JSON.parse(json));
  if (!measured.success) throw invalid(file, "qemu-img says something that is not understood.");
  // As raw, and the disk that is made of it.
  requireFree(folder, 2 * measured.data.required, `the image ${printable(file)}`);
}

function invalid(file: string, said: string): UserError {
  return new UserError("IMAGE_INVALID", `The image ${printable(file)} cannot be read by qemu-img.`, {
    detail: lastLines(said),
    hint: "Is it complete? 'qemu-img check' may say more.",
  });
}
