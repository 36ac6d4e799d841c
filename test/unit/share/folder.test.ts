import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { catalogue } from "../../../src/kernel/catalogue.ts";
import { KERNEL_HEAD_BYTES, MAX_CONFIGS, MAX_HEADS } from "../../../src/kernel/limits.ts";
import { openBootFile, readBootFolder } from "../../../src/share/folder.ts";
import { configText, debianConfig } from "../kernel/debian-configs.ts";
import { bzImage, s390, zstdInitrd } from "../kernel/images.ts";

const REL = "6.12.48+deb13-amd64";
const root = process.geteuid?.() === 0;
let dir = "";
let share = "";
const at = (name: string): string => join(share, name);
const entry = (name: string) => readBootFolder(share).find((one) => one.name === name);

beforeEach(() => {
  dir = fs.mkdtempSync(join(tmpdir(), "bootshare-"));
  share = join(dir, "share");
  fs.mkdirSync(share);
});
afterEach(() => fs.rmSync(dir, { recursive: true }));

/** Open descriptors of this process, but for the one that lists them. */
const openFiles = (): number => fs.readdirSync("/proc/self/fd").length;

function goodPair(release = REL): void {
  fs.writeFileSync(at(`vmlinuz-${release}`), bzImage({ release }));
  fs.writeFileSync(at(`initrd.img-${release}`), zstdInitrd());
}

describe("readBootFolder on a good share", () => {
  it("gives what the catalogue needs, with real links", () => {
    goodPair();
    fs.symlinkSync(`vmlinuz-${REL}`, at("vmlinuz"));
    fs.symlinkSync(`initrd.img-${REL}`, at("initrd.img"));
    const found = catalogue(readBootFolder(share), "amd64");
    expect(found.linked).toMatchObject({
      release: REL,
      complete: true,
      kernelSize: bzImage().length,
      initrdSize: 1024,
    });
  });

  it("gives the same with the plain files of 9p's mapped mode", () => {
    goodPair();
    fs.writeFileSync(at("vmlinuz"), `vmlinuz-${REL}`);
    fs.writeFileSync(at("initrd.img"), `initrd.img-${REL}`);
    expect(catalogue(readBootFolder(share), "amd64").linked).toMatchObject({ release: REL, complete: true });
  });

  it("reads the heads of files that only the links name", () => {
    fs.writeFileSync(at("mykernel"), bzImage());
    fs.writeFileSync(at("myinitrd"), zstdInitrd());
    fs.symlinkSync("mykernel", at("vmlinuz"));
    fs.symlinkSync("myinitrd", at("initrd.img"));
    expect(catalogue(readBootFolder(share), "amd64").linked).toMatchObject({
      kernel: "mykernel",
      complete: true,
    });
  });

  it("reads as much of a kernel as s390x's mark needs, and little of an initrd", () => {
    fs.writeFileSync(at("vmlinuz-1"), Buffer.concat([s390(), Buffer.alloc(100_000)]));
    fs.writeFileSync(at("initrd.img-1"), zstdInitrd(100_000));
    fs.writeFileSync(at("config-1"), "CONFIG_X=y");
    expect(entry("vmlinuz-1")?.head?.length).toBe(KERNEL_HEAD_BYTES);
    expect(entry("initrd.img-1")?.head?.length).toBe(512);
    expect(entry("config-1")?.head?.toString()).toBe("CONFIG_X=y");
    expect(catalogue(readBootFolder(share), "s390x").kernels[0]?.complete).toBe(true);
  });

  it("leaves no descriptor open", () => {
    goodPair();
    fs.symlinkSync("x", at("vmlinuz"));
    fs.mkdirSync(at("grub"));
    const before = openFiles();
    readBootFolder(share);
    expect(openFiles()).toBe(before);
  });
});

