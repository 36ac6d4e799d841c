/** What people and programs are shown of a hostile share: nothing in it acts in a terminal, a log, or a JSON parser. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { readState } from "../../src/boot/log.ts";
import { prepareBoot } from "../../src/boot/prepare.ts";
import { NO_REPORT } from "../../src/boot/report.ts";
import type { Command } from "../../src/commands/command.ts";
import { history } from "../../src/commands/history.ts";
import { inspect } from "../../src/commands/inspect.ts";
import { kernels } from "../../src/commands/kernels.ts";
import { status } from "../../src/commands/status.ts";
import type { GuestView } from "../../src/guest/inventory.ts";
import { parseDomain } from "../../src/libvirt/domain-parse.ts";
import type { Form } from "./disk.ts";
import { ACTING, freshGuest, type Ground, makeGround, UUID } from "./ground.ts";
import { domainXml } from "./jail.ts";
import { formsOf, type Row } from "./row.ts";
import { ROWS } from "./shares.ts";

const seen = vi.hoisted((): { view: unknown; definition: unknown } => ({
  view: undefined,
  definition: undefined,
}));
vi.mock("../../src/guest/inventory.ts", () => ({
  findGuest: async () => seen.view,
  look: () => seen.view,
  definitionOf: async () => seen.definition,
}));
vi.mock("../../src/serve/ensure.ts", () => ({ serviceState: () => ({ state: "running", pid: 1 }) }));

let ground: Ground;
beforeAll(() => {
  ground = makeGround();
});
afterAll(() => ground.remove());
afterEach(() => vi.restoreAllMocks());

/** What a command prints. */
async function output(command: Command, args: string[], options: Record<string, unknown>): Promise<string> {
  let text = "";
  const write = vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
    text += String(chunk);
    return true;
  });
  try {
    await command.run?.(args, options);
  } catch (error) {
    // What the program would show of it.
    text += error instanceof Error ? error.message : String(error);
  } finally {
    write.mockRestore();
  }
  return text;
}

/** Every text in a JSON document, names of members too. */
function textsIn(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, one]) => [key, ...textsIn(one)]);
}

async function fill(row: Row, form: Form): Promise<void> {
  const share = freshGuest(ground, form, row.good === true);
  await row.make(share);
  share.finish();
  const definition = parseDomain(domainXml(form));
  try {
    prepareBoot(ground.paths, "worker-1", definition);
  } catch {
    // Refused: then there is no attempt to show.
  }
  const state = readState(ground.paths);
  const view: GuestView = {
    uuid: UUID,
    name: "worker-1",
    status: { state: "running", reason: "booted", saved: false },
    paths: ground.paths,
    report: NO_REPORT,
    state,
  };
  Object.assign(seen, { view, definition });
}

// Those that take seconds to make, or to stage, show nothing that others do not.
const rows = ROWS.filter(
  ({ name }) => !/100,000|largest kernel and initrd that are taken|bomb|lists of modules/.test(name),
);
const cases = rows.flatMap((row) =>
  formsOf(row).map((form): [string, Row, Form] => [`${row.name} (${form})`, row, form]),
);

describe("of a share with", () => {
  it.each(cases)("%s, nothing acts where it is shown", async (_name, row, form) => {
    await fill(row, form);
    const commands: [Command, string[], Record<string, unknown>][] = [
      [inspect, [ground.paths.share], { arch: "amd64" }],
      [kernels, ["worker-1"], {}],
      [status, ["worker-1"], {}],
      [history, ["worker-1"], { verbose: true }],
    ];
    for (const [command, args, options] of commands) {
      const text = await output(command, args, options);
      expect(text).not.toBe("");
      expect(text.split("\n").filter((line) => ACTING.test(line))).toEqual([]);
      const json = await output(command, args, { ...options, json: true });
      expect(json.split("\n").filter((line) => ACTING.test(line))).toEqual([]);
      // A folder that cannot be read makes inspect an error, which is a sentence and no document.
      if (json.startsWith("{") || json.startsWith("[")) {
        expect(textsIn(JSON.parse(json)).filter((one) => ACTING.test(one))).toEqual([]);
      }
    }
  });

  it("everything at once, the real program says the same", async () => {
    for (const name of [
      "names with newlines, escapes",
      "terminal's escapes",
      "every character that a name may have",
    ]) {
      const row = ROWS.find((one) => one.name.includes(name));
      if (row === undefined) throw new Error(`no row ${name}`);
      await fill(row, "virtiofs");
      const program = join(import.meta.dirname, "../../dist/bootshare.mjs");
      for (const json of [[], ["--json"]]) {
        const args = [program, "inspect", ground.paths.share, "--arch", "amd64", ...json];
        const { status: code, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
        expect([code, stderr]).toEqual([0, ""]);
        expect(stdout.split("\n").filter((line) => ACTING.test(line))).toEqual([]);
      }
    }
  });
});
