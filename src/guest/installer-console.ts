/** The console of an installer, on a person's terminal. */
import { setTimeout as sleep } from "node:timers/promises";
import { consoleArguments, domainStatuses } from "../libvirt/virsh.ts";
import { runInTerminal } from "../process.ts";

/** How long its machine may take to be there, in seconds. */
const START_S = 60;

/** Lets a person answer, until the machine goes off, or they leave it: then it goes on. */
export async function attachInstaller(
  { name, uuid }: { readonly name: string; readonly uuid: string },
  signal: AbortSignal,
): Promise<void> {
  const runs = async (): Promise<boolean> => (await domainStatuses()).some((one) => one.uuid === uuid);
  for (let waited = 0; !(await runs()); waited++) {
    if (waited === START_S) return;
    await sleep(1000, undefined, { signal });
  }
  process.stdout.write("The installer's console. Ctrl-] leaves it; the installer goes on.\n");
  const [program, ...args] = consoleArguments(uuid, false);
  await runInTerminal(program, args);
  if (await runs()) process.stdout.write(`It goes on. To come back to it: virsh console ${name}\n`);
}