describe("readBootFolder: the configurations of kernels", () => {
  const name = `config-${REL}`;
  const text = configText("6.12.107+deb13-amd64");
  const pairs = () => catalogue(readBootFolder(share), "amd64").kernels;

  it("reads the one that lies beside a kernel, and no other", () => {
    goodPair();
    fs.writeFileSync(at(name), text);
    fs.writeFileSync(at("config-other"), text);
    expect(pairs()[0]).toMatchObject({ complete: true, config: debianConfig("6.12.107+deb13-amd64") });
    expect(entry("config-other")).not.toHaveProperty("head");
  });

  it("finds none, which is no fault", () => {
    goodPair();
    const [pair] = pairs();
    expect(pair?.complete).toBe(true);
    expect(pair).not.toHaveProperty("config");
    expect(pair).not.toHaveProperty("configProblem");
  });

  const secret = "/proc/self/environ";
  it.each<[string, () => void, string]>([
    ["a FIFO", () => execFileSync("mkfifo", [at(name)]), "is a FIFO"],
    ["a link", () => fs.symlinkSync(secret, at(name)), "is a link, not a file"],
    ["a folder", () => fs.mkdirSync(at(name)), "is a folder"],
    ["an empty file", () => fs.writeFileSync(at(name), ""), "is empty"],
    [
      "half a file",
      () => fs.writeFileSync(at(name), "CONFIG_PCI=y\nCONF"),
      "is cut short: its last line does not end",
    ],
    ["bytes", () => fs.writeFileSync(at(name), Buffer.from([0, 255, 27, 10])), "sets no option"],
    [
      "a sparse file of 1 TiB",
      () => {
        fs.writeFileSync(at(name), text);
        fs.truncateSync(at(name), 2 ** 40);
      },
      "is larger than 4 MiB",
    ],
  ])("does without %s, and says so; the kernel boots", (_what, put, problem) => {
    goodPair();
    put();
    const [pair] = pairs();
    expect(pair).toMatchObject({ complete: true, configProblem: `${name} ${problem}` });
    expect(pair).not.toHaveProperty("config");
  });

  it("does not follow a link that is put in its place between look and read", () => {
    goodPair();
    fs.writeFileSync(at(name), text);
    const seen: string[] = [];
    const swap = (one: string): void => {
      const after = seen.includes(name);
      seen.push(one);
      if (!after && one !== name) return;
      fs.rmSync(at(name), { force: true });
      if (after) fs.symlinkSync(secret, at(name));
      else fs.writeFileSync(at(name), text);
    };
    // Files are read after all were looked at. The order of names is the file system's: enough of them that some follow.
    for (let i = 0; i < 64; i++) fs.writeFileSync(at(`f${i}`), "");
    const [pair] = catalogue(readBootFolder(share, { beforeLook: swap }), "amd64").kernels;
    expect(seen.at(-1)).not.toBe(name);
    expect(pair).toMatchObject({
      complete: true,
      configProblem: `${name} changed while it was read: now it is a symbolic link`,
    });
  });

  it("reads so many only: of what the links name, then of the newest", () => {
    for (let i = 10; i < 30; i++) {
      goodPair(`${i}`);
      fs.writeFileSync(at(`config-${i}`), text);
    }
    fs.symlinkSync("vmlinuz-10", at("vmlinuz"));
    fs.symlinkSync("initrd.img-10", at("initrd.img"));
    const read = pairs().filter((pair) => pair.config !== undefined);
    expect(read.map((pair) => pair.release)).toEqual(["29", "28", "27", "26", "25", "24", "23", "10"]);
    expect(read).toHaveLength(MAX_CONFIGS);
    expect(pairs().find((pair) => pair.release === "11")?.configProblem).toBe("config-11 was not read");
  });
});

