/** Shares that nobody thought of: near-valid ones put together by chance, judged by what holds for every share. */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { prepareBoot } from "../../src/boot/prepare.ts";
import { UserError } from "../../src/errors.ts";
import { readKernelImage } from "../../src/kernel/image.ts";
import { readInitrdHead } from "../../src/kernel/initrd.ts";
import { AMD64 } from "../unit/machines.ts";
import { ALL_FORMS, type Form, type HostileShare } from "./disk.ts";
import {
  ACTING,
  actingTexts,
  freshGuest,
  type Ground,
  initrdOf,
  kernelOf,
  makeGround,
  picture,
  stagedPair,
  strayChanges,
} from "./ground.ts";
import { type Jail, MAX_MIB, MAX_SECONDS, openJail } from "./jail.ts";

/** Each in this process, and each in the real program. A failure prints its seed: `FUZZ_SEED` repeats it. */
const RUNS = 300;
const REAL_RUNS = 15;
const seed = Number(process.env["FUZZ_SEED"] ?? Date.now() % 2 ** 31);

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

const RELEASES = ["6.1.0-9-amd64", "6.1.0-10-amd64", "6.12.48+deb13-amd64"];

/** Characters that have meant something to some program. */
const oddText = fc.oneof(
  fc.constantFrom(
    "\n",
    "\r\n",
    "\x1b[2J",
    "\u009b",
    "\u202e",
    "-",
    "--",
    " ",
    "$(id)",
    "';",
    "%s",
    "..",
    "\u{10ffff}",
    "e\u0301",
  ),
  fc.string({ unit: "binary", maxLength: 8 }),
);
const release = fc.oneof(
  { weight: 5, arbitrary: fc.constantFrom(...RELEASES) },
  { weight: 1, arbitrary: oddText },
);
const suffix = fc.oneof(
  { weight: 6, arbitrary: fc.constant("") },
  { weight: 1, arbitrary: fc.constantFrom(".new", ".dpkg-new", ".old-dkms", "~", "\n") },
  { weight: 1, arbitrary: oddText },
);
const fileName = fc
  .oneof(
    fc
      .tuple(fc.constantFrom("vmlinuz-", "initrd.img-", "vmlinux-", "config-"), release, suffix)
      .map((all) => all.join("")),
    fc.constantFrom("vmlinuz", "initrd.img", "vmlinux"),
    oddText,
  )
  .map((text) => Buffer.from(text.replaceAll(/[/\0]/g, "_")).subarray(0, 255))
  .filter((name) => name.length > 0 && ![".", ".."].includes(name.toString()));

const linkText = fc
  .oneof(
    fileName,
    fc.constantFrom(
      "/etc/passwd",
      "../policy.json",
      "../../../../../../etc/shadow",
      "-a -- passwd -tetc",
      ".",
    ),
    fc.string({ unit: "binary", minLength: 1, maxLength: 300 }),
    fc.uint8Array({ minLength: 1, maxLength: 40 }),
  )
  .map((text) => Buffer.from(Buffer.from(text).map((byte) => byte || 1)));

/** A whole kernel or initrd, or one that was cut, or one with some bytes changed; or anything. */
const content = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...RELEASES).map((one) => kernelOf(one)) },
  { weight: 4, arbitrary: fc.constantFrom(...RELEASES).map((one) => initrdOf(one)) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.constantFrom(kernelOf("6.1.0-9-amd64"), initrdOf("x")),
        fc.nat(6200),
        fc.nat(0x300),
        fc.integer({ min: 0, max: 255 }),
      )
      .map(([bytes, length, at, value]) => {
        const copy = Buffer.from(bytes.subarray(0, length));
        if (at < copy.length) copy.writeUInt8(value, at);
        return copy;
      }),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 5000 }).map((bytes) => Buffer.from(bytes)) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom("CONFIG_PCI=y\n", "# CONFIG_PCI is not set\nCONFIG_9P_FS=m\n", "CONFIG_\n")
      .map((text) => Buffer.from(text)),
  },
);

type Thing = (share: HostileShare) => void;

