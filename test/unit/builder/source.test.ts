import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { builderName, buildTarget } from "../../../src/builder/base.ts";
import { tarArguments } from "../../../src/builder/build.ts";
import { sourceSources } from "../../../src/builder/fetch.ts";
import { exitCodeOf, runJobs, verdictOf } from "../../../src/builder/jobs.ts";
import { LineCutter, logLine } from "../../../src/builder/log.ts";
import { sbuildArguments } from "../../../src/builder/sbuild.ts";
import { readDsc, readRequest, readTree } from "../../../src/builder/source.ts";
import { EXIT, UserError } from "../../../src/errors.ts";
import { runOk } from "../../../src/process.ts";
import { buildChrootCommand } from "../../../src/provision/build-chroot.ts";
import { aptConfiguration } from "../../../src/provision/private-apt.ts";
import { findSuite } from "../../../src/provision/suites.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "bootshare-source-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});
const put = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

describe("readRequest", () => {
  it("takes names, and paths as apt does", () => {
    mkdirSync(join(folder, "tree"));
    const dsc = put("a_1.dsc", "");
    expect(readRequest("hello")).toEqual({ kind: "name", name: "hello", version: undefined });
    expect(readRequest("hello=1:2.10-5")).toEqual({ kind: "name", name: "hello", version: "1:2.10-5" });
    expect(readRequest(dsc)).toEqual({ kind: "dsc", file: dsc });
    expect(readRequest(`${folder}/tree`)).toEqual({ kind: "tree", folder: join(folder, "tree") });
  });

  it.each([
    ["-o", "SOURCE_INVALID", 2],
    ["Hello", "SOURCE_INVALID", 2],
    ["hello=1=2", "SOURCE_INVALID", 2],
    ["hello=../x", "SOURCE_NOT_FOUND", 3],
    ["./nowhere", "SOURCE_NOT_FOUND", 3],
    ["nowhere.dsc", "SOURCE_NOT_FOUND", 3],
    ["/etc/passwd", "SOURCE_INVALID", 2],
  ])("refuses %s", (argument, code, exitCode) => {
    expect(() => readRequest(argument)).toThrow(expect.objectContaining({ code, exitCode }));
  });
});

describe("readDsc", () => {
  const dscOf = (text: string): string =>
    `Source: aa\nVersion: 1-1\nChecksums-Sha256:\n ${sha256(text)} ${text.length} a_1.orig.tar.gz\n`;

  it("takes a .dsc whose files are what it names", async () => {
    put("a_1.orig.tar.gz", "bytes");
    const dsc = put("a_1-1.dsc", dscOf("bytes"));
    expect(await readDsc(dsc)).toMatchObject({
      name: "aa",
      version: "1-1",
      dsc: "a_1-1.dsc",
      files: [dsc, join(folder, "a_1.orig.tar.gz")],
    });
  });

  it.each([
    ["a file that is not there", undefined, dscOf("bytes"), "SOURCE_FILE_MISSING"],
    ["other bytes", "bytez", dscOf("bytes"), "SOURCE_FILE_DIFFERS"],
    ["another size", "byte", dscOf("bytes"), "SOURCE_FILE_DIFFERS"],
    ["no checksums", "bytes", "Source: aa\nVersion: 1-1\n", "CONTROL_INVALID"],
    ["no control file", "bytes", "nonsense", "CONTROL_INVALID"],
    ["a version that is none", "bytes", dscOf("bytes").replace("1-1", "../1"), "CONTROL_INVALID"],
  ])("refuses %s", async (_what, bytes, text, code) => {
    if (bytes !== undefined) put("a_1.orig.tar.gz", bytes);
    await expect(readDsc(put("a_1-1.dsc", text))).rejects.toThrow(expect.objectContaining({ code }));
  });
});

