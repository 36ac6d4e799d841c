import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { catalogue } from "../../../src/kernel/catalogue.ts";
import { LOADER_FILE_MAX_BYTES, MAX_LOADER_ENTRIES } from "../../../src/kernel/limits.ts";
import { readBootFolder } from "../../../src/share/folder.ts";
import { bzImage, zstdInitrd } from "../kernel/images.ts";

const ENTRIES = "loader/entries";
const EXTLINUX = "extlinux/extlinux.conf";
let dir = "";
let share = "";
const at = (name: string): string => join(share, name);

beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), "bootshare-loader-"));
  share = join(dir, "share");
  fs.mkdirSync(at(ENTRIES), { recursive: true });
  fs.mkdirSync(at("extlinux"));
});
afterEach(() => fs.rmSync(dir, { recursive: true }));

/** A file outside the share that must not be read. */
function secret(text = "linux /k\ninitrd /i\noptions secret\n"): string {
  const path = join(dir, "secret");
  fs.writeFileSync(path, text);
  return path;
}

const named = "linux /mykernel\ninitrd /myinitrd\noptions quiet\n";
const found = (beforeLook?: (name: string) => void) => {
  const entries = readBootFolder(share, beforeLook === undefined ? {} : { beforeLook });
  return catalogue(entries, "amd64").loader;
};
const problems = (beforeLook?: (name: string) => void) =>
  found(beforeLook)?.entries.map(({ problem }) => problem);
const openFiles = (): number => fs.readdirSync("/proc/self/fd").length;

describe("readBootFolder: a boot loader's entries", () => {
  it("reads them, and the heads of the files that they name", () => {
    fs.writeFileSync(at("mykernel"), bzImage());
    fs.writeFileSync(at("myinitrd"), zstdInitrd());
    fs.writeFileSync(at(`${ENTRIES}/a.conf`), named);
    fs.writeFileSync(at(EXTLINUX), "label l0\nlinux /k\ninitrd /i\n");
    const loader = found();
    expect(loader?.pair).toMatchObject({ kernel: "mykernel", initrd: "myinitrd", complete: true });
    expect(loader?.entries.map(({ file }) => file)).toEqual([`${ENTRIES}/a.conf`, EXTLINUX]);
  });

  it("finds none in empty folders, in none, and among other files", () => {
    fs.writeFileSync(at(`${ENTRIES}/README`), named);
    fs.writeFileSync(at(`${ENTRIES}/a.conf.dpkg-new`), named);
    fs.writeFileSync(at("loader/loader.conf"), "default x\n");
    expect(found()).toBeUndefined();
    fs.rmSync(at("loader"), { recursive: true });
    fs.rmSync(at("extlinux"), { recursive: true });
    expect(found()).toBeUndefined();
  });

  it("leaves no descriptor open", () => {
    fs.writeFileSync(at(`${ENTRIES}/a.conf`), named);
    fs.symlinkSync(secret(), at(`${ENTRIES}/b.conf`));
    fs.symlinkSync("/etc", at(EXTLINUX));
    const before = openFiles();
    found();
    expect(openFiles()).toBe(before);
  });
});