const thing: fc.Arbitrary<{ name: Buffer; put: (share: HostileShare, name: Buffer) => void }> = fc.record({
  name: fileName,
  put: fc.oneof(
    {
      weight: 6,
      arbitrary: content.map((bytes) => (share: HostileShare, name: Buffer) => share.file(name, bytes)),
    },
    {
      weight: 4,
      arbitrary: linkText.map((text) => (share: HostileShare, name: Buffer) => share.link(name, text)),
    },
    { weight: 1, arbitrary: fc.constant((share: HostileShare, name: Buffer) => share.folder(name)) },
    { weight: 1, arbitrary: fc.constant((share: HostileShare, name: Buffer) => share.fifo(name)) },
    {
      weight: 1,
      arbitrary: fc
        .constantFrom(2 ** 22, 2 ** 30, 2 ** 40)
        .map(
          (size) => (share: HostileShare, name: Buffer) =>
            share.sparse(name, kernelOf("6.1.0-9-amd64"), size),
        ),
    },
  ),
});

/** Most shares also have a whole pair of that name somewhere, so that some boot. */
const things: fc.Arbitrary<Thing[]> = fc
  .tuple(
    fc.uniqueArray(thing, { maxLength: 12, selector: ({ name }) => name.toString("latin1") }),
    fc.option(fc.constantFrom(...RELEASES)),
  )
  .map(([some, whole]) => {
    const taken = some.map(({ name }) => name.toString());
    const pair: Thing[] =
      whole === null
        ? []
        : [`vmlinuz-${whole}`, `initrd.img-${whole}`]
            .filter((name) => !taken.includes(name))
            .map(
              (name) => (share) => share.file(name, name.startsWith("v") ? kernelOf(whole) : initrdOf(whole)),
            );
    return [
      ...some.map(
        ({ name, put }): Thing =>
          (share) =>
            put(share, name),
      ),
      ...pair,
    ];
  });

const input = fc.tuple(things, fc.constantFrom(...ALL_FORMS), fc.boolean());

function fill([some, form, good]: [Thing[], Form, boolean]): void {
  const share = freshGuest(ground, form, good);
  for (const put of some) put(share);
  share.finish();
}

/** What is staged was checked, and is what its id says. */
function checkStaged(): void {
  const { kernel, initrd } = stagedPair(ground.paths);
  expect(readKernelImage(kernel, kernel.length)).toMatchObject({ ok: true });
  expect(readInitrdHead(initrd, initrd.length)).toMatchObject({ ok: true });
}

describe("any share", () => {
  it("is staged from, or refused in one line, and nothing else changes", () => {
    const property = fc.property(input, (one) => {
      fill(one);
      const before = picture(ground);
      const from = performance.now();
      let refusal: unknown;
      try {
        prepareBoot(ground.paths, "worker-1", AMD64);
      } catch (error) {
        refusal = error;
      }
      expect(performance.now() - from).toBeLessThan(MAX_SECONDS * 1000);
      expect(strayChanges(ground, before, picture(ground))).toEqual([]);
      expect(actingTexts(ground)).toEqual([]);
      if (refusal === undefined) return checkStaged();
      expect(refusal).toBeInstanceOf(UserError);
      expect(refusal).toMatchObject({ code: "NOTHING_BOOTABLE", message: expect.not.stringMatching(ACTING) });
      // A guest that was good is never refused.
      expect(one[2]).toBe(false);
    });
    fc.assert(property, { numRuns: RUNS, seed });
  });

  it("is met by the real program in the same way, in bounded time and memory", async () => {
    const property = fc.asyncProperty(input, async (one) => {
      fill(one);
      const before = picture(ground);
      const run = await jail.run(one[1]);
      expect(strayChanges(ground, before, picture(ground))).toEqual([]);
      expect(run.violations).toEqual([]);
      expect(actingTexts(ground)).toEqual([]);
      expect(run.peakMiB).toBeLessThan(MAX_MIB);
      expect(run.seconds).toBeLessThan(MAX_SECONDS);
      expect(run.stdout).toBe("");
      if (run.status === 0) {
        expect(run.stderr).toBe("");
        return checkStaged();
      }
      expect(run.status).toBe(1);
      expect(run.stderr).toMatch(/^bootshare: Nothing in the \/boot of guest worker-1 [^\n]+\n$/);
      expect(run.stderr.trimEnd()).not.toMatch(ACTING);
    });
    await fc.assert(property, { numRuns: REAL_RUNS, seed });
  });
});
