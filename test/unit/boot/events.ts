/** Short ways to write events in tables. */
import type { BootEvent, NewEvent, Pair } from "../../../src/boot/events.ts";
import { stamp } from "../../../src/boot/events.ts";

export const HOST_BOOT = "11111111-1111-4111-8111-111111111111";
export const START = Date.parse("2026-01-01T00:00:00.000Z");

export function pair(release: string): Pair {
  const id = Buffer.from(release).toString("hex").padEnd(32, "0").slice(0, 32);
  return { id, release, kernel: `vmlinuz-${release}`, initrd: `initrd.img-${release}` };
}

export const PREPARED = {
  e: "prepare",
  attempt: "a",
  pair: pair("6.1.0-1"),
  source: "links",
  why: "because",
  skipped: [],
  hostBoot: HOST_BOOT,
} satisfies NewEvent;

export function prepare(
  attempt: string,
  {
    release = "6.1.0-1",
    hostBoot = HOST_BOOT,
    hook,
    m,
    timeout,
  }: { release?: string; hostBoot?: string; hook?: boolean; m?: number; timeout?: number } = {},
): NewEvent {
  return {
    ...PREPARED,
    attempt,
    pair: pair(release),
    hostBoot,
    ...(hook === undefined ? {} : { hook }),
    ...(m === undefined ? {} : { m }),
    ...(timeout === undefined ? {} : { timeout }),
  };
}

/** Stamps events ten seconds apart, from {@link START} on. */
export function timeline(...events: NewEvent[]): BootEvent[] {
  return events.map((event, i) => stamp(event, new Date(START + i * 10_000)));
}

export const STARTED: NewEvent = { e: "started" };
export const RELEASED: NewEvent = { e: "released" };
export const START_BY_PERSON: NewEvent = { e: "asked", what: "start", by: "person" };
export const START_BY_RECONCILER: NewEvent = {
  e: "asked",
  what: "start",
  by: "reconciler",
  why: "it was reset",
  unclean: true,
};
export const good = (attempt: string, release = "6.1.0-1"): NewEvent => ({ e: "good", attempt, release });
