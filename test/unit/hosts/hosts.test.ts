import { describe, expect, it } from "vitest";
import { takeHosts, type ValueOptions } from "../../../src/hosts/hosts.ts";
import { failureOf, mergeRows, notTried, resultOf } from "../../../src/hosts/merge.ts";

const PASS: Readonly<Record<string, ValueOptions>> = {
  exec: new Map(),
  run: new Map([
    ["--from", { many: false }],
    ["--copy-in", { many: true }],
  ]),
};
const split = (line: string) => takeHosts(line.split(" "), (name) => PASS[name]);

describe("--host", () => {
  it.each<[string, string[], string]>([
    ["list", [], "list"],
    ["--host a list", ["a"], "list"],
    ["--host=root@a --host b list --json", ["root@a", "b"], "list --json"],
    ["list --host a --json", ["a"], "list --json"],
    ["--host a --host a list", ["a"], "list"],
    ["--host ssh://root@a:2222 list", ["ssh://root@a:2222"], "list"],
    ["--host a exec g -- prog --host b", ["a"], "exec g -- prog --host b"],
    ["exec --host a g prog --host b", ["a"], "exec g prog --host b"],
    ["logs g -- --host b", [], "logs g -- --host b"],
  ])("%s", (line, hosts, rest) => {
    expect(split(line)).toMatchObject({ hosts, args: rest.split(" ") });
  });

  // What commander gives to the program there must be what was left to it here.
  it.each<[string, string[], string, string]>([
    ["run --from base --host h -- x --host b", ["h"], "run --from base", "-- x --host b"],
    ["run --from base --host h x --host b", ["h"], "run --from base x", "--host b"],
    ["run --from --host h -h", [], "run --from --host h", "-h"],
    ["run --from=base x --host h", [], "run --from=base x", "--host h"],
    ["run --copy-in a:/b c:/d --host h e:/f -- x", ["h"], "run --copy-in a:/b c:/d e:/f", "-- x"],
    ["run --copy-in a:/b --quiet x --host h", [], "run --copy-in a:/b --quiet x", "--host h"],
    ["run --quiet --host h - --host b", ["h"], "run --quiet -", "--host b"],
    ["--host h exec g -- shutdown -h now", ["h"], "exec g", "-- shutdown -h now"],
    ["--host h exec g shutdown -h now", ["h"], "exec g", "shutdown -h now"],
    ["--host h exec --help g", ["h"], "exec --help g", ""],
    ["--host h logs g --help", ["h"], "logs g --help", ""],
    ["--host h logs g -- --help", ["h"], "logs g", "-- --help"],
  ])("%s: where our own arguments end", (line, hosts, ours, theirs) => {
    const { own, args, hosts: found } = split(line);
    expect([found, args.slice(0, own).join(" "), args.slice(own).join(" ")]).toEqual([hosts, ours, theirs]);
  });

  it.each(["-oProxyCommand=sh", "", "a b", "a\nb", "a\u202eb"])("refuses %j", (host) => {
    expect(() => takeHosts(["list", "--host", host], () => undefined)).toThrow(
      /is no host\. Give it as ssh takes it/,
    );
  });

  it("misses its value", () => {
    expect(() => takeHosts(["list", "--host"], () => undefined)).toThrow("--host:  is no host.");
  });
});

const answer = (exitCode: number, stdout = "", stderr = "") => ({ host: "h", exitCode, stdout, stderr });