describe("readTree", () => {
  it("finds the upstream tarballs beside it, and packs both for the guest", async () => {
    const tree = join(folder, "hello");
    mkdirSync(join(tree, "debian"), { recursive: true });
    writeFileSync(join(tree, "debian/changelog"), "hello (1:2.10-5) unstable; urgency=low\n");
    writeFileSync(join(tree, "..odd"), "");
    for (const name of [
      "hello_2.10.orig.tar.gz",
      "hello_2.10.orig-extra.tar.xz",
      "hello_2.10.orig.tar.gz.asc",
    ])
      put(name, name);
    for (const name of ["hello_2.9.orig.tar.gz", "hello_2.10-5.debian.tar.xz", "hello_2.10.orig.tar.gz~"])
      put(name, "");
    const source = await readTree(tree);
    expect(source.files.map((file) => file.slice(folder.length + 1))).toEqual([
      "hello_2.10.orig-extra.tar.xz",
      "hello_2.10.orig.tar.gz",
      "hello_2.10.orig.tar.gz.asc",
    ]);
    const archive = join(folder, "out.tar");
    await runOk("tar", tarArguments(source, archive));
    const listed = (await runOk("tar", ["-tf", archive])).trim().split("\n").sort();
    expect(listed).toEqual(
      [
        "tree/",
        "tree/..odd",
        "tree/debian/",
        "tree/debian/changelog",
        "hello_2.10.orig-extra.tar.xz",
        "hello_2.10.orig.tar.gz",
        "hello_2.10.orig.tar.gz.asc",
      ].sort(),
    );
  });

  it("refuses a folder that is no source", async () => {
    await expect(readTree(folder)).rejects.toThrow(/it has no debian\/changelog\./);
    mkdirSync(join(folder, "debian"));
    put("debian/changelog", "nonsense");
    await expect(readTree(folder)).rejects.toThrow(/does not begin with a name and a version\./);
  });
});

describe("what the tools are told", () => {
  it("sbuild: everything of a clean, thrown-away guest", () => {
    const options = {
      suite: "trixie",
      arch: "armhf",
      binaries: "all",
      cpus: 2,
      update: false,
      proxy: undefined,
    } as const;
    expect(sbuildArguments(options)).toMatchInlineSnapshot(`
      [
        "--chroot-mode=unshare",
        "--chroot=/var/lib/bootshare/build-chroot/trixie-armhf.tar",
        "--dist=trixie",
        "--arch=armhf",
        "--jobs=2",
        "--arch-all",
        "--arch-any",
        "--no-apt-update",
        "--no-apt-upgrade",
        "--no-apt-distupgrade",
        "--purge-build=never",
        "--purge-deps=never",
        "--purge-session=never",
        "--verbose",
        "--nolog",
        "--no-run-lintian",
        "--no-run-piuparts",
        "--no-run-autopkgtest",
        "--bd-uninstallable-explainer=apt",
      ]
    `);
    expect(sbuildArguments({ ...options, binaries: "only-any" })).toContain("--no-arch-all");
    expect(sbuildArguments({ ...options, binaries: "only-all" })).toContain("--no-arch-any");
    expect(sbuildArguments({ ...options, update: true })).toEqual(
      expect.arrayContaining(["--apt-update", "--apt-distupgrade"]),
    );
    expect(sbuildArguments({ ...options, proxy: "http://10.0.2.2:4711" })).toContain(
      `--chroot-setup-commands=echo 'Acquire::http::Proxy "http://10.0.2.2:4711";' >/etc/apt/apt.conf.d/90bootshare-cache`,
    );
  });

  it("mmdebstrap: a chroot for building", () => {
    const { args } = buildChrootCommand({
      suite: findSuite("trixie"),
      arch: "armhf",
      sourcesFile: "/w/debian.sources",
      securityMirror: undefined,
      temporary: "/w/tmp",
      tarball: "/w/root/chroot.tar",
    });
    expect(args).toContain("--variant=buildd");
    expect(args).toContain("--architectures=armhf");
    expect(args.slice(-3)).toEqual(["trixie", "/w/root/chroot.tar", "/w/debian.sources"]);
  });

  it("apt: sources of source packages, by Debian's keys, and nothing of the host's configuration", () => {
    const mirrors = { archive: "http://mirror.example.org/debian", security: undefined, updates: true };
    expect(sourceSources(findSuite("trixie"), mirrors)).toMatchInlineSnapshot(`
      "Types: deb-src
      URIs: http://mirror.example.org/debian
      Suites: trixie trixie-updates
      Components: main
      Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
      "
    `);
    expect(aptConfiguration("/w", "http://proxy.example.org:3128")).toMatchInlineSnapshot(`
      "Dir "/w";
      Dir::Etc "/w/etc";
      Dir::State "/w/state";
      Dir::State::status "/w/status";
      Dir::Cache "/w/cache";
      Dir::Bin::methods "/usr/lib/apt/methods";
      Acquire::Languages "none";
      Acquire::AllowInsecureRepositories "false";
      APT::Get::AllowUnauthenticated "false";
      Acquire::http::Proxy "http://proxy.example.org:3128";
      "
    `);
  });
});

