import { z } from "zod";
import { survey } from "../boot/prepare.ts";
import { listWorkers, type WorkerView } from "../builder/workers.ts";
import { definitionOf } from "../guest/inventory.ts";
import { defineCommand, JSON_OPTION } from "./command.ts";
import { nextOf, reshapeOf } from "./kernels.ts";
import { summaryOf } from "./list.ts";
import { duration, printJson, printLines, table } from "./output.ts";

export const workers = defineCommand({
  name: "workers",
  summary: "all build workers, as the OBS server sees them",
  about:
    "Each worker of the Open Build Service in a guest: what the server says of it (idle, building what since when, down), beside the guest's own state, the kernel that it runs, and the one that waits for its next boot.",
  options: [JSON_OPTION],
  examples: [
    [
      "bootshare workers --json | jq -r '.[] | select(.kernelWaiting) | .guest'",
      "guests that a new kernel waits for",
    ],
  ],
  rows: (result) => workerCells(z.array(rowSchema).parse(result), new Date().toISOString()),
  schema: z.object({ json: z.boolean().default(false) }),
  action: async (_args, { json }) => {
    const rows = await Promise.all((await listWorkers()).map(workerRow));
    if (json) {
      printJson(rows);
      return undefined;
    }
    if (rows.length === 0) {
      printLines(["There are no workers. Make one with 'bootshare create NAME --role obs-worker'."]);
      return undefined;
    }
    printLines(workerLines(rows, new Date().toISOString()));
    return undefined;
  },
});

async function workerRow({ guest, worker, instance, obs, problem }: WorkerView) {
  const { selection } = survey(guest.paths, await definitionOf(guest));
  const summary = summaryOf(guest);
  const next = (reshapeOf(selection) ?? nextOf(selection))?.release ?? null;
  return {
    id: instance.id,
    guest: summary.name,
    uuid: guest.uuid,
    instance: instance.number,
    port: instance.port,
    server: `${worker.repo.host}:${worker.repo.port}`,
    /** The server's word; null where it knows no such worker, or could not be asked. */
    obs: obs?.state ?? null,
    job: obs?.job === undefined ? null : { ...obs.job, since: obs.job.since ?? null },
    problem: problem ?? null,
    drained: worker.drained ?? null,
    state: summary.state,
    boot: summary.boot,
    kernel: summary.kernel,
    /** What boots next, where that is not what runs. */
    kernelWaiting: next === summary.kernel ? null : next,
  };
}

/** What of a row is in the table. */
const rowSchema = z.object({
  id: z.string(),
  obs: z.string().nullable(),
  job: z
    .object({
      project: z.string(),
      repository: z.string(),
      package: z.string(),
      arch: z.string(),
      since: z.string().nullable(),
    })
    .nullable(),
  problem: z.string().nullable(),
  drained: z.string().nullable(),
  state: z.string(),
  boot: z.string(),
  kernel: z.string().nullable(),
  kernelWaiting: z.string().nullable(),
});
type WorkerRow = z.infer<typeof rowSchema>;

/** Head and rows of the table. @param now ISO 8601 */
function workerCells(rows: readonly WorkerRow[], now: string): string[][] {
  const cells = rows.map((row) => [
    row.id,
    row.obs ?? (row.problem === null ? "unknown" : "?"),
    jobCell(row, now),
    `${row.state === "running" ? row.boot : row.state}${row.drained === null ? "" : ", drained"}`,
    row.kernel ?? "-",
    row.kernelWaiting ?? "-",
  ]);
  return [["WORKER", "OBS", "BUILDS", "GUEST", "KERNEL", "WAITING"], ...cells];
}

/** What a person sees. @param now ISO 8601 */
export function workerLines(rows: readonly WorkerRow[], now: string): string[] {
  const problems = [...new Set(rows.map(({ problem }) => problem).filter((text) => text !== null))];
  return [...table(workerCells(rows, now)), ...problems.map((text) => `Note: ${text}`)];
}

function jobCell({ job }: WorkerRow, now: string): string {
  if (job === null) return "-";
  const what = `${job.project}/${job.package} (${job.repository}, ${job.arch})`;
  return job.since === null ? what : `${what} for ${duration(job.since, now)}`;
}