describe("what came of a host", () => {
  it.each([
    ["did it", answer(0, "[1]"), { outcome: "ok", exitCode: 0, result: [1], error: null }],
    [
      "could not be reached",
      answer(255, "", "ssh: connect to host h port 22: Connection refused\r\n"),
      {
        outcome: "unreachable",
        exitCode: null,
        error: { code: "HOST_UNREACHABLE", sentence: "ssh: connect to host h port 22: Connection refused" },
      },
    ],
    ["was cut off", answer(-1), { outcome: "unreachable", error: { sentence: "the connection broke" } }],
    [
      "has no bootshare",
      answer(127, "", "sh: 1: bootshare: not found\n"),
      { outcome: "no-bootshare", exitCode: null, error: { sentence: "sh: 1: bootshare: not found" } },
    ],
    [
      "failed",
      answer(
        3,
        "",
        "Note: x\nError: There is no guest named \u001b[31mg. [GUEST_NOT_FOUND]\nWhat to do: …\n",
      ),
      {
        outcome: "failed",
        exitCode: 3,
        error: { code: "GUEST_NOT_FOUND", sentence: "There is no guest named \\x1b[31mg." },
      },
    ],
    [
      "failed and printed JSON all the same",
      answer(1, '{"a":1}', "boom\n"),
      { outcome: "failed", result: { a: 1 }, error: { code: "HOST_FAILED", sentence: "boom" } },
    ],
    ["answers something else", answer(0, "Welcome!\n"), { outcome: "unreadable", result: null }],
  ])("%s", (_, given, expected) => {
    expect(resultOf(given, true)).toMatchObject({ host: "h", ...expected });
  });

  // What a program that was run there returned is told from what the host's shell says.
  it.each([
    [127, "sh: 1: bootshare: not found", "no-bootshare"],
    [126, "sh: 1: bootshare: Permission denied", "no-bootshare"],
    [127, "bash: line 1: bootshare: command not found", "no-bootshare"],
    [127, "motd\nbash: /usr/bin/bootshare: No such file or directory\r\n", "no-bootshare"],
    [127, "-bash: /usr/bin/bootshare: cannot execute: required file not found", "no-bootshare"],
    [127, "zsh:1: command not found: bootshare", "no-bootshare"],
    [126, "zsh:1: permission denied: bootshare", "no-bootshare"],
    [127, "bootshare: Command not found.", "no-bootshare"],
    [127, "sh: 1: nosuch: not found", "failed"],
    [127, "sh: 1: bootshare: not found\nand more", "failed"],
    [127, "sh: 1: not-bootshare: not found", "failed"],
    [127, "zsh:1: command not found: bootshared", "failed"],
    [126, "bootshare: deleting it", "failed"],
    [127, "", "failed"],
  ])("exec: %d with %j", (exitCode, stderr, outcome) => {
    const result = resultOf(answer(exitCode, "", stderr), false, true);
    expect(result).toMatchObject({ outcome, exitCode: outcome === "failed" ? exitCode : null });
    expect(failureOf([result])?.exitCode).toBe(outcome === "failed" ? exitCode : 5);
    // A command that runs none never returns these.
    expect(resultOf(answer(exitCode, "", stderr), false).outcome).toBe("no-bootshare");
  });

  it("makes one table, every cell escaped, and tells which answers it does not understand", () => {
    const results = [
      { ...resultOf(answer(0, '["a"]'), true), host: "one" },
      { ...resultOf(answer(0, '{"not":"rows"}'), true), host: "two" },
      { ...resultOf(answer(0, '["\\u001b[2J"]'), true), host: "three" },
      { ...resultOf(answer(255), true), host: "four" },
    ];
    const merged = mergeRows(results, (result) => {
      if (!Array.isArray(result)) throw new Error("no list");
      return [["NAME"], ...result.map((name) => [String(name)])];
    });
    expect(merged.rows).toEqual([
      ["HOST", "NAME"],
      ["one", "a"],
      ["three", "\\x1b[2J"],
    ]);
    expect(merged.results.map(({ outcome }) => outcome)).toEqual(["ok", "unreadable", "ok", "unreachable"]);
  });

  it.each([
    ["nobody failed", [0, 0], undefined],
    ["all that failed did so in the same way", [0, 3, 3], 3],
    ["they failed in different ways", [3, 4], 1],
    ["one cannot be reached", [0, 255], 1],
    ["none has it", [127, 127], 5],
  ])("ends with the exit code for: %s", (_, codes, expected) => {
    const results = codes.map((code) => resultOf(answer(code, "[]"), true));
    expect(failureOf(results)?.exitCode).toBe(expected);
  });

  it("names each that failed, and why", () => {
    const results = [
      { ...resultOf(answer(0, "[]"), true), host: "a" },
      { ...resultOf(answer(255, "", "ssh: no route to host"), true), host: "b" },
      { ...resultOf(answer(4, "", "Error: It is off. [GUEST_OFF]"), true), host: "c" },
      notTried("d"),
    ];
    const failure = failureOf(results);
    expect(failure).toMatchObject({ code: "HOSTS_FAILED", message: "3 of 4 hosts did not do it." });
    expect(failure?.detail?.split("\n")).toEqual([
      "b could not be reached: ssh: no route to host",
      "c failed: It is off.",
      "d was not tried, as an earlier one failed",
    ]);
  });
});
