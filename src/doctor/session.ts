/** What an ordinary user needs to make root disks without root: to be root of a guest's files, and of nothing else. */
import {
  asGuestRoot,
  giveSubordinates,
  hasSubordinates,
  SUBORDINATE_FILES,
} from "../provision/user-namespace.ts";
import { printable } from "../text.ts";
import type { Probe } from "./probe.ts";
import { type Finding, met, type Requirement, unmet } from "./requirement.ts";

export function sessionRequirements(probe: Probe): Requirement[] {
  if (probe.mode.name === "system") return [];
  return [
    { id: "newuidmap", title: "newuidmap", need: "required", check: async () => checkNewuidmap(probe) },
    {
      id: "subordinate-ids",
      title: "subordinate ids",
      need: "required",
      check: async () => checkSubordinates(probe),
    },
    {
      id: "user-namespace",
      title: "user namespace",
      need: "required",
      check: async () => await checkNamespace(probe),
    },
  ];
}

function checkNewuidmap(probe: Probe): Finding {
  const path = probe.find("newuidmap");
  return path === undefined ? unmet("it is not installed", "apt-get install uidmap") : met(printable(path));
}

function checkSubordinates({ user, read }: Probe): Finding {
  const texts = SUBORDINATE_FILES.map((file) => read(file) ?? "");
  const name = printable(user.name);
  const lacking = SUBORDINATE_FILES.filter((_, i) => !hasSubordinates(texts[i] ?? "", user.name, user.uid));
  if (lacking.length === 0) return met(`${name} has them`);
  return unmet(`${name} has none, or too few, in ${lacking.join(" and ")}`, giveSubordinates(texts, name));
}

async function checkNamespace(probe: Probe): Promise<Finding> {
  const { file, args } = asGuestRoot("true", [], "session");
  const { exitCode, stderr } = await probe.run(file, args);
  if (exitCode === 0) return met("this user may make one");
  return unmet(`it cannot be made: ${printable(stderr.split("\n")[0] ?? "", 120)}`);
}
