import { rmSync } from "node:fs";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { EXIT, UserError } from "../errors.ts";
import { hasSystemd } from "../guest/host.ts";
import { SERVICE_UNIT } from "../paths.ts";
import { runOk } from "../process.ts";
import { serviceState } from "../serve/ensure.ts";
import { runService } from "../serve/service.ts";
import { serviceUnit } from "../serve/unit.ts";
import { type Command, defineCommand, JSON_OPTION } from "./command.ts";
import { printJson, printLines } from "./output.ts";
import { thisProgram } from "./shared.ts";

export const service: Command = {
  ...defineCommand({
    name: "service",
    summary: "run the service that starts guests again when they reboot",
    about:
      "Runs the reconciler in the foreground until it is ended by a signal. On machines with systemd, 'bootshare service install' makes it a unit; elsewhere, commands that start guests start it by themselves. It may be killed at any time: what happened meanwhile is found when it runs again.",
    schema: z.object({}),
    action: async () => {
      const stop = new AbortController();
      process.on("SIGINT", () => stop.abort());
      process.on("SIGTERM", () => stop.abort());
      await runService(stop.signal, (line) => printLines([`${new Date().toISOString()} ${line}`]));
      return undefined;
    },
  }),
  subcommands: [
    defineCommand({
      name: "install",
      summary: "make it a systemd unit, and start it",
      schema: z.object({}),
      action: async () => {
        requireSystemd();
        await writeFileAtomic(SERVICE_UNIT, serviceUnit(process.execPath, thisProgram()), { mode: 0o644 });
        await runOk("systemctl", ["daemon-reload"]);
        await runOk("systemctl", ["enable", "--now", "bootshare.service"]);
        printLines([`Installed and started ${SERVICE_UNIT}.`]);
        return undefined;
      },
    }),
    defineCommand({
      name: "remove",
      summary: "stop and remove the systemd unit; guests then stay off when they reboot",
      schema: z.object({}),
      action: async () => {
        requireSystemd();
        await runOk("systemctl", ["disable", "--now", "bootshare.service"]);
        rmSync(SERVICE_UNIT, { force: true });
        await runOk("systemctl", ["daemon-reload"]);
        printLines([`Removed ${SERVICE_UNIT}.`]);
        return undefined;
      },
    }),
    defineCommand({
      name: "status",
      summary: "whether a service runs",
      options: [JSON_OPTION],
      schema: z.object({ json: z.boolean().default(false) }),
      action: async (_args, { json }) => {
        const { state, pid } = serviceState();
        if (json) printJson({ service: state, pid });
        else printLines([`The bootshare service is ${state}${pid === null ? "" : ` (process ${pid})`}.`]);
        return state === "running" ? EXIT.ok : EXIT.unusable;
      },
    }),
  ],
};

function requireSystemd(): void {
  if (hasSystemd()) return;
  throw new UserError(
    "NO_SYSTEMD",
    "systemd does not run this machine, so there is no unit to install or remove.",
    {
      exitCode: EXIT.unusable,
      hint: "Commands that start guests start the service by themselves here; 'bootshare service' runs it in the foreground.",
    },
  );
}