describe("readBootFolder on a hostile share", () => {
  it.each([
    ["-a -- passwd -tetc", 'begins with "-"'],
    ["/etc/passwd", "holds a slash"],
    ["../../../../../../etc/passwd", "holds a slash"],
    ["vmlinuz-1\n", "control character"],
    ["vmlinuz-1\0", "NUL"],
    ["$(reboot)", "which is not there"],
  ])("refuses the link text %j, on either transport", (text, problem) => {
    goodPair();
    fs.symlinkSync(`initrd.img-${REL}`, at("initrd.img"));
    fs.writeFileSync(at("vmlinuz"), text);
    expect(catalogue(readBootFolder(share), "amd64").linked).toEqual({
      problem: expect.stringContaining(problem),
    });
    if (text.includes("\0")) return;
    fs.rmSync(at("vmlinuz"));
    fs.symlinkSync(text, at("vmlinuz"));
    expect(catalogue(readBootFolder(share), "amd64").linked).toEqual({
      problem: expect.stringContaining(problem),
    });
  });

  it("does not read what a link leads to", () => {
    const secret = join(dir, "secret");
    fs.writeFileSync(secret, bzImage());
    fs.symlinkSync(secret, at(`vmlinuz-${REL}`));
    fs.symlinkSync("../secret", at("vmlinuz"));
    const found = entry(`vmlinuz-${REL}`);
    expect(found).toMatchObject({ kind: "link", target: secret });
    expect(found).not.toHaveProperty("head");
  });

  it("takes a link text of 1 MiB for a file, and one of 4096 bytes for a link that is refused", () => {
    fs.writeFileSync(at("vmlinuz"), Buffer.alloc(1024 * 1024, "a"));
    expect(entry("vmlinuz")).toMatchObject({ kind: "file", size: 1024 * 1024 });
    expect(catalogue(readBootFolder(share), "amd64").links.kernel?.problem).toBe(
      "vmlinuz is a file and not a link",
    );
    fs.writeFileSync(at("vmlinuz"), Buffer.alloc(4096, "a"));
    expect(entry("vmlinuz")).toMatchObject({ kind: "link" });
    expect(catalogue(readBootFolder(share), "amd64").links.kernel?.problem).toContain(
      "longer than 255 bytes",
    );
  });

  it("refuses link text that is not UTF-8", () => {
    fs.writeFileSync(at("vmlinuz"), Buffer.from([0x76, 0xff, 0xfe]));
    fs.symlinkSync(Buffer.from([0x76, 0xff]), at("initrd.img"));
    expect(entry("vmlinuz")).toMatchObject({ kind: "link", problem: "holds text that is not UTF-8" });
    expect(entry("initrd.img")).toMatchObject({ kind: "link", problem: "holds text that is not UTF-8" });
  });

  it("does not follow loops of links", () => {
    fs.symlinkSync("initrd.img", at("vmlinuz"));
    fs.symlinkSync("vmlinuz", at("initrd.img"));
    expect(catalogue(readBootFolder(share), "amd64").linked).toEqual({
      problem: "vmlinuz names initrd.img, which is a link itself",
    });
  });

  it("does not wait for a FIFO, with the name of a kernel or of a link", () => {
    for (const name of [`vmlinuz-${REL}`, "vmlinuz"]) execFileSync("mkfifo", [at(name)]);
    for (const name of [`vmlinuz-${REL}`, "vmlinuz"]) {
      expect(entry(name)).toMatchObject({ kind: "other", problem: "is a FIFO" });
    }
  });

  it.skipIf(!root)("does not open devices", () => {
    // A tape that is not there: open(2) would say ENXIO, so its absence shows that nothing was opened.
    execFileSync("mknod", [at(`vmlinuz-${REL}`), "c", "9", "0"]);
    execFileSync("mknod", [at("vmlinuz"), "b", "7", "250"]);
    expect(entry(`vmlinuz-${REL}`)).toMatchObject({ kind: "other", problem: "is a device" });
    expect(entry("vmlinuz")).toMatchObject({ kind: "other", problem: "is a device" });
  });

  it("tells folders and sockets", async () => {
    fs.mkdirSync(at(`initrd.img-${REL}`));
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(at("vmlinuz"), resolve));
    expect(entry(`initrd.img-${REL}`)).toMatchObject({ kind: "other", problem: "is a folder" });
    expect(entry("vmlinuz")).toMatchObject({ kind: "other", problem: "is a socket" });
    await new Promise((resolve) => server.close(resolve));
  });

  it("has names that are none as entries of no use", () => {
    fs.writeFileSync(at("vmlinuz-1\nvmlinuz-2"), bzImage());
    fs.writeFileSync(at("-rf"), "");
    fs.writeFileSync(Buffer.concat([Buffer.from(at("vmlinuz-")), Buffer.from([0xff, 0xfe])]), bzImage());
    const entries = readBootFolder(share);
    expect(entries.map((one) => one.kind)).toEqual(["other", "other", "other"]);
    expect(entries.map((one) => one.problem).sort()).toEqual([
      'has a name that begins with "-": "-rf"',
      'has a name that holds a control character: "vmlinuz-1\\nvmlinuz-2"',
      "has a name that is not UTF-8",
    ]);
    expect(catalogue(entries, "amd64").kernels).toEqual([]);
  });

  it("stops at a number of names", () => {
    for (let i = 0; i < 5000; i++) fs.writeFileSync(at(`f${i}`), "");
    const before = openFiles();
    expect(() => readBootFolder(share)).toThrow(expect.objectContaining({ code: "SHARE_TOO_MANY_ENTRIES" }));
    expect(openFiles()).toBe(before);
  });

  it("reads the first bytes of so many files only: those the links name, then the newest", () => {
    for (let i = 0; i < MAX_HEADS + 50; i++) fs.writeFileSync(at(`vmlinuz-${i}`), bzImage());
    fs.symlinkSync("vmlinuz-0", at("vmlinuz"));
    const read = readBootFolder(share).filter((one) => one.head !== undefined);
    expect(read).toHaveLength(MAX_HEADS);
    const numbers = read.map((one) => Number(one.name.slice("vmlinuz-".length))).sort((a, b) => a - b);
    expect(numbers.slice(0, 2)).toEqual([0, 51]);
  });

  it("takes a sparse file of 1 TiB by its size", () => {
    fs.writeFileSync(at(`vmlinuz-${REL}`), bzImage());
    fs.truncateSync(at(`vmlinuz-${REL}`), 2 ** 40);
    const [pair] = catalogue(readBootFolder(share), "amd64").kernels;
    expect(pair?.reasons).toContain(`vmlinuz-${REL} is larger than 128 MiB`);
  });
});

