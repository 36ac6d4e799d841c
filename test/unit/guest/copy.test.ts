import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { copyIn, copyOut } from "../../../src/guest/copy.ts";
import { guest } from "./reachable.ts";

let folder: string;
const path = process.env["PATH"] ?? "";
const at = (...names: string[]): string => join(folder, ...names);

/** What stands for ssh: a shell script, which gets the command for the guest as its last argument. */
function ssh(script: string): void {
  mkdirSync(at("bin"), { recursive: true });
  writeFileSync(at("bin", "ssh"), `#!/bin/sh\nfor last; do :; done\n${script}\n`, { mode: 0o755 });
  process.env["PATH"] = `${at("bin")}:${path}`;
}
const HERE = 'exec sh -c "$last"';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bootshare-copy-"));
  for (const name of ["guest", "host"]) mkdirSync(at(name));
});
afterEach(() => {
  process.env["PATH"] = path;
  rmSync(folder, { recursive: true });
});

const ODD = ["a b", "-rf", "--checkpoint=1", "it's $HOME; `id`", "new\nline", "ü*?"];

describe("files with odd names", () => {
  it.each(ODD)("go in and come out: %j", async (name) => {
    ssh(HERE);
    writeFileSync(at("host", name), name);
    await copyIn(guest, at("host", name), at("guest", "deep", name));
    expect(readFileSync(at("guest", "deep", name), "utf8")).toBe(name);
    await copyIn(guest, at("host", name), `${at("guest", "other")}/`);
    expect(readdirSync(at("guest", "other"))).toEqual([name]);
    expect(await copyOut(guest, at("guest", "deep", name), `${at("host", "back")}/`)).toEqual({
      leftOut: [],
    });
    expect(readFileSync(at("host", "back", name), "utf8")).toBe(name);
    expect(readdirSync(at("guest", "deep"))).toEqual([name]);
    expect(readdirSync(at("host", "back"))).toEqual([name]);
  });
});

describe("copyOut", () => {
  /** A guest that sends this archive, whatever it is asked for. */
  function sends(...args: string[]): void {
    execFileSync("tar", ["-cPf", at("archive"), ...args], { cwd: at("guest") });
    ssh(`cat '${at("archive")}'`);
  }
  const take = async (): Promise<readonly string[]> =>
    (await copyOut(guest, "/x/out", at("host", "got"))).leftOut;

  it("takes regular files and folders, and names what it leaves out", async () => {
    mkdirSync(at("guest", "out", "sub"), { recursive: true });
    writeFileSync(at("guest", "out", "sub", "su"), "#!", { mode: 0o755 });
    chmodSync(at("guest", "out", "sub", "su"), 0o6755);
    symlinkSync("/etc", at("guest", "out", "link"));
    execFileSync("mkfifo", [at("guest", "out", "fi\u001bfo")]);
    sends("./out");
    expect([...(await take())].sort()).toEqual(["out/fi\\x1bfo", "out/link"]);
    expect(readdirSync(at("host", "got"))).toEqual(["sub"]);
    const file = lstatSync(at("host", "got", "sub", "su"));
    expect([file.mode & 0o7777 & ~0o022, file.uid]).toEqual([0o755, process.getuid?.()]);
  });

  it("writes nothing through a link, above its folder, or to an absolute path", async () => {
    mkdirSync(at("guest", "out"));
    writeFileSync(at("guest", "out", "file"), "text");
    const evil = [at("host", "evil-absolute"), "../../evil-above"];
    symlinkSync(at("host"), at("guest", "link"));
    const to = (name: string): string => `--transform=s,^out/file$,${name},`;
    for (const [name, more] of [
      ["out/link/evil-link", ["./link", "--transform=s,^./link$,out/link,"]],
      [evil[0] ?? "", []],
      [evil[1] ?? "", []],
    ] as const) {
      sends("out", ...more, to(name), "out/file");
      await take().catch(() => []);
      rmSync(at("host", "got"), { recursive: true, force: true });
      expect(readdirSync(at("host"))).toEqual([]);
      expect(existsSync(at("evil-above"))).toBe(false);
    }
  });

  it("refuses more than it was told to take, and leaves nothing", async () => {
    writeFileSync(at("guest", "out"), Buffer.alloc(100_000));
    sends("./out");
    await expect(copyOut(guest, "/x/out", at("host", "got"), { maxBytes: 50_000 })).rejects.toMatchObject({
      code: "COPY_TOO_LARGE",
    });
    expect(readdirSync(at("host"))).toEqual([]);
  });

  it("refuses a link, what is not there, a place that is taken, and a path that is none", async () => {
    symlinkSync("/etc/passwd", at("guest", "out"));
    sends("./out");
    await expect(take()).rejects.toMatchObject({ code: "COPY_SOURCE" });
    ssh(HERE);
    await expect(copyOut(guest, at("guest", "gone"), at("host", "got"))).rejects.toMatchObject({
      code: "COPY_FAILED",
      detail: expect.stringContaining("No such file"),
    });
    writeFileSync(at("host", "got"), "mine");
    await expect(take()).rejects.toMatchObject({ code: "COPY_TARGET_EXISTS" });
    await expect(copyOut(guest, "relative", at("host", "x"))).rejects.toMatchObject({ code: "COPY_SOURCE" });
    expect([readdirSync(at("host")), readFileSync(at("host", "got"), "utf8")]).toEqual([["got"], "mine"]);
  });

  it("says that the guest is lost when it is", async () => {
    ssh("echo gone >&2; exit 255");
    await expect(take()).rejects.toMatchObject({
      code: "GUEST_LOST",
      detail: expect.stringContaining("gone"),
    });
  });
});

describe("copyIn", () => {
  it("refuses what is not there, and a place in the guest that is no absolute path", async () => {
    ssh(HERE);
    await expect(copyIn(guest, at("host", "gone"), "/x")).rejects.toMatchObject({ code: "COPY_SOURCE" });
    await expect(copyIn(guest, at("host"), "x")).rejects.toMatchObject({ code: "COPY_SOURCE" });
  });
});