describe("logs", () => {
  it.each([
    ["cc\t-o a \\", "cc        -o a \\"],
    ["\u001b[31mred\u001b[0m", "\\x1b[31mred\\x1b[0m"],
    ["10%\r50%\r100%\r", "100%"],
    ["caf\u00e9 \u202e", "caf\u00e9 \\u202e"],
  ])("%j is shown as %j", (line, shown) => {
    expect(logLine(line)).toBe(shown);
  });

  it("cuts lines, whatever pieces they come in, and long ones into pieces", () => {
    const cutter = new LineCutter();
    expect(cutter.push("a\nb")).toEqual(["a"]);
    expect(cutter.push("c\n\n")).toEqual(["bc", ""]);
    const lines = cutter.push("x".repeat(40_000));
    expect(lines.map((line) => line.length)).toEqual([16384, 16384]);
    expect(cutter.end().map((line) => line.length)).toEqual([40_000 - 2 * 16384]);
    expect(cutter.end()).toEqual([]);
  });
});

describe("several packages", () => {
  it("run so many at a time, and keep their order", async () => {
    let now = 0;
    let most = 0;
    const results = await runJobs([30, 10, 20, 5], 2, new AbortController().signal, async (ms) => {
      now++;
      most = Math.max(most, now);
      await new Promise((resolve) => setTimeout(resolve, ms));
      now--;
      return ms;
    });
    expect(results).toEqual([30, 10, 20, 5]);
    expect(most).toBe(2);
  });

  it("end with the code of the worst", () => {
    const built = { verdict: "built", exitCode: 0 } as const;
    const failed = { verdict: "failed", exitCode: EXIT.buildFailed } as const;
    const timeout = { verdict: "timeout", exitCode: EXIT.timeout } as const;
    const lost = { verdict: "guest lost", exitCode: EXIT.builderFailed } as const;
    const error = { verdict: "error", exitCode: EXIT.notFound } as const;
    expect(exitCodeOf([built, built])).toBe(0);
    expect(exitCodeOf([built, failed])).toBe(7);
    expect(exitCodeOf([failed, timeout, built])).toBe(6);
    expect(exitCodeOf([timeout, lost])).toBe(8);
    expect(exitCodeOf([lost, error])).toBe(3);
  });

  it("tells what an error says of a build", () => {
    expect(verdictOf(new UserError("BUILD_TIMEOUT", "x", { exitCode: EXIT.timeout }))).toBe("timeout");
    expect(verdictOf(new UserError("GUEST_LOST", "x", { exitCode: EXIT.builderFailed }))).toBe("guest lost");
    expect(verdictOf(new UserError("FETCH_FAILED", "x"))).toBe("error");
    expect(() => verdictOf(new TypeError("a bug"))).toThrow("a bug");
  });
});

describe("builders", () => {
  it("have a name for each suite and architecture", () => {
    expect(builderName(buildTarget({ suite: "trixie", arch: "armhf" }))).toBe("builder-trixie-armhf");
  });
  it.each([
    ["woody", "amd64", "SUITE_UNKNOWN"],
    ["bookworm", "riscv64", "ARCH_UNKNOWN"],
    ["trixie", "mips", "ARCH_UNKNOWN"],
  ])("are not made for %s on %s", (suite, arch, code) => {
    expect(() => buildTarget({ suite, arch })).toThrow(expect.objectContaining({ code }));
  });
});
