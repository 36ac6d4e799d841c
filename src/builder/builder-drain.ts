/**
 * Builders, drained: no build begins in a clone of one, and those that run are waited for. All of it is on this host, where the
 * builds are begun; nothing is asked of a guest.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { replaceFile } from "../boot/replace-file.ts";
import { syncFolder } from "../boot/sync.ts";
import { EXIT, UserError } from "../errors.ts";
import { heldFrom } from "../guest/abandoned.ts";
import type { Guest } from "../guest/inventory.ts";
import { printable } from "../text.ts";
import type { WorkerKind } from "./worker-kind.ts";

/** What a builder's domain is for, in its metadata. */
export const BUILDER_ROLE = "builder";

/** How often the builds are counted, in milliseconds. */
const PAUSE_MS = 500;

export const BUILDER: WorkerKind = {
  async drain(guest, { timeoutMs, signal, say }) {
    const { paths, name, uuid } = guest;
    // Before the builds are counted: a build that counts as one later sees this (requireUndrained).
    if (!existsSync(paths.drained)) replaceFile(paths.drained, `${new Date().toISOString()}\n`);
    const until = Date.now() + timeoutMs;
    for (let told = 0; ; ) {
      signal?.throwIfAborted();
      const builds = heldFrom(uuid).length;
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
      if (builds !== told) say(`No build begins in ${name}; waiting for ${count} to end`);
      told = builds;
      await sleep(PAUSE_MS, undefined, signal === undefined ? {} : { signal });
    }
  },

  async undrain({ paths }) {
    rmSync(paths.drained, { force: true });
    syncFolder(dirname(paths.drained));
  },

  async drainState({ uuid, paths }) {
    if (!existsSync(paths.drained)) return "active";
    return heldFrom(uuid).length === 0 ? "drained" : "draining";
  },
};

/**
 * Refuses a build while the builder is drained. To be called when the build's own guest is there (and so counted) too.
 *
 * @throws {UserError} `BUILDER_DRAINED`
 */
export function requireUndrained({ name, paths }: Pick<Guest, "name" | "paths">): void {
  if (!existsSync(paths.drained)) return;
  const since = printable(readFileSync(paths.drained, "utf8").trim(), 40);
  throw new UserError("BUILDER_DRAINED", `The builder ${name} is drained since ${since}: no build begins.`, {
    exitCode: EXIT.conflict,
    hint: `bootshare undrain ${name}`,
  });
}
