// Runs the guard that libvirt would run, with a stand-in for Node.js that writes down what it was given.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { renderGuard } from "../../../src/libvirt/hook-install.ts";
import { METADATA_NAMESPACE } from "../../../src/paths.ts";

const TEMPLATE = readFileSync(join(import.meta.dirname, "../../../src/libvirt/hook-guard.sh"), "utf8");
const OURS = `<domain>\n  <metadata>\n    <bootshare:guest xmlns:bootshare="${METADATA_NAMESPACE}"/>\n  </metadata>\n  <title>%s \\n $HOME \`id\`</title>\n</domain>\n`;
const FOREIGN = "<domain>\n  <name>other</name>\n</domain>\n";
const CALLED = ["prepare begin", "started begin", "release end", "restore begin"];
const PASSED = [
  "reconnect begin",
  "start begin",
  "stopped end",
  "migrate begin",
  "attach begin",
  "prepare end",
  " ",
  "x y",
];

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "bootshare it's a test-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Arguments and standard input of the program, where it was run. */
  readonly args: readonly string[] | undefined;
  readonly input: string | undefined;
}

/**
 * @param exit exit code of the stand-in, or null where there is none
 * @param uid another user than this one, for root alone
 */
function callGuard(phase: string, xml: string, exit: number | null = 0, extra = "-", uid?: number): Outcome {
  const node = join(dir, "node");
  const program = join(dir, "hook.mjs");
  const guard = join(dir, "guard");
  if (exit !== null) {
    const record = `printf '%s\\n' "$@" umask "$(umask)" "path=$PATH" "options=$NODE_OPTIONS" >"\${0%/*}/args"; cat >"\${0%/*}/input"`;
    writeFileSync(node, `#!/bin/sh\n${record}\necho out; echo err >&2; exit ${exit}\n`);
    chmodSync(node, 0o755);
    writeFileSync(program, "");
  }
  writeFileSync(guard, renderGuard(TEMPLATE, { node, program }, "boot 1.00"));
  chmodSync(guard, 0o755);
  const env = { PATH: `${dir}:/usr/bin:/bin`, NODE_OPTIONS: "--require /evil" };
  const { status, stdout, stderr } = spawnSync(guard, ["w", ...phase.split(" "), extra], {
    input: xml,
    encoding: "utf8",
    env,
    ...(uid === undefined ? {} : { uid }),
  });
  const read = (name: string): string | undefined =>
    existsSync(join(dir, name)) ? readFileSync(join(dir, name), "utf8") : undefined;
  return { status, stdout, stderr, args: read("args")?.trimEnd().split("\n"), input: read("input") };
}

describe("a guest of ours", () => {
  test.each(CALLED)("%s reaches the program with the XML as it was", (phase) => {
    const { status, stdout, args, input } = callGuard(phase, OURS);
    expect(status).toBe(0);
    expect(stdout).toBe("");
    expect(args?.slice(1, 3)).toEqual(phase.split(" "));
    expect(args?.[3]).toBe(String(process.pid));
    expect(args?.[4]).toBe("-");
    expect(input).toBe(OURS);
  });

  test("the reason of a release is handed on", () => {
    expect(callGuard("release end", OURS, 0, "shutdown").args?.[4]).toBe("shutdown");
  });

  test("the program runs with a fixed path, a tight umask, and no options from outside", () => {
    expect(callGuard("prepare begin", OURS).args?.slice(5)).toEqual([
      "umask",
      "0077",
      "path=/usr/sbin:/usr/bin:/sbin:/bin",
      "options=",
    ]);
  });

  test("a program that fails refuses the start, and says why", () => {
    const { status, stdout, stderr } = callGuard("prepare begin", OURS, 1);
    expect(status).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toBe("err\n");
  });

  test.each(CALLED.filter((phase) => phase !== "prepare begin"))(
    "a program that fails in %s fails alone",
    (phase) => {
      expect(callGuard(phase, OURS, 1).status).toBe(0);
    },
  );

  test.skipIf(process.getuid?.() !== 0)(
    "a user who may not run the program is left to bootshare, which does its work itself",
    () => {
      chmodSync(dir, 0o755);
      expect(callGuard("prepare begin", OURS, null, "-", 65_534)).toMatchObject({ status: 0, stderr: "" });
    },
  );

  test("without the program a start is refused in one line", () => {
    const { status, stderr } = callGuard("prepare begin", OURS, null);
    expect(status).toBe(1);
    expect(stderr).toMatch(/^bootshare: [^\n]+bootshare hook install[^\n]+\n$/);
  });

  test.each(CALLED.filter((phase) => phase !== "prepare begin"))(
    "without the program %s passes in silence",
    (phase) => {
      expect(callGuard(phase, OURS, null)).toMatchObject({ status: 0, stdout: "", stderr: "" });
    },
  );

  test.each(PASSED)("'%s' passes without the program", (phase) => {
    expect(callGuard(phase, OURS, 1)).toMatchObject({ status: 0, stdout: "", stderr: "", args: undefined });
  });
});

describe("another's domain", () => {
  test.each([...CALLED, ...PASSED])("'%s' passes without the program", (phase) => {
    for (const xml of [FOREIGN, ""]) {
      expect(callGuard(phase, xml, 1)).toMatchObject({ status: 0, stdout: "", stderr: "", args: undefined });
    }
  });
});
