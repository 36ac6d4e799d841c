/**
 * Builders, drained: no build begins in a clone of one, and those that run are waited for. All of it is on this host, where the
 * builds are begun; nothing is asked of a guest.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { replaceFile } from "../boot/replace-file.ts";
import { syncFolder } from "../boot/sync.ts";
import { EXIT, errnoOf, UserError } from "../errors.ts";
import { heldFrom } from "../guest/abandoned.ts";
import type { Guest } from "../guest/inventory.ts";
import type { GuestPaths } from "../paths.ts";
import { printable } from "../text.ts";
import { type Drainer, drainerOf, takenBack, type WorkerKind } from "./worker-kind.ts";

/** What a builder's domain is for, in its metadata. */
export const BUILDER_ROLE = "builder";

/** How often the builds are counted, in milliseconds. */
const PAUSE_MS = 500;

export const BUILDER: WorkerKind = {
  async drain(guest, { by, timeoutMs, signal, say, told }) {
    const { paths, name, uuid } = guest;
    // Before the builds are counted: a build that counts as one later sees this (requireUndrained).
    const before = readDrained(paths);
    const whose = drainerOf(before?.by, by);
    if (before?.by !== whose) {
      const since = before?.since ?? new Date().toISOString();
      replaceFile(paths.drained, whose === "upgrade" ? `${since} upgrade\n` : `${since}\n`);
    }
    told?.();
    const until = Date.now() + timeoutMs;
    for (let said = 0; ; ) {
      signal?.throwIfAborted();
      const builds = heldFrom(uuid).length;
      if (!existsSync(paths.drained)) throw takenBack(name);
      if (builds === 0) return;
      const count = builds === 1 ? "a build" : `${builds} builds`;
      if (Date.now() >= until) {
        throw new UserError(
          "DRAIN_TIMEOUT",
          `There is still ${count} of the builder ${name} after ${Math.round(timeoutMs / 1000)} s; no new one begins.`,
          {
            exitCode: EXIT.timeout,
            hint: `'bootshare drain ${name} --timeout SECONDS' waits longer; 'bootshare undrain ${name}' lets builds begin again.`,
          },
        );
      }
      if (builds !== said) say(`No build begins in ${name}; waiting for ${count} to end`);
      said = builds;
      await sleep(PAUSE_MS, undefined, signal === undefined ? {} : { signal });
    }
  },

  async undrain({ paths }, by) {
    if (by === "upgrade" && readDrained(paths)?.by === "person") return "kept";
    rmSync(paths.drained, { force: true });
    syncFolder(dirname(paths.drained));
    return "back";
  },

  async drainState({ uuid, paths }) {
    if (!existsSync(paths.drained)) return "active";
    return heldFrom(uuid).length === 0 ? "drained" : "draining";
  },
};

/** Since when a builder is drained, ISO 8601, and by whose wish; undefined for one that is not. */
function readDrained({
  drained,
}: Pick<GuestPaths, "drained">): { readonly since: string; readonly by: Drainer } | undefined {
  try {
    const [since = "", by] = readFileSync(drained, "utf8").trim().split(" ");
    return { since, by: by === "upgrade" ? by : "person" };
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Refuses a build while the builder is drained. To be called when the build's own guest is there (and so counted) too.
 *
 * @throws {UserError} `BUILDER_DRAINED`
 */
export function requireUndrained({ name, paths }: Pick<Guest, "name" | "paths">): void {
  const drained = readDrained(paths);
  if (drained === undefined) return;
  const since = printable(drained.since, 40);
  throw new UserError("BUILDER_DRAINED", `The builder ${name} is drained since ${since}: no build begins.`, {
    exitCode: EXIT.conflict,
    hint: `bootshare undrain ${name}`,
  });
}
