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

/** The workers of a guest, by their ids. */
async function workersOf(guest: string): Promise<[WorkerRow, ...WorkerRow[]]> {
  const [first, ...others] = (await json<WorkerRow[]>("workers")).filter((one) => one.guest === guest);
  if (first === undefined) throw new Error(`${guest} has no worker`);
  return [first, ...others];
}

/** The first worker of a guest; mostly there is no other. */
export async function workerOf(guest: string): Promise<WorkerRow> {
  return (await workersOf(guest))[0];
}

/** Waits until the server says this of all workers of a guest. @returns the first one */
export async function untilWorker(guest: string, state: string, seconds = BOOT_SECONDS): Promise<WorkerRow> {
  return await until(`the worker of ${guest} is ${state}`, seconds, async () => {
    const rows = await workersOf(guest);
    return rows.every(({ obs }) => obs === state) ? rows[0] : undefined;
  });
}

/** Waits until a guest's workers have registered, and holds all that is said of them against the guest: good, idle, nothing waits. */
export async function expectRegistered(guest: string, instances = 1): Promise<void> {
  await untilWorker(guest, "idle");
  const { kernel } = await statusOf(guest);
  const about = {
    guest,
    state: "running",
    boot: "good",
    kernel,
    kernelWaiting: null,
    job: null,
    drained: null,
    problem: null,
  };
  const ids = Array.from({ length: instances }, (_, index) => `${guest}:${index + 1}`);
  expect(await workersOf(guest)).toMatchObject(ids.map((id) => ({ id, ...about })));
}
