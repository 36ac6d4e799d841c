import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  mirrorsKept,
  readBuilderMirrors,
  writeBuilderMirrors,
} from "../../../src/builder/builder-mirrors.ts";
import { guestPaths } from "../../../src/paths.ts";
import { chooseMirrors, type MirrorWishes } from "../../../src/provision/sources.ts";

const HOST = {
  archive: "http://mirror.example.org/debian",
  security: "http://mirror.example.org/debian-security",
};
const FULL = { ...HOST, updates: true };
const BARE = { archive: HOST.archive, security: undefined, updates: false };
const OTHER = "http://other.example.org/debian";
const PLAIN: MirrorWishes = { security: true, updates: true };

describe("the record of a builder's mirrors", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "bootshare-mirrors-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it.each([[FULL], [BARE]])("is read as it was written: %o", (mirrors) => {
    const paths = guestPaths(folder);
    writeBuilderMirrors(paths, mirrors);
    expect(readBuilderMirrors(paths)).toEqual(mirrors);
    expect(readdirSync(folder)).toEqual(["mirrors.json"]);
  });

  it("is missing of an old builder", () => {
    expect(readBuilderMirrors(guestPaths(folder))).toBeUndefined();
  });

  it.each([
    ["nothing", ""],
    ["half of it", '{"schema": 1, "archive": "http://mirr'],
    ["another schema", JSON.stringify({ schema: 2, archive: OTHER, updates: true })],
    ["no archive", JSON.stringify({ schema: 1, updates: true })],
    ["something else", JSON.stringify({ schema: 1, archive: OTHER, updates: true, more: 1 })],
    ["what is no mirror", JSON.stringify({ schema: 1, archive: "file:/srv/debian", updates: true })],
    ["two lines", JSON.stringify({ schema: 1, archive: `${OTHER}\nhttp://x/`, updates: true })],
  ])("is refused: %s", (_what, text) => {
    const paths = guestPaths(folder);
    writeFileSync(paths.builderMirrors, text);
    expect(() => readBuilderMirrors(paths)).toThrowError(
      expect.objectContaining({
        code: "BUILDER_UNREADABLE",
        message: `The file ${paths.builderMirrors} does not say in a way that this version understands which mirrors the builder was made with.`,
        hint: "Make the builder guest anew: --renew-builder",
      }),
    );
  });
});

describe("what a person is told of the mirrors that a builder keeps", () => {
  it.each<[string, Partial<MirrorWishes>, typeof FULL | typeof BARE | undefined]>([
    ["nothing was named", {}, BARE],
    ["the host's own changed", {}, { ...FULL, archive: OTHER }],
    ["it was named as it is", { mirror: `${HOST.archive}/`, securityMirror: HOST.security }, FULL],
    ["there is none to go without", { security: false, updates: false }, BARE],
    ["nobody knows", { mirror: OTHER, security: false }, undefined],
  ])("is nothing where %s", (_what, wishes, made) => {
    const asked = { ...PLAIN, ...wishes };
    expect(mirrorsKept("b", made, asked, chooseMirrors(HOST, asked))).toBeUndefined();
  });

  it.each<[string, Partial<MirrorWishes>, typeof FULL | typeof BARE]>([
    ["another archive", { mirror: OTHER }, FULL],
    ["another security archive", { securityMirror: OTHER }, FULL],
    ["a security archive", { securityMirror: HOST.security }, BARE],
    ["no security archive", { security: false }, FULL],
    ["no updates", { updates: false }, FULL],
  ])("names them where they asked for %s", (_what, wishes, made) => {
    const asked = { ...PLAIN, ...wishes };
    const said = mirrorsKept("builder-trixie-amd64", made, asked, chooseMirrors(HOST, asked));
    const all =
      made.security === undefined
        ? `${HOST.archive}, no security archive, no updates`
        : `${HOST.archive}, ${HOST.security}, updates`;
    expect(said).toBe(
      `the builder builder-trixie-amd64 keeps the mirrors that it was made with (${all}): --renew-builder makes it with those that you named.`,
    );
  });
});
