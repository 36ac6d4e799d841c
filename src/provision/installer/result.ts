/**
 * What the script `installer/finish` left on the disk that the host reads: a cpio archive, whose first file says what the host has to
 * know, and whose others are those of the new system's /boot. The installed system's word, so nothing of it is trusted.
 */
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { UserError } from "../../errors.ts";
import { CpioReader } from "../../kernel/cpio.ts";
import { isRootSpec } from "../../libvirt/domain-create.ts";
import { publicKeysIn } from "../guest-files.ts";
import { isPlainName } from "../image/ext.ts";

/** Bytes: of the first file; of one file of /boot, as of any that is staged; of all of them. */
const MAX_TEXT = 64 * 1024;
const MAX_FILE = 512 * 2 ** 20;
const MAX_ALL = 2 ** 30;
const MAX_FILES = 200;

const FACTS = "bootshare-result";

export interface InstalledFacts {
  /** What the kernel finds its root file system by: see isRootSpec. */
  readonly root: string;
  /** As the new system's dpkg says it. */
  readonly arch: string;
  /** `TYPE BASE64`. */
  readonly hostKeys: readonly string[];
  /** Links of its /boot to files beside them. */
  readonly links: readonly { readonly name: string; readonly target: string }[];
  /** A passphrase may be asked for at each boot. */
  readonly passphrase: boolean;
}

/**
 * Reads the first file. Lines of `WORD VALUE`; what is not known is passed over, what is known must be right.
 *
 * @returns undefined where it is none, or not whole
 */
export function parseFacts(text: string): InstalledFacts | undefined {
  if (text.length > MAX_TEXT) return undefined;
  const lines = text.split("\n").map((line) => {
    const [, word = "", value = ""] = /^(\S+)(?: (.*))?$/.exec(line) ?? [];
    return { word, value };
  });
  const one = (name: string): string => lines.find(({ word }) => word === name)?.value ?? "";
  const all = (name: string): string[] => lines.filter(({ word }) => word === name).map(({ value }) => value);
  const [root, arch] = [one("root"), one("arch")];
  const whole =
    lines[0]?.word === "bootshare-installer" &&
    lines[0].value === "1" &&
    lines.some(({ word }) => word === "end");
  if (!whole || !isRootSpec(root) || !/^[a-z0-9]{1,20}$/.test(arch)) return undefined;
  const links = all("link").flatMap((value) => {
    const [name = "", target = "", more] = value.split(" ");
    return more === undefined && isPlainName(name) && isPlainName(target) ? [{ name, target }] : [];
  });
  return {
    root,
    arch,
    hostKeys: publicKeysIn(all("hostkey").join("\n")),
    links: [...new Map(links.slice(0, MAX_FILES).map((link) => [link.name, link])).values()],
    passphrase: one("passphrase") === "yes",
  };
}

/**
 * Takes the result off the disk.
 *
 * @param file the raw disk
 * @param bootDir made, for the files of /boot and its links
 * @returns undefined where the script did not come to its end
 * @throws {UserError} `INSTALLER_RESULT_TOO_LARGE`
 */
export function takeResult(file: string, bootDir: string): InstalledFacts | undefined {
  mkdirSync(bootDir, { mode: 0o700 });
  let facts: InstalledFacts | undefined;
  let first = true;
  let bytes = 0;
  const names = new Set<string>();
  const reader = new CpioReader(
    {
      entry: ({ name }) => {
        if (name === FACTS && first) return MAX_TEXT;
        first = false;
        const plain = /^boot\/([^/]+)$/.exec(name)?.[1];
        return plain !== undefined && isPlainName(plain) && !names.has(plain) ? MAX_FILE : 0;
      },
      content: ({ name, size }, content) => {
        if (name === FACTS) {
          facts = parseFacts(content.toString("utf8"));
          return;
        }
        const plain = name.slice("boot/".length);
        names.add(plain);
        bytes += size;
        if (bytes > MAX_ALL || names.size > MAX_FILES) throw tooLarge();
        writeFileSync(join(bootDir, plain), content, { flag: "wx", mode: 0o644 });
      },
    },
    MAX_FILES * 2,
  );
  readInto(reader, file);
  if (facts === undefined || reader.problem !== undefined || reader.archives === 0) return undefined;
  for (const { name, target } of facts.links) if (!names.has(name)) symlinkSync(target, join(bootDir, name));
  return facts;
}

const PIECE = 2 ** 20;

function readInto(reader: CpioReader, file: string): void {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if (!fstatSync(fd).isFile()) return;
    const buffer = Buffer.alloc(PIECE);
    // One archive: what was on the disk behind it says nothing.
    while (reader.archives === 0 && reader.problem === undefined) {
      const count = readSync(fd, buffer, 0, PIECE, null);
      if (count === 0 || reader.feed(buffer.subarray(0, count)) < count) return;
    }
  } finally {
    closeSync(fd);
  }
}

function tooLarge(): UserError {
  return new UserError("INSTALLER_RESULT_TOO_LARGE", "The installed system's /boot holds too much.", {
    hint: `At most ${MAX_FILES} files and ${MAX_ALL / 2 ** 30} GiB.`,
  });
}
