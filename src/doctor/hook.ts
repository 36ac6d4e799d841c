/** The hook, whether libvirt really calls it, and the service. */
import type { DebianArch } from "../kernel/arch.ts";
import type { HookStatus } from "../libvirt/hook-install.ts";
import type { HookTrial } from "../libvirt/hook-trial.ts";
import { printable } from "../text.ts";
import { installedEmulator } from "./emulator.ts";
import { phrase } from "./examine.ts";
import type { Probe } from "./probe.ts";
import { type Finding, met, type Requirement, unknown, unmet } from "./requirement.ts";

/** Above the limit of the trial itself, in milliseconds. */
const TRIAL_LIMIT_MS = 250_000;

const INSTALL = "bootshare hook install --restart";

/** In session mode the hook is root's to install, and bootshare does its work where there is none (guest/launch.ts). */
export function hookRequirements(arch: DebianArch, probe: Probe): Requirement[] {
  const session = probe.mode.name === "session";
  const need = session ? "recommended" : "required";
  let asked: Promise<HookStatus> | undefined;
  const status = async (): Promise<HookStatus> => {
    asked ??= probe.hookStatus();
    return await asked;
  };
  return [
    {
      id: "hook",
      title: "libvirt hook",
      need,
      check: async () => judgeInstalled(await status()),
    },
    {
      id: "hook-current",
      title: "hook's version",
      need: "recommended",
      check: async () => judgeCurrent(await status()),
    },
    {
      id: "hook-called",
      title: "hook is called",
      need,
      limitMs: TRIAL_LIMIT_MS,
      async check() {
        const { installed, usable } = await status();
        if (session && !usable)
          return unknown(
            installed ? "libvirt's daemon of this user does not call it yet" : "there is none to call",
          );
        if (installedEmulator(arch, probe) === undefined)
          return unknown(`not tried without QEMU for ${arch}`);
        return judgeTrial(await probe.tryHook(arch));
      },
    },
    { id: "service", title: "service", need: "recommended", check: async () => checkService(probe) },
  ];
}

function judgeInstalled({ installed, nodeFound, usable, daemonKnows, lines }: HookStatus): Finding {
  if (!installed) return unmet(printable(lines[0] ?? "not installed"), INSTALL);
  if (!nodeFound) return unmet("the Node.js that it names is not there", INSTALL);
  // Not usable for no other reason than these: it is not executable.
  if (!usable && daemonKnows) return unmet("it is not executable", INSTALL);
  return met(printable((lines[0] ?? "installed").replace(/^installed: /, "")));
}

function judgeCurrent({ installed, current, version }: HookStatus): Finding {
  if (!installed) return unknown("there is no hook");
  const found = printable(version ?? "unknown", 40);
  return current ? met(found) : unmet(`${found}, not that of this bootshare`, "bootshare hook install");
}

function judgeTrial({ outcome, said }: HookTrial): Finding {
  switch (outcome) {
    case "called":
      return met("it refused a trial domain, as it should");
    case "broken":
      return unmet(`it is called, and fails: ${phrase(said)}`, INSTALL);
    case "not-called":
      return unmet("libvirt let a trial domain pass that the hook refuses", INSTALL);
    case "unknown":
      return unknown(`libvirt could not try it: ${phrase(said)}`);
  }
}

function checkService(probe: Probe): Finding {
  if (probe.find("flock") === undefined) return unknown("not known without flock");
  const { state, pid } = probe.service();
  if (state === "running") return met(pid === null ? "running" : `running (process ${pid})`);
  const found = "stopped: a guest that reboots stays off";
  if (!probe.systemd) return unmet("stopped; commands that start guests start it", "bootshare service");
  const unit = !("errno" in probe.stat(probe.mode.serviceUnit));
  const manager = probe.mode.name === "session" ? "systemctl --user" : "systemctl";
  return unmet(found, unit ? `${manager} start bootshare` : "bootshare service install");
}
