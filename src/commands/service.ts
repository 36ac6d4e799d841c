import { mkdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { z } from "zod";
import { EXIT, UserError } from "../errors.ts";
import { hasSystemd } from "../guest/host.ts";
import { type WorkMode, workMode } from "../mode.ts";
import { run, runOk } from "../process.ts";
import { serviceState } from "../serve/ensure.ts";
import { runService } from "../serve/service.ts";
import { serviceUnit, UPGRADE_UNITS, upgradeTimer, upgradeUnit } from "../serve/unit.ts";
import { type Command, defineCommand, JSON_OPTION } from "./command.ts";
import { printJson, printLines } from "./output.ts";
import { thisProgram } from "./shared.ts";

export const service: Command = {
  ...defineCommand({
    name: "service",
    summary: "run the service that starts guests again when they reboot",
    about:
      "Runs the reconciler in the foreground until it is ended by a signal. On machines with systemd, 'bootshare service install' makes it a unit (an ordinary user's: one of 'systemctl --user'); elsewhere, commands that start guests start it by themselves. It may be killed at any time: what happened meanwhile is found when it runs again.",
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
      about:
        "Also puts a timer for weekly upgrades of all guests in place, switched off: 'systemctl enable --now bootshare-upgrade.timer' switches it on.",
      schema: z.object({}),
      action: async () => {
        requireSystemd();
        const mode = workMode();
        const { name, serviceUnit: file } = mode;
        const unit = serviceUnit(process.execPath, thisProgram(), mode);
        mkdirSync(dirname(file), { recursive: true });
        await writeFileAtomic(file, unit, { mode: 0o644 });
        const upgrades = upgradeUnit(process.execPath, thisProgram(), mode);
        const [upgradeService, upgradeTimerName] = UPGRADE_UNITS;
        await writeFileAtomic(join(dirname(file), upgradeService), upgrades, { mode: 0o644 });
        await writeFileAtomic(join(dirname(file), upgradeTimerName), upgradeTimer(), { mode: 0o644 });
        await runOk("systemctl", [...managerOf(name), "daemon-reload"]);
        await runOk("systemctl", [...managerOf(name), "enable", "--now", "bootshare.service"]);
        printLines([
          `Installed and started ${file}.`,
          `Weekly upgrades of all guests: 'systemctl ${[...managerOf(name), "enable"].join(" ")} --now ${upgradeTimerName}'.`,
          ...(name === "session"
            ? [`It ends when you log out, unless 'loginctl enable-linger' was run.`]
            : []),
        ]);
        return undefined;
      },
    }),
    defineCommand({
      name: "remove",
      summary: "stop and remove the systemd unit; guests then stay off when they reboot",
      schema: z.object({}),
      action: async () => {
        requireSystemd();
        const { name, serviceUnit: file } = workMode();
        await runOk("systemctl", [...managerOf(name), "disable", "--now", "bootshare.service"]);
        // The timer may never have been enabled, or be missing in what an earlier version installed.
        await run("systemctl", [...managerOf(name), "disable", "--now", "bootshare-upgrade.timer"]);
        for (const unit of UPGRADE_UNITS) rmSync(join(dirname(file), unit), { force: true });
        rmSync(file, { force: true });
        await runOk("systemctl", [...managerOf(name), "daemon-reload"]);
        printLines([`Removed ${file}.`]);
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

/** Options of systemctl's: whose units. */
function managerOf(mode: WorkMode["name"]): string[] {
  return mode === "system" ? [] : ["--user"];
}

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
