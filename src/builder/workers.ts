/** All workers of all guests: what the OBS server says of each, beside how its guest is. */
import { messageOf } from "../errors.ts";
import { type GuestView, listGuests, look } from "../guest/inventory.ts";
import { type Instance, instancesOf, readWorker, type Worker } from "../guest/worker.ts";
import { printable } from "../text.ts";
import { type ObsStatus, type ObsWorkerStatus, obsStatus, urlOf } from "./obs-status.ts";

export interface WorkerView {
  readonly guest: GuestView;
  readonly worker: Worker;
  readonly instance: Instance;
  /** undefined where the server does not know it, or could not be asked. */
  readonly obs: ObsWorkerStatus | undefined;
  /** Why the server could not be asked, printable. */
  readonly problem: string | undefined;
}

/** Each server is asked once, all at the same time. */
export async function listWorkers(): Promise<WorkerView[]> {
  const guests: { readonly guest: GuestView; readonly worker: Worker }[] = [];
  for (const guest of await listGuests()) {
    const worker = readWorker(guest.paths);
    if (worker !== undefined) guests.push({ guest: look(guest), worker });
  }
  const answers = new Map<string, Promise<ObsStatus | string>>();
  const ask = (worker: Worker): Promise<ObsStatus | string> => {
    const key = `${urlOf(worker.repo)} ${urlOf(worker.src)}`;
    const asked = answers.get(key) ?? obsStatus(worker).catch((error) => printable(messageOf(error), 500));
    answers.set(key, asked);
    return asked;
  };
  for (const { worker } of guests) void ask(worker);
  const views: WorkerView[] = [];
  for (const { guest, worker } of guests) {
    const answer = await ask(worker);
    for (const instance of instancesOf(worker)) {
      views.push({
        guest,
        worker,
        instance,
        obs: typeof answer === "string" ? undefined : answer.get(instance.id),
        problem: typeof answer === "string" ? answer : undefined,
      });
    }
  }
  return views;
}
