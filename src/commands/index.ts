/** All commands, in the order in which the help shows them. */

import { adopt } from "./adopt.ts";
import { build } from "./build.ts";
import { clone } from "./clone.ts";
import type { Command } from "./command.ts";
import { console_ } from "./console.ts";
import { create } from "./create.ts";
import { delete_ } from "./delete.ts";
import { doctor } from "./doctor.ts";
import { drain } from "./drain.ts";
import { exec } from "./exec.ts";
import { export_ } from "./export.ts";
import { history } from "./history.ts";
import { hook } from "./hook.ts";
import { import_ } from "./import.ts";
import { inspect } from "./inspect.ts";
import { kernels } from "./kernels.ts";
import { list } from "./list.ts";
import { logs } from "./logs.ts";
import { reboot } from "./reboot.ts";
import { rollback } from "./rollback.ts";
import { run } from "./run.ts";
import { service } from "./service.ts";
import { ssh } from "./ssh.ts";
import { start } from "./start.ts";
import { status } from "./status.ts";
import { stop } from "./stop.ts";

import { undrain } from "./undrain.ts";
import { upgrade } from "./upgrade.ts";
import { workers } from "./workers.ts";

export const COMMANDS: readonly Command[] = [
  create,
  clone,
  run,
  adopt,
  import_,
  export_,
  list,
  status,
  start,
  stop,
  reboot,
  delete_,
  kernels,
  rollback,
  upgrade,
  history,
  logs,
  console_,
  ssh,
  exec,
  workers,
  drain,
  undrain,
  build,
  inspect,
  doctor,
  hook,
  service,
];
