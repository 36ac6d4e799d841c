/** bootshare's folders and the hook's files: who may enter and write them, and the room that there is. */
import { dirname } from "node:path";
import { UserError } from "../errors.ts";
import { readGuard } from "../libvirt/hook-install.ts";
import { guestPaths, guestPathsOf, HOOK_FILE, HOOK_PROGRAM, statePaths, UUID_PATTERN } from "../paths.ts";
import { WORK_SPACE_BYTES } from "../provision/disk.ts";
import { printable } from "../text.ts";
import {
  guestFolderProblem,
  openToAllProblem,
  type Problem,
  passageProblem,
  privateProblem,
  rootOnlyProblem,
} from "./modes.ts";
import type { FileFacts, Probe } from "./probe.ts";
import { type Finding, met, type Requirement, unknown, unmet } from "./requirement.ts";

export function folderRequirements(probe: Probe): Requirement[] {
  return [
    {
      id: "free-space",
      title: "free space",
      need: "required",
      check: async () => await checkSpace(probe),
    },
    {
      id: "state-folders",
      title: "guests' folders",
      need: "required",
      check: async () => await checkStateFolders(probe),
    },
    // Whoever works without root has no rights there that anybody could take, and nothing to mend.
    ...(probe.mode.name === "session" ? [] : [hookFiles(probe)]),
  ];
}

function hookFiles(probe: Probe): Requirement {
  return {
    id: "hook-files",
    title: "hook files",
    need: "required",
    check: async () => checkHookFiles(probe),
  };
}

async function checkSpace(probe: Probe): Promise<Finding> {
  const { root } = statePaths(probe.mode.stateRoot);
  let folder: string = root;
  while (folder !== "/" && isAbsent(probe, folder)) folder = dirname(folder);
  const free = await probe.freeBytes(folder);
  const found = `${gib(free)} GiB below ${folder}`;
  if (free >= WORK_SPACE_BYTES) return met(found);
  // No command makes room.
  return unmet(`${found}; making a guest needs ${gib(WORK_SPACE_BYTES)}`);
}

function gib(bytes: number): string {
  // Downwards: 4.0 must not be said of less than 4.
  return (Math.floor((bytes / 2 ** 30) * 10) / 10).toFixed(1);
}

async function checkStateFolders(probe: Probe): Promise<Finding> {
  const state = statePaths(probe.mode.stateRoot);
  if (isAbsent(probe, state.root)) return met(`${state.root} is not there yet`);
  const problems: Problem[] = [];
  const judge = (path: string, rule: (path: string, facts: FileFacts) => Problem | undefined): void => {
    const facts = probe.stat(path);
    const problem = "errno" in facts ? undefined : rule(path, facts);
    if (problem !== undefined) problems.push(problem);
  };
  const owner = probe.mode.name === "session" ? probe.user.uid : undefined;
  const passage = owner === undefined ? passageProblem : privateProblem(owner);
  for (const folder of [state.root, state.guests]) judge(folder, passage);
  for (const path of Object.values(state)) judge(path, openToAllProblem);
  const names = probe.names(state.guests);
  const guests = "errno" in names ? [] : names.filter((name) => UUID_PATTERN.test(name));
  const qemuGid = guests.length === 0 || owner !== undefined ? undefined : await qemuGroup(probe);
  for (const uuid of guests) {
    const { dir } = guestPathsOf(uuid, state.root);
    judge(
      dir,
      owner === undefined ? (path, facts) => guestFolderProblem(path, facts, qemuGid) : privateProblem(owner),
    );
    for (const path of insideOf(dir)) judge(path, openToAllProblem);
  }
  if (problems.length === 0 && "errno" in names && names.errno !== "ENOENT") {
    return unknown(`this user may not look into ${state.guests}`);
  }
  const count = guests.length === 1 ? "one guest" : `${guests.length || "no"} guests`;
  return allOf(problems, `${state.root} is as it should be, ${count}`);
}

/** What lies directly in a guest's folder, but for the share: that is the guest's /boot, and its mode the guest's affair. */
function insideOf(dir: string): string[] {
  const paths = guestPaths(dir);
  return Object.values(paths)
    .filter((path) => typeof path === "string")
    .filter((path) => path !== paths.dir && path !== paths.share);
}

/** The group of QEMU's user; undefined where there is no such user, which is another requirement. */
async function qemuGroup(probe: Probe): Promise<number | undefined> {
  try {
    return (await probe.qemuUser()).gid;
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

function isAbsent(probe: Probe, path: string): boolean {
  const facts = probe.stat(path);
  return "errno" in facts && facts.errno === "ENOENT";
}

/** The hook, the Node.js that it names, and all folders above them. */
function checkHookFiles(probe: Probe): Finding {
  const files = [HOOK_FILE, HOOK_PROGRAM].filter((file) => !isAbsent(probe, file));
  if (files.length === 0) return unknown("there are none yet");
  const { node } = readGuard(probe.read(HOOK_FILE) ?? "");
  const ours = writableProblems(files, probe);
  // Who owns another folder with a Node.js in it is not ours to change.
  const fix = "run 'bootshare hook install' with a Node.js that only root may write";
  const nodes = node?.startsWith("/") === true ? writableProblems([node], probe) : [];
  const shared = new Set(ours.map(({ found }) => found));
  const others = nodes.filter(({ found }) => !shared.has(found)).map(({ found }) => ({ found, fix }));
  return allOf([...ours, ...others.slice(0, 1)], "only root may write them");
}

function writableProblems(files: readonly string[], probe: Probe): Problem[] {
  return [...new Set(files.flatMap(withFoldersAbove))].flatMap((path) => {
    const facts = probe.stat(path);
    return "errno" in facts ? [] : (rootOnlyProblem(printable(path), facts) ?? []);
  });
}

function withFoldersAbove(path: string): string[] {
  const above = dirname(path);
  return above === path ? [path] : [...withFoldersAbove(above), path];
}

/** At most this many problems come with their fixes: the next ones show when these are mended. */
const SHOWN = 3;

/** All problems as one finding; `well` where there are none. */
function allOf(problems: readonly Problem[], well: string): Finding {
  const [first] = problems;
  if (first === undefined) return met(well);
  const more = problems.length === 1 ? "" : `, and ${problems.length - 1} more`;
  const fixes = problems.slice(0, SHOWN).map(({ fix }) => fix);
  return unmet(`${first.found}${more}`, fixes.join("; "));
}
