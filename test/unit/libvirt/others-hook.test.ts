import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  bringHookBack,
  isHookAside,
  makesBootLinks,
  type OthersHookPlaces,
  putHookAside,
} from "../../../src/libvirt/others-hook.ts";

let places: OthersHookPlaces;
beforeEach(() => {
  const dir = mkdtempSync(join(tmpdir(), "bootshare-test-"));
  places = { file: join(dir, "qemu"), kept: join(dir, "qemu.before-bootshare") };
});
afterEach(() => rmSync(join(places.file, ".."), { recursive: true }));

const HAND_MADE =
  '#!/bin/sh\n[ "$2" = prepare ] && cd /srv/$1-boot && ln -sf $(basename $(cat vmlinuz)) virtio-vmlinuz\n';

test("is found by the links that it makes, and by nothing else", () => {
  expect(makesBootLinks(["virtio-vmlinuz"], places)).toBe(false);
  writeFileSync(places.file, HAND_MADE);
  expect(makesBootLinks(["virtio-vmlinuz"], places)).toBe(true);
  expect(makesBootLinks(["boot-kernel"], places)).toBe(false);
  expect(makesBootLinks([""], places)).toBe(false);
  rmSync(places.file);
  mkdirSync(places.file);
  expect(makesBootLinks(["virtio-vmlinuz"], places)).toBe(false);
});

test("goes aside and comes back whole", () => {
  writeFileSync(places.file, HAND_MADE, { mode: 0o755 });
  putHookAside(places);
  expect([existsSync(places.file), isHookAside(places)]).toEqual([false, true]);
  expect(bringHookBack(places)).toBe(true);
  expect([readFileSync(places.file, "utf8"), isHookAside(places)]).toEqual([HAND_MADE, false]);
});

test("takes nobody's place", () => {
  writeFileSync(places.file, HAND_MADE);
  writeFileSync(places.kept, "older");
  expect(() => putHookAside(places)).toThrow(
    `The hook ${places.file} cannot be put aside: ${places.kept} is there already.`,
  );
  expect(bringHookBack(places)).toBe(false);
  expect([readFileSync(places.file, "utf8"), readFileSync(places.kept, "utf8")]).toEqual([
    HAND_MADE,
    "older",
  ]);
});
