/** Boot shares as they lie on the host's disk, made the way a hostile guest, or its QEMU, makes them. */
import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";

/**
 * Who wrote a share, and through what.
 *
 * - `9p`: the guest's root, through an honest QEMU in mapped mode. Everything is a plain file of QEMU's user; what the guest
 *   made it as is in `user.virtfs.*`, and a link's text is the file's content.
 * - `virtiofs`: the guest's root, through virtiofsd. Links, FIFOs, devices are what they are, and root's.
 * - `taken-over`: QEMU itself, in a 9p share. It makes real links and FIFOs with its own rights, but no devices.
 */
export type Form = "9p" | "virtiofs" | "taken-over";
export const ALL_FORMS: readonly Form[] = ["9p", "virtiofs", "taken-over"];

/** Debian's number for the user libvirt-qemu. Nothing here needs the user to exist. */
export const QEMU = 64_055;

const S_IFSOCK = 0o140000;
const S_IFLNK = 0o120000;
const S_IFREG = 0o100000;
const S_IFBLK = 0o060000;
const S_IFDIR = 0o040000;
const S_IFIFO = 0o010000;

type Name = string | Buffer;

/** A share folder that is being filled. Names are not checked: that is the point. */
export class HostileShare {
  readonly dir: string;
  readonly form: Form;
  readonly #mapped: { readonly path: Buffer; readonly mode: number }[] = [];

  constructor(dir: string, form: Form) {
    this.dir = dir;
    this.form = form;
  }

  /** Owner of what is made here. */
  get owner(): number {
    return this.form === "virtiofs" ? 0 : QEMU;
  }

  at(name: Name): Buffer {
    return Buffer.concat([Buffer.from(`${this.dir}/`), Buffer.from(name)]);
  }

  file(name: Name, content: string | Uint8Array, mode = 0o644): void {
    this.#plain(name, content, S_IFREG | mode, mode);
  }

  /** A regular file that is `size` bytes long and holds next to nothing. */
  sparse(name: Name, head: Uint8Array, size: number): void {
    this.file(name, head);
    fs.truncateSync(this.at(name), size);
  }

  link(name: Name, text: string | Buffer): void {
    if (this.form === "9p") {
      this.#plain(name, text, S_IFLNK | 0o777);
      return;
    }
    fs.symlinkSync(text, this.at(name));
    this.#own(name);
  }

  fifo(name: Name): void {
    if (this.form === "9p") {
      this.#plain(name, "", S_IFIFO | 0o644);
      return;
    }
    // By a plain name first, for arguments of programs are text, and names here need not be.
    const passing = join(this.dir, "passing");
    execFileSync("mkfifo", [passing]);
    fs.renameSync(passing, this.at(name));
    this.#own(name);
  }

  async socket(name: string): Promise<void> {
    if (this.form === "9p") {
      this.#plain(name, "", S_IFSOCK | 0o755);
      return;
    }
    const server = createServer();
    const passing = join(this.dir, "passing");
    await new Promise<void>((resolve) => server.listen(passing, resolve));
    // Renamed, for a server takes its socket away when it closes.
    fs.renameSync(passing, this.at(name));
    await new Promise((resolve) => server.close(resolve));
    this.#own(name);
  }

  /** A device of a kind that is not there: whoever opens it gets ENXIO or ENODEV. */
  device(name: string): void {
    if (this.form === "9p") {
      this.#plain(name, "", S_IFBLK | 0o600);
      return;
    }
    execFileSync("mknod", [this.at(name).toString(), "b", "7", "250"]);
    this.#own(name);
  }

  folder(name: Name): void {
    fs.mkdirSync(this.at(name), { mode: 0o700 });
    this.#own(name);
    if (this.form === "9p") this.#mapped.push({ path: this.at(name), mode: S_IFDIR | 0o755 });
  }

  hardLink(existing: Name, name: Name): void {
    fs.linkSync(this.at(existing), this.at(name));
  }

  /** Attributes of QEMU's that do not say what is true, as QEMU taken over may write them. */
  attribute(name: string, key: string, value: Buffer): void {
    execFileSync("setfattr", ["-n", key, "-v", `0x${value.toString("hex")}`, this.at(name).toString()]);
  }

  /** Writes down what QEMU would have written beside the files. Called once, when the share is full. */
  finish(): void {
    if (this.#mapped.length === 0) return;
    const dump = this.#mapped.map(({ path, mode }) => {
      const quoted = [...path].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
      const values = { uid: 0, gid: 0, mode };
      const lines = Object.entries(values).map(([key, value]) => `user.virtfs.${key}=${littleEndian(value)}`);
      return `# file: ${quoted}\n${lines.join("\n")}\n\n`;
    });
    execFileSync("setfattr", ["--no-dereference", "--restore=-"], { input: dump.join("") });
  }

  #plain(name: Name, content: string | Uint8Array, guestMode: number, mode = 0o600): void {
    fs.writeFileSync(this.at(name), content, { mode: this.form === "9p" ? 0o600 : mode });
    this.#own(name);
    if (this.form === "9p") this.#mapped.push({ path: this.at(name), mode: guestMode });
  }

  #own(name: Name): void {
    fs.lchownSync(this.at(name), this.owner, this.owner);
  }
}

/** 32 bits, as QEMU stores them and setfattr takes them. */
function littleEndian(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return `0x${bytes.toString("hex")}`;
}
