/** Building packages: what `bootshare build` says, and source packages made by hand that build in a second. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { virsh } from "./machine.ts";

/** One result of `bootshare build --json`. */
export interface BuildResult {
  readonly package: string;
  readonly result: string;
  readonly stage: string | null;
  readonly files: string[];
  readonly log: string | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}

/** Guests of builds that are there still. */
export async function buildsLeft(): Promise<string[]> {
  return (await virsh("list", "--all", "--name")).split("\n").filter((name) => name.startsWith("build-"));
}

/**
 * Makes `NAME_1.0.dsc` and what belongs to it.
 *
 * @param build what its build does, a line of shell
 * @returns the path of the .dsc; the unpacked tree stays beside it, named NAME
 */
export function makeSource(folder: string, name: string, build: string): string {
  const tree = join(folder, name);
  mkdirSync(join(tree, "debian/source"), { recursive: true });
  const put = (file: string, text: string): void => writeFileSync(join(tree, "debian", file), text);
  put("source/format", "3.0 (native)\n");
  put(
    "changelog",
    `${name} (1.0) unstable; urgency=medium\n\n  * A test.\n\n -- Nobody <nobody@example.org>  Mon, 01 Jan 2024 00:00:00 +0000\n`,
  );
  put(
    "control",
    `Source: ${name}\nSection: misc\nPriority: optional\nMaintainer: Nobody <nobody@example.org>\nStandards-Version: 4.6.2\nRules-Requires-Root: no\n\nPackage: ${name}\nArchitecture: all\nDescription: a test\n It is a test.\n`,
  );
  put(
    "rules",
    [
      "#!/usr/bin/make -f",
      "build build-arch build-indep:",
      `\t${build}`,
      "clean:",
      "\trm -rf debian/tmp debian/files",
      "binary-arch:",
      "binary binary-indep: build",
      `\tmkdir -p debian/tmp/DEBIAN debian/tmp/usr/share/doc/${name}`,
      `\tcp debian/changelog debian/tmp/usr/share/doc/${name}/`,
      "\tdpkg-gencontrol",
      "\tdpkg-deb --root-owner-group --build debian/tmp ..",
      "",
    ].join("\n"),
  );
  chmodSync(join(tree, "debian/rules"), 0o755);
  execFileSync("dpkg-source", ["-b", name], { cwd: folder, stdio: "pipe" });
  return join(folder, `${name}_1.0.dsc`);
}
