/** The table of hostile shares against the real hook program, watched from outside. */
import { spawnSync } from "node:child_process";
import { chmodSync, readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readEvents, readState } from "../../src/boot/log.ts";
import type { Form } from "./disk.ts";
import {
  ACTING,
  actingTexts,
  freshGuest,
  type Ground,
  makeGround,
  picture,
  stagedPair,
  strayChanges,
} from "./ground.ts";
import { type HookRun, type Jail, MAX_MIB, MAX_SECONDS, missingPrograms, openJail } from "./jail.ts";
import { formsOf, type Row } from "./row.ts";
import { ROWS } from "./shares.ts";

/** What libvirt shows of a refusal, in characters: a screen, however much a guest has to answer for. */
const MAX_STDERR = 8000;

let ground: Ground;
let jail: Jail;
beforeAll(async () => {
  expect(missingPrograms()).toEqual([]);
  ground = makeGround();
  jail = await openJail(ground);
});
afterAll(async () => {
  await jail.close();
  ground.remove();
});

/** Fills the share, runs the hook, and checks all that holds whatever is in a share. */
async function start(row: Row, form: Form): Promise<HookRun> {
  const share = freshGuest(ground, form, row.good === true);
  await row.make(share);
  share.finish();
  const before = picture(ground);
  const run = await jail.run(form);
  expect(strayChanges(ground, before, picture(ground))).toEqual([]);
  expect(run.violations).toEqual([]);
  expect(actingTexts(ground)).toEqual([]);
  expect(run.stdout).toBe("");
  expect(run.seconds).toBeLessThan(MAX_SECONDS);
  expect(run.peakMiB).toBeLessThan(row.maxMiB ?? MAX_MIB);
  expect(run.stderr.replace(/\n$/, "")).not.toMatch(ACTING);
  expect(run.stderr.length).toBeLessThan(MAX_STDERR);
  return run;
}

const SHARE = "/var/lib/bootshare/guests/3b241101-e2bb-4255-8caf-4136c566a962/share";

/** The one line that libvirt shows. */
function refusal(passedOver: readonly string[]): string {
  const tried = passedOver.length === 0 ? ": it holds no kernel" : ` (${passedOver.join(" | ")})`;
  return (
    `bootshare: Nothing in the /boot of guest worker-1 can be booted${tried}. ` +
    `Look at it with 'bootshare kernels worker-1'; put a kernel and its initrd into ${SHARE}.\n`
  );
}

const cases = ROWS.flatMap((row) =>
  formsOf(row).map((form): [string, Row, Form] => [`${row.name} (${form})`, row, form]),
);

/** What was noted of the pair that was staged. */
function lastNotes(): readonly string[] | undefined {
  const last = readEvents(ground.paths).at(-1);
  return last?.e === "prepare" ? last.notes : undefined;
}

/** What stat(1) says to a user of the host who is neither root nor QEMU. */
function asStranger(path: string): { status: number | null; stderr: string } {
  const who = { uid: 65_534, gid: 65_534 };
  const { status, stderr } = spawnSync("stat", [path], { ...who, encoding: "utf8", env: { LC_ALL: "C" } });
  return { status, stderr };
}

describe("a set-uid file of root's that a guest made by virtiofs", () => {
  it("is out of the reach of the host's users", () => {
    const share = freshGuest(ground, "virtiofs");
    share.file("escalate", "#!/bin/sh\n");
    chmodSync(share.at("escalate"), 0o4755);
    expect(asStranger(ground.lib)).toMatchObject({ status: 0 });
    for (const path of [`${share.dir}/escalate`, share.dir, ground.paths.runKernel]) {
      expect(asStranger(path)).toMatchObject({
        status: 1,
        stderr: expect.stringContaining("Permission denied"),
      });
    }
  });
});

describe("the hook on a share with", () => {
  it.each(cases)("%s", async (_name, row, form) => {
    const run = await start(row, form);
    const expected = row.expect(form);
    if (expected.boots === undefined) {
      expect(run).toMatchObject({ status: 1, stderr: refusal(expected.passedOver) });
      expect(readdirSync(ground.paths.run)).toEqual([]);
      expect(readdirSync(ground.paths.pairs)).toEqual([]);
    } else {
      const skipped = readState(ground.paths).current?.skipped ?? [];
      expect(skipped.map(({ release, reason }) => `${release}: ${reason}`)).toEqual(expected.passedOver);
      expect(run).toMatchObject({ status: 0, stderr: "" });
      expect(readState(ground.paths).current?.source).toBe(expected.source);
      expect(stagedPair(ground.paths).release).toBe(expected.boots);
      if (expected.notes !== undefined) expect(lastNotes()).toEqual(expected.notes);
    }
  });
});