describe("readBootFolder: entries of a hostile guest", () => {
  const fifo = (name: string): void => void execFileSync("mkfifo", [at(name)]);
  const instead = (name: string, make: (name: string) => void): void => {
    fs.rmSync(at(name), { recursive: true, force: true });
    make(name);
  };
  const linkTo = (target: string) => (name: string) => fs.symlinkSync(target, at(name));

  it.each<[string, string, (name: string) => void, string]>([
    [
      "an entry that is a link",
      `${ENTRIES}/a.conf`,
      (name) => linkTo(secret())(name),
      `${ENTRIES}/a.conf is a symbolic link`,
    ],
    ["an entry that is a FIFO", `${ENTRIES}/a.conf`, fifo, `${ENTRIES}/a.conf is a FIFO`],
    [
      "an entry that is a folder",
      `${ENTRIES}/a.conf`,
      (name) => fs.mkdirSync(at(name)),
      `${ENTRIES}/a.conf is a folder`,
    ],
    [
      "an extlinux.conf that is a link",
      EXTLINUX,
      (name) => linkTo(secret())(name),
      `${EXTLINUX} is a symbolic link`,
    ],
    [
      "loader that is a link",
      "loader",
      linkTo("/etc"),
      `${ENTRIES} was not looked at: loader is a symbolic link`,
    ],
    [
      "loader that is a mapped link",
      "loader",
      (name) => fs.writeFileSync(at(name), "/etc"),
      `${ENTRIES} was not looked at: loader is a file`,
    ],
    [
      "entries that are a link",
      ENTRIES,
      linkTo("../../secrets"),
      `${ENTRIES} was not looked at: entries is a symbolic link`,
    ],
    ["entries that are a FIFO", ENTRIES, fifo, `${ENTRIES} was not looked at: entries is a FIFO`],
    [
      "extlinux that is a link to itself",
      "extlinux",
      linkTo("extlinux"),
      `${EXTLINUX} was not looked at: extlinux is a symbolic link`,
    ],
  ])("follows and opens nothing: %s", (_what, name, make, problem) => {
    fs.mkdirSync(join(dir, "secrets"));
    fs.writeFileSync(join(dir, "secrets/a.conf"), named);
    instead(name, make);
    expect(problems()).toEqual([problem]);
  });

  it("takes the text of a mapped link for an entry that says nothing", () => {
    fs.writeFileSync(at(`${ENTRIES}/a.conf`), "/etc/passwd");
    expect(problems()).toEqual([`${ENTRIES}/a.conf names no kernel`]);
  });

  it("reads no large file, and no sparse one of 1 TiB", () => {
    fs.writeFileSync(at(`${ENTRIES}/a.conf`), Buffer.alloc(LOADER_FILE_MAX_BYTES + 1, "#"));
    fs.writeFileSync(at(EXTLINUX), "label l0\n");
    fs.truncateSync(at(EXTLINUX), 2 ** 40);
    expect(problems()).toEqual(
      [EXTLINUX, `${ENTRIES}/a.conf`].map((name) => `${name} is larger than 64 KiB`),
    );
  });

  it("reads so many names only, or none of them", () => {
    for (let i = 0; i < MAX_LOADER_ENTRIES; i++) fs.writeFileSync(at(`${ENTRIES}/${i}.conf`), named);
    expect(found()?.entries).toHaveLength(MAX_LOADER_ENTRIES);
    fs.writeFileSync(at(`${ENTRIES}/x`), "");
    expect(problems()).toEqual([`${ENTRIES} holds more than 32 names`]);
  });

  it("passes over names that are none", () => {
    fs.writeFileSync(at(`${ENTRIES}/a\n.conf`), named);
    fs.writeFileSync(at(`${ENTRIES}/-a.conf`), named);
    fs.writeFileSync(
      Buffer.concat([Buffer.from(at(`${ENTRIES}/`)), Buffer.from([0xff]), Buffer.from(".conf")]),
      named,
    );
    expect(found()).toBeUndefined();
  });

  it("reads nothing through a folder that is swapped for a link after it was entered", () => {
    fs.mkdirSync(join(dir, "secrets"));
    fs.writeFileSync(join(dir, "secrets/a.conf"), "title secret\n");
    fs.writeFileSync(at(`${ENTRIES}/a.conf`), named);
    const swap = (name: string): void => {
      if (name !== `${ENTRIES}/a.conf`) return;
      fs.renameSync(at(ENTRIES), at("loader/moved"));
      fs.symlinkSync(join(dir, "secrets"), at(ENTRIES));
    };
    expect(found(swap)?.entries).toMatchObject([{ options: "quiet", title: undefined }]);
  });

  it.each<[string, string, () => void, string[] | undefined]>([
    ["an entry vanishes", `${ENTRIES}/a.conf`, () => fs.rmSync(at(`${ENTRIES}/a.conf`)), undefined],
    ["the folder vanishes", "entries", () => fs.rmSync(at(ENTRIES), { recursive: true }), undefined],
    [
      "an entry becomes a FIFO",
      `${ENTRIES}/a.conf`,
      () => instead(`${ENTRIES}/a.conf`, fifo),
      [`${ENTRIES}/a.conf is a FIFO`],
    ],
    [
      "the folder becomes a link",
      "entries",
      () => instead(ENTRIES, linkTo("/etc")),
      [`${ENTRIES} was not looked at: entries is a symbolic link`],
    ],
  ])("meanwhile: %s", (_what, when, change, expected) => {
    fs.writeFileSync(at(`${ENTRIES}/a.conf`), named);
    let done = false;
    const beforeLook = (name: string): void => {
      if (name !== when || done) return;
      done = true;
      change();
    };
    expect(problems(beforeLook)).toEqual(expected);
    expect(done).toBe(true);
  });
});
