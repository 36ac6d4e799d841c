/** The OBS backend of test/obs/backend, as tests use it: projects, packages to build, what comes of them. */
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import { attribute, childrenOf, parseXml } from "../../src/libvirt/domain-parse.ts";

const SCRIPT = resolve("test/obs/backend");
const CACHE = process.env["BOOTSHARE_OBS_CACHE"] ?? "/var/cache/bootshare-obs";
const STATE = process.env["BOOTSHARE_OBS_STATE"] ?? "/var/tmp/bootshare-obs";

/** For `bootshare create`. */
export const REPO_SERVER = "127.0.0.1:5252";
export const SRC_SERVER = "127.0.0.1:5352";

/** Architectures that the backend has a scheduler for: Debian's name, and OBS's of the repository. */
export const OBS_NAMES = { amd64: "x86_64", armhf: "armv7l" } as const;
export type BackendArch = keyof typeof OBS_NAMES;

const REPOSITORY = "debian";

async function script(...args: string[]): Promise<string> {
  const { exitCode, all } = await execa(SCRIPT, args, { reject: false, all: true, stdin: "ignore" });
  if (exitCode === 0) return all;
  throw new Error(`test/obs/backend ${args.join(" ")}: exit code ${exitCode}\n${all}`);
}

/** Starts a backend with nothing in it. @param arches that something is to be built for */
export async function startBackend(...arches: BackendArch[]): Promise<void> {
  await script("prepare", ...arches);
  await script("clean");
  await script("start");
}

export async function removeBackend(): Promise<void> {
  await script("clean");
}

