/**
 * Fetching a source package by its name: this host's apt, with lists and configuration of its own, so that it works whatever the
 * host's sources are, and knows Debian's keys alone. apt verifies the chain from the signed Release file to each file.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { EXIT, UserError } from "../errors.ts";
import { run } from "../process.ts";
import { fetchFailed, privateApt } from "../provision/private-apt.ts";
import { aptSources, type Mirrors } from "../provision/sources.ts";
import type { Suite } from "../provision/suites.ts";

export interface FetchOptions {
  readonly name: string;
  readonly version: string | undefined;
  readonly suite: Suite;
  readonly mirrors: Mirrors;
  /** The proxy of the host's own apt. */
  readonly proxy: string | undefined;
  /** A folder for this alone, which is there, and empty. */
  readonly work: string;
}

/** deb-src lines: the guest's sources, for source packages. */
export function sourceSources(suite: Suite, mirrors: Mirrors): string {
  return aptSources(suite, mirrors).replaceAll(/^Types: deb$/gm, "Types: deb-src");
}

/**
 * Downloads the files of a source package.
 *
 * @returns the path of its .dsc, the other files beside it
 * @throws {UserError} `SOURCE_NOT_FOUND`, `FETCH_FAILED`
 */
export async function fetchSource(options: FetchOptions, signal: AbortSignal): Promise<string> {
  const { name, version, suite, mirrors, proxy, work } = options;
  const { env, download } = await privateApt(work, sourceSources(suite, mirrors), proxy, signal);

  const update = await run("apt-get", ["-q", "update", "--error-on=any"], { env, signal });
  signal.throwIfAborted();
  if (update.exitCode !== 0) {
    throw fetchFailed(
      `The list of source packages of Debian ${suite.name} could not be fetched.`,
      update.stderr,
    );
  }
  const what = version === undefined ? name : `${name}=${version}`;
  const args = ["-q", "source", "--download-only", "--only-source", "--", what];
  const fetched = await run("apt-get", args, { env, cwd: download, signal });
  signal.throwIfAborted();
  if (
    /^E: (Unable to find a source package|Can not find version|Ignore unavailable version)/m.test(
      fetched.stderr,
    )
  ) {
    throw new UserError("SOURCE_NOT_FOUND", `Debian ${suite.name} has no source package ${what}.`, {
      exitCode: EXIT.notFound,
      hint: "It is the name of the source that counts, not that of a binary package; for another release take --suite.",
    });
  }
  if (fetched.exitCode !== 0)
    throw fetchFailed(`The source package ${what} could not be fetched.`, fetched.stderr);
  const [dsc, ...others] = (await readdir(download)).filter((file) => file.endsWith(".dsc"));
  if (dsc === undefined || others.length > 0) throw new Error(`not one .dsc in ${download}`);
  return join(download, dsc);
}
