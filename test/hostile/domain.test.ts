/** Domains as a member of the group libvirt may define them, against the hook that runs as root. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { guestPathsOf } from "../../src/paths.ts";
import {
  ACTING,
  actingTexts,
  freshGuest,
  type Ground,
  initrdOf,
  kernelOf,
  makeGround,
  OTHER,
  picture,
  stagedPair,
  strayChanges,
  UUID,
} from "./ground.ts";
import { domainXml, type Jail, MAX_MIB, MAX_SECONDS, openJail } from "./jail.ts";

const RELEASE = "6.1.0-9-amd64";
const XML = domainXml("9p");

let ground: Ground;
let jail: Jail;
beforeAll(async () => {
  ground = makeGround();
  jail = await openJail(ground);
});
afterAll(async () => {
  await jail.close();
  ground.remove();
});

async function start(xml: string, phase = "prepare begin", kernel = true) {
  const share = freshGuest(ground, "9p");
  if (kernel) {
    share.file(`vmlinuz-${RELEASE}`, kernelOf(RELEASE));
    share.file(`initrd.img-${RELEASE}`, initrdOf(RELEASE));
  }
  const before = picture(ground);
  const run = await jail.run("9p", phase, xml);
  expect(strayChanges(ground, before, picture(ground))).toEqual([]);
  expect(run.violations).toEqual([]);
  expect(actingTexts(ground)).toEqual([]);
  expect(run.stdout).toBe("");
  expect(run.stderr.replace(/\n$/, "")).not.toMatch(ACTING);
  expect(run.peakMiB).toBeLessThan(MAX_MIB);
  expect(run.seconds).toBeLessThan(MAX_SECONDS);
  return run;
}

const named = (name: string): string => XML.replace("<name>worker-1</name>", `<name>${name}</name>`);
const metadataOf = (uuid: string): string =>
  XML.replace(`domain/1" uuid="${UUID}"`, `domain/1" uuid="${uuid}"`);

describe("a domain that is refused", () => {
  it.each([
    [
      "with another guest's metadata",
      metadataOf(OTHER),
      `carries the bootshare metadata of the guest ${OTHER}`,
    ],
    ["with metadata that is a path", metadataOf("../../etc"), "does not name a UUID"],
    ["whose UUID is a path", XML.replace(`<uuid>${UUID}`, "<uuid>../../../etc"), "its <uuid> is not a UUID"],
    [
      "that is no guest of the host's",
      XML.replaceAll(UUID, "11111111-2222-4333-8444-555555555555"),
      "guests/11111111-2222-4333-8444-555555555555 does not exist",
    ],
    [
      "with entities that double",
      `<!DOCTYPE d [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>${XML}`,
      "document type",
    ],
    [
      "with a file for an entity",
      `<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/shadow">]>${XML}`,
      "document type",
    ],
    [
      "nested ten thousand deep",
      XML.replace("<devices>", `${"<a>".repeat(10_000)}<devices>`),
      "nested more than 64 deep",
    ],
    ["of 3 MiB", XML.replace("<devices>", `<!--${"x".repeat(3 * 2 ** 20)}--><devices>`), "is longer than"],
    ["of 5 MiB", XML.replace("<devices>", `<!--${"x".repeat(5 * 2 ** 20)}--><devices>`), "larger than 4 MiB"],
    ["that breaks off", XML.slice(0, 1500), "The domain's XML cannot be read"],
  ])("%s", async (_what, xml, message) => {
    const run = await start(xml);
    expect(run.status).toBe(1);
    expect(run.stderr).toMatch(/^bootshare: [^\n]+\n$/);
    expect(run.stderr).toContain(message);
  });
});

describe("a domain", () => {
  it("whose kernel, share and report are said to be elsewhere changes nothing there", async () => {
    const there = guestPathsOf(UUID, join(ground.etc, "elsewhere"));
    for (const folder of [there.share, there.run, there.pairs]) mkdirSync(folder, { recursive: true });
    writeFileSync(join(there.share, "vmlinuz-6.1.0-1-amd64"), kernelOf("6.1.0-1-amd64"));
    writeFileSync(join(there.share, "initrd.img-6.1.0-1-amd64"), initrdOf("6.1.0-1-amd64"));
    const run = await start(XML.replaceAll("/var/lib/bootshare", "/etc/elsewhere"));
    expect(run).toMatchObject({ status: 0, stderr: "" });
    expect(stagedPair(ground.paths).release).toBe(RELEASE);
  });

  // XML 1.0 has no C0 characters, but these it has.
  const acting = "w\u009b2J\u0085\u202e\u2028";
  it("whose name acts in a terminal is shown as text, when it starts and when it is refused", async () => {
    expect((await start(named(acting))).status).toBe(0);
    const run = await start(named(acting), "prepare begin", false);
    expect(run.status).toBe(1);
    expect(run.stderr).toContain("guest w\\x9b2J\\x85\\u202e\\u2028 can be booted");
    expect(run.stderr).toContain("'bootshare kernels w\\x9b2J\\x85\\u202e\\u2028'");
  });

  it.each(["started begin", "release end", "restore begin", "stopped end"])(
    "that is another guest's copy changes nothing in %s",
    async (phase) => {
      const copy = XML.replaceAll(UUID, "11111111-2222-4333-8444-555555555555").replace(
        'domain/1" uuid="11111111-2222-4333-8444-555555555555"',
        `domain/1" uuid="${OTHER}"`,
      );
      expect(await start(copy, phase)).toMatchObject({ status: 0, stderr: "" });
    },
  );
});