/** A request to the source server. */
async function ask(method: string, path: string, body?: string | Buffer): Promise<string> {
  const answer = await fetch(`http://${SRC_SERVER}${path}`, {
    method,
    ...(body === undefined ? {} : { body }),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status}\n${text}`);
  return text;
}

/** A project with one repository, and with the packages to build with in it. */
export async function makeProject(project: string, ...arches: BackendArch[]): Promise<void> {
  const names = arches.map((arch) => `<arch>${OBS_NAMES[arch]}</arch>`).join("");
  await ask(
    "PUT",
    `/source/${project}/_meta`,
    `<project name="${project}"><title/><description/><repository name="${REPOSITORY}">${names}</repository></project>`,
  );
  await ask("PUT", `/source/${project}/_config`, PROJECT_CONFIG);
  for (const arch of arches) await putBinaries(project, arch);
}

/** The build root is one package (test/obs/backend), which is unpacked first and then installed. */
const PROJECT_CONFIG = [
  "Repotype: debian",
  "Type: dsc",
  "Binarytype: deb",
  "Preinstall: dpkg",
  "Required: dpkg",
  // It has no build-essential.
  "Substitute: dsc:build_cmd dpkg-buildpackage -us -uc -b -d",
  "",
].join("\n");

function debsOf(arch: BackendArch): string[] {
  return readdirSync(join(CACHE, "debs", arch)).filter((file) => file.endsWith(".deb"));
}

/** Puts packages where the scheduler looks for what is there already. */
async function putBinaries(project: string, arch: BackendArch): Promise<void> {
  const from = join(CACHE, "debs", arch);
  const obsrun = statSync(join(STATE, "srv/obs"));
  const folders = [project, REPOSITORY, OBS_NAMES[arch], ":full"];
  let folder = join(STATE, "srv/obs/build");
  for (const name of ["", ...folders]) {
    folder = join(folder, name);
    mkdirSync(folder, { recursive: true });
    await execa("chown", [`${obsrun.uid}:${obsrun.gid}`, folder]);
  }
  for (const file of debsOf(arch)) {
    const target = join(folder, `${file.split("_")[0]}.deb`);
    copyFileSync(join(from, file), target);
    chmodSync(target, 0o644);
  }
  await execa("chown", ["-R", `${obsrun.uid}:${obsrun.gid}`, folder]);
  await script("rescan", project, REPOSITORY, OBS_NAMES[arch]);
}

export interface PackageOptions {
  /** How long its build is to take, beside all that a build takes; 0 by default. */
  readonly seconds?: number;
  /** What its build is to end with; 0 by default. */
  readonly exitCode?: number;
}

/** A source package of one small package for all architectures, which the servers then have built. */
export async function putPackage(project: string, name: string, options: PackageOptions = {}): Promise<void> {
  await ask(
    "PUT",
    `/source/${project}/${name}/_meta`,
    `<package name="${name}" project="${project}"><title/><description/></package>`,
  );
  const folder = mkdtempSync(join(tmpdir(), "bootshare-obs-"));
  try {
    for (const file of await makeSource(folder, name, options)) {
      await ask("PUT", `/source/${project}/${name}/${file}?user=test`, readFileSync(join(folder, file)));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  // Until its files are all there the scheduler calls it broken, or excluded: nobody is to take that for what came of it.
  const end = Date.now() + ACCEPTED_MS;
  for (;;) {
    const results = Object.entries(await resultsOf(project)).filter(([key]) => key.startsWith(`${name} `));
    if (results.length > 0 && !results.some(([, code]) => ["broken", "excluded"].includes(code))) return;
    if (Date.now() > end) throw new Error(`not scheduled: ${JSON.stringify(results)}`);
    await sleep(500);
  }
}

/** How long the servers may take to see the files of a package. */
const ACCEPTED_MS = 60_000;

const VERSION = "1.0";

/** @returns the names of the files of a source package of format 3.0 (native), the .dsc last */
async function makeSource(folder: string, name: string, options: PackageOptions): Promise<string[]> {
  const { seconds = 0, exitCode = 0 } = options;
  const files: Readonly<Record<string, string>> = {
    control: `Source: ${name}
Section: misc
Priority: optional
Maintainer: Nobody <nobody@example.org>
Standards-Version: 4.6.2
Rules-Requires-Root: no

Package: ${name}
Architecture: all
Description: built by a worker in a guest
 of the tests.
`,
    changelog: `${name} (${VERSION}) unstable; urgency=low

  * Made for a test.

 -- Nobody <nobody@example.org>  Mon, 01 Jan 2024 00:00:00 +0000
`,
    rules: `#!/usr/bin/make -f
build build-arch build-indep:
\tuname -r
\tfor i in $$(seq ${seconds}); do sleep 1; echo second $$i; done
\texit ${exitCode}
clean:
\trm -rf debian/tmp
binary-arch:
binary binary-indep: build
\tmkdir -p debian/tmp/DEBIAN debian/tmp/usr/share/doc/${name}
\tuname -a >debian/tmp/usr/share/doc/${name}/built-on
\tdpkg-gencontrol
\tdpkg-deb --root-owner-group --build debian/tmp ..
.PHONY: build build-arch build-indep clean binary binary-arch binary-indep
`,
    "source/format": "3.0 (native)\n",
  };
  const tree = join(folder, `${name}-${VERSION}`);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(tree, "debian", path, ".."), { recursive: true });
    writeFileSync(join(tree, "debian", path), text);
  }
  chmodSync(join(tree, "debian/rules"), 0o755);
  const archive = `${name}_${VERSION}.tar.xz`;
  await execa("tar", ["--owner=root:0", "--group=root:0", "-cJf", archive, `${name}-${VERSION}`], {
    cwd: folder,
  });
  const bytes = readFileSync(join(folder, archive));
  const sum = (kind: string): string => createHash(kind).update(bytes).digest("hex");
  const dsc = `${name}_${VERSION}.dsc`;
  writeFileSync(
    join(folder, dsc),
    `Format: 3.0 (native)
Source: ${name}
Binary: ${name}
Architecture: all
Version: ${VERSION}
Maintainer: Nobody <nobody@example.org>
Standards-Version: 4.6.2
Package-List:
 ${name} deb misc optional arch=all
Checksums-Sha1:
 ${sum("sha1")} ${bytes.length} ${archive}
Checksums-Sha256:
 ${sum("sha256")} ${bytes.length} ${archive}
Files:
 ${sum("md5")} ${bytes.length} ${archive}
`,
  );
  return [archive, dsc];
}

/** How the builds of a project stand: by `PACKAGE ARCH` (OBS's name), OBS's word: `scheduled`, `building`, `succeeded`, … */
export async function resultsOf(project: string): Promise<Record<string, string>> {
  const root = parseXml(await ask("GET", `/build/${project}/_result`)).documentElement ?? undefined;
  const results: Record<string, string> = {};
  for (const result of childrenOf(root, "result")) {
    for (const status of childrenOf(result, "status")) {
      results[`${attribute(status, "package")} ${attribute(result, "arch")}`] =
        attribute(status, "code") ?? "?";
    }
  }
  return results;
}

/** The log of a package's build, as far as it is. */
export async function buildLog(project: string, name: string, arch: BackendArch): Promise<string> {
  return await ask("GET", `/build/${project}/${REPOSITORY}/${OBS_NAMES[arch]}/${name}/_log?nostream=1`);
}

/** Which worker built a package, once for each build, the last one last. */
export async function buildersOf(project: string, arch: BackendArch, name: string): Promise<string[]> {
  const path = `/build/${project}/${REPOSITORY}/${OBS_NAMES[arch]}/_jobhistory?package=${name}`;
  const root = parseXml(await ask("GET", path)).documentElement ?? undefined;
  return childrenOf(root, "jobhist").map((job) => attribute(job, "workerid") ?? "?");
}

/** Names of the packages (.deb) that are published of a project. */
export function publishedDebs(project: string): string[] {
  const folder = join(STATE, "srv/obs/repos", project.replaceAll(":", ":/"), REPOSITORY);
  try {
    return readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".deb"))
      .map((name) => name.split("/").at(-1) ?? name)
      .sort();
  } catch {
    return [];
  }
}

/** Waits until every build of a project has come to this end, and returns how they stand when it failed otherwise. */
export async function untilResults(
  project: string,
  wanted: Readonly<Record<string, string>>,
  seconds: number,
): Promise<void> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const results = await resultsOf(project);
    const open = Object.entries(wanted).filter(([key, code]) => results[key] !== code);
    if (open.length === 0) return;
    const ended = open.find(([key]) => FINAL.has(results[key] ?? ""));
    if (ended !== undefined) throw new Error(`${ended[0]} is ${results[ended[0]]}, not ${ended[1]}`);
    if (Date.now() > end) throw new Error(`not within ${seconds} s: ${JSON.stringify(results)}`);
    await sleep(5000);
  }
}

/** OBS's words for what does not change by itself. */
const FINAL: ReadonlySet<string> = new Set(["succeeded", "failed", "unresolvable", "broken", "excluded"]);
