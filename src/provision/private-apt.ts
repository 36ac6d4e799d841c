/** An apt with lists and configuration of its own, so that it works whatever the host's sources are, and knows Debian's keys alone. */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import { workMode } from "../mode.ts";
import { run } from "../process.ts";
import { lastLines } from "../text.ts";

/**
 * The configuration, in apt.conf(5)'s form: nothing of the host's is read (`Dir::Etc` and all below it is elsewhere), and nothing
 * unsigned is taken.
 */
export function aptConfiguration(work: string, proxy: string | undefined): string {
  return [
    `Dir "${work}";`,
    `Dir::Etc "${work}/etc";`,
    `Dir::State "${work}/state";`,
    `Dir::State::status "${work}/status";`,
    `Dir::Cache "${work}/cache";`,
    `Dir::Bin::methods "/usr/lib/apt/methods";`,
    'Acquire::Languages "none";',
    'Acquire::AllowInsecureRepositories "false";',
    'APT::Get::AllowUnauthenticated "false";',
    ...(proxy === undefined ? [] : [`Acquire::http::Proxy "${proxy}";`]),
    "",
  ].join("\n");
}

/** What apt said when it could not fetch something. @param sentence what that was @param output of apt's */
export function fetchFailed(sentence: string, output: string): UserError {
  const lines = output.split("\n").filter((line) => line.startsWith("E:"));
  return new UserError("FETCH_FAILED", sentence, {
    detail: lastLines(lines.join("\n") || output),
    hint: "Look at this machine's network, try again later, or name another mirror: --mirror",
  });
}

export interface PrivateApt {
  /** For the environment of apt's programs. */
  readonly env: Readonly<Record<string, string>>;
  /** The folder to download in: apt's own user may write there. */
  readonly download: string;
}

/**
 * Makes one.
 *
 * @param work a folder for this alone, which is there, and empty
 * @param sources in the deb822 form of sources.list(5)
 * @param proxy that of the host's own apt
 */
export async function privateApt(
  work: string,
  sources: string,
  proxy: string | undefined,
  signal: AbortSignal,
): Promise<PrivateApt> {
  const lists = join(work, "etc/sources.list.d");
  const download = join(work, "download");
  for (const folder of [
    lists,
    join(work, "etc/apt.conf.d"),
    join(work, "etc/preferences.d"),
    join(work, "state/lists/partial"),
    join(work, "cache/archives/partial"),
    download,
  ]) {
    await mkdir(folder, { recursive: true, mode: 0o755 });
  }
  const configuration = join(work, "apt.conf");
  await writeFile(configuration, aptConfiguration(work, proxy));
  await writeFile(join(work, "status"), "");
  await writeFile(join(lists, "debian.sources"), sources);
  // Root's apt downloads as this user, who needs a way to it, and a place.
  await chmod(work, 0o711);
  if (workMode().name === "system") await run("chown", ["_apt", download], { signal });
  return { env: { APT_CONFIG: configuration }, download };
}