describe("readBootFolder on a share that changes meanwhile", () => {
  const name = `vmlinuz-${REL}`;
  const once = (change: () => void) => {
    let done = false;
    const beforeLook = (): void => {
      if (!done) change();
      done = true;
    };
    return readBootFolder(share, { beforeLook }).find((one) => one.name === name);
  };

  beforeEach(() => fs.writeFileSync(at(name), bzImage()));

  it("has a file that vanished as an entry with a problem", () => {
    expect(once(() => fs.rmSync(at(name)))).toMatchObject({
      kind: "other",
      problem: "vanished while it was read",
    });
  });

  it("has a file that became a FIFO as one", () => {
    const swap = (): void => {
      fs.rmSync(at(name));
      execFileSync("mkfifo", [at(name)]);
    };
    expect(once(swap)).toMatchObject({ kind: "other", problem: "is a FIFO" });
  });

  it("stays in the folder that it opened when the path leads elsewhere", () => {
    const swap = (): void => {
      fs.renameSync(share, join(dir, "moved"));
      fs.symlinkSync("/etc", share);
    };
    expect(once(swap)).toMatchObject({ kind: "file", size: bzImage().length });
    expect(() => readBootFolder(share)).toThrow(expect.objectContaining({ code: "SHARE_NOT_A_FOLDER" }));
  });

  it("has a file that became a FIFO between its look and its head as one", () => {
    // The second name is looked at after the first, and heads are read after all of the looks.
    fs.writeFileSync(at("config-1"), "");
    const seen: string[] = [];
    const beforeLook = (one: string): void => {
      if (seen.push(one) === 2 && seen[0] === name) {
        fs.rmSync(at(name));
        execFileSync("mkfifo", [at(name)]);
      }
    };
    const found = readBootFolder(share, { beforeLook }).find((one) => one.name === name);
    // The order of names is the file system's; either way the FIFO is seen for what it is, or the file was never changed.
    if (seen[0] === name) expect(found?.problem).toBe("changed while it was read: now it is a FIFO");
    else expect(found?.kind).toBe("file");
  });
});

describe("readBootFolder on no share", () => {
  it.each([
    ["nothing", () => fs.rmdirSync(share), "SHARE_MISSING"],
    [
      "a file",
      () => {
        fs.rmdirSync(share);
        fs.writeFileSync(share, "");
      },
      "SHARE_NOT_A_FOLDER",
    ],
    [
      "a link to a folder",
      () => {
        fs.rmdirSync(share);
        fs.symlinkSync("/etc", share);
      },
      "SHARE_NOT_A_FOLDER",
    ],
  ])("throws for %s", (_what, make, code) => {
    make();
    expect(() => readBootFolder(share)).toThrow(expect.objectContaining({ name: "UserError", code }));
    expect(() => openBootFile(share, "x")).toThrow(expect.objectContaining({ name: "UserError", code }));
  });
});

describe("openBootFile", () => {
  it("opens a regular file", () => {
    fs.writeFileSync(at("k"), "kernel");
    const { fd, size } = openBootFile(share, "k");
    expect(size).toBe(6);
    expect(fs.readFileSync(fd, "utf8")).toBe("kernel");
    fs.closeSync(fd);
  });

  it.each<[string, string, () => void, string]>([
    ["a name that is gone", "k", () => {}, "SHARE_GONE"],
    ["a symbolic link", "k", () => fs.symlinkSync("/etc/passwd", at("k")), "SHARE_NOT_REGULAR"],
    ["a FIFO", "k", () => execFileSync("mkfifo", [at("k")]), "SHARE_NOT_REGULAR"],
    ["a folder", "k", () => fs.mkdirSync(at("k")), "SHARE_NOT_REGULAR"],
    ["a file over the cap", "k", () => fs.writeFileSync(at("k"), "12345678901"), "SHARE_TOO_BIG"],
    ["a path", "../share/k", () => fs.writeFileSync(at("k"), "1"), "SHARE_BAD_NAME"],
    ["the folder itself", ".", () => {}, "SHARE_BAD_NAME"],
  ])("throws for %s and leaves nothing open", (_what, name, make, code) => {
    make();
    const before = openFiles();
    expect(() => openBootFile(share, name, 10)).toThrow(expect.objectContaining({ name: "UserError", code }));
    expect(openFiles()).toBe(before);
  });
});
