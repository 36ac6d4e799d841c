/** Guests that are workers of an OBS, for every test that has one; the OBS itself is test/obs/backend.ts. */
import { expect } from "vitest";
import { REPO_SERVER, SRC_SERVER } from "../obs/backend.ts";
import { SIZE } from "./guests.ts";
import { BOOT_SECONDS, bootshare, json, statusOf, tryBootshare, until } from "./machine.ts";

/** Options of `create` that make a worker of a guest. */
export const WORKER_OPTIONS = ["--role", "obs-worker", "--obs-repo", REPO_SERVER, "--obs-src", SRC_SERVER];

/** A worker as `bootshare workers --json` has it. */
export interface WorkerRow {
  readonly id: string;
  readonly guest: string;
  readonly obs: string | null;
  readonly job: { readonly project: string; readonly package: string; readonly arch: string } | null;
  readonly problem: string | null;
  readonly drained: string | null;
  readonly state: string;
  readonly boot: string;
  readonly kernel: string | null;
  readonly kernelWaiting: string | null;
}

export async function createWorker(name: string, ...options: string[]): Promise<void> {
  await bootshare("create", name, ...SIZE, ...WORKER_OPTIONS, ...options);
}

export async function deleteGuest(name: string): Promise<void> {
  await tryBootshare("delete", "--force", name);
}

/** The only worker of a guest. */
export async function workerOf(guest: string): Promise<WorkerRow> {
  const row = (await json<WorkerRow[]>("workers")).find((one) => one.guest === guest);
  if (row === undefined) throw new Error(`${guest} has no worker`);
  return row;
}

/** Waits until the server says this of a guest's worker. */
export async function untilWorker(guest: string, state: string, seconds = BOOT_SECONDS): Promise<WorkerRow> {
  return await until(`the worker of ${guest} is ${state}`, seconds, async () => {
    const row = await workerOf(guest);
    return row.obs === state ? row : undefined;
  });
}

/** Waits until a guest's worker has registered, and holds all that is said of it against the guest: good, idle, nothing waits. */
export async function expectRegistered(guest: string): Promise<void> {
  await untilWorker(guest, "idle");
  const { kernel } = await statusOf(guest);
  expect(await workerOf(guest)).toMatchObject({
    id: `${guest}:1`,
    guest,
    state: "running",
    boot: "good",
    kernel,
    kernelWaiting: null,
    job: null,
    drained: null,
    problem: null,
  });
}
