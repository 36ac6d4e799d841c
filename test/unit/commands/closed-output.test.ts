import { EventEmitter, once } from "node:events";
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { outliveReaders } from "../../../src/commands/closed-output.ts";
import { type EndingSignal, endedBySignals } from "../../../src/commands/signals.ts";
import { Bootshare, outcome } from "../program.ts";

describe("a write that fails", () => {
  const failing = () => {
    const [stdout, stderr, exit] = [new EventEmitter(), new EventEmitter(), vi.fn()];
    outliveReaders(stdout, stderr, exit);
    const fail = (stream: "stdout" | "stderr", code: string): void => {
      ({ stdout, stderr })[stream].emit("error", Object.assign(new Error(code), { code }));
    };
    return { fail, exit };
  };

  it.each<["stdout" | "stderr", string, number]>([
    ["stdout", "EPIPE", 1],
    ["stdout", "EIO", 0],
    ["stderr", "EPIPE", 0],
    ["stderr", "EIO", 0],
  ])("%s, %s: ends a command that cannot be ended otherwise %d times", (stream, code, exits) => {
    const { fail, exit } = failing();
    fail(stream, code);
    expect(exit.mock.calls).toEqual(exits === 0 ? [] : [[0]]);
  });

  it.each<["stdout" | "stderr", string, EndingSignal | undefined]>([
    ["stdout", "EPIPE", "SIGPIPE"],
    ["stdout", "EIO", undefined],
    ["stderr", "EPIPE", undefined],
    ["stderr", "EIO", undefined],
  ])("%s, %s: what is ended by signals gets %s, once", async (stream, code, signal) => {
    const { fail, exit } = failing();
    const reasons: EndingSignal[] = [];
    const ended = await endedBySignals(
      async (stop) => {
        for (const _ of [1, 2]) fail(stream, code);
        return stop.signal.aborted;
      },
      (by) => {
        reasons.push(by);
        return new Error(by);
      },
    );
    expect([ended, reasons, exit.mock.calls]).toEqual([signal !== undefined, signal ? [signal] : [], []]);
    fail("stdout", "EPIPE");
    expect(exit).toHaveBeenCalledOnce();
  });

  it.each(["stdout", "stderr"] as const)("%s: any other failure is one", (stream) => {
    expect(() => failing().fail(stream, "ENOSPC")).toThrow("ENOSPC");
  });
});

describe("the real program", () => {
  let bootshare: Bootshare;
  const at = (name: string): string => join(bootshare.folder, name);
  beforeAll(async () => {
    // What it has to take back is what runs on the host.
    bootshare = await Bootshare.withSsh(`trap ': >cleaned; exit 1' TERM
for last; do :; done
case $last in
*logs*) stream=2 ;;
*) stream=1 ;;
esac
i=0
while [ $i -lt 30 ]; do echo "line $i" >&$stream; i=$((i + 1)); sleep 0.05; done
: >done`);
  });
  beforeEach(() => {
    for (const name of ["cleaned", "done"]) rmSync(at(name), { force: true });
  });
  afterAll(() => bootshare.remove());

  it("takes back what it made when nobody reads its output", async () => {
    const child = bootshare.start("--host", "h", "upgrade", "g");
    await once(child.stdout ?? child, "data");
    child.stdout?.destroy();
    const { code, stderr } = await outcome(child);
    expect({ code, stderr }).toEqual({
      code: 141,
      stderr: "Error: It was interrupted (SIGPIPE). [INTERRUPTED]\n",
    });
    expect([existsSync(at("cleaned")), existsSync(at("done"))]).toEqual([true, false]);
  });

  it("goes on when nobody reads its standard error", async () => {
    const child = bootshare.start("--host", "h", "logs", "g");
    await once(child.stderr ?? child, "data");
    child.stderr?.destroy();
    expect(await outcome(child)).toMatchObject({ code: 0 });
    expect([existsSync(at("cleaned")), existsSync(at("done"))]).toEqual([false, true]);
  });

  it("takes back what it made when the reader of both died of the same Ctrl-C", async () => {
    const child = bootshare.start("--host", "h", "upgrade", "g");
    await once(child.stdout ?? child, "data");
    child.stderr?.destroy();
    child.stdout?.destroy();
    child.kill("SIGINT");
    const { code } = await outcome(child);
    expect([130, 141]).toContain(code);
    expect(existsSync(at("cleaned"))).toBe(true);
  });

  it("is quiet where there is nothing to take back", async () => {
    const child = bootshare.start("create", "--help");
    child.stdout?.destroy();
    expect(await outcome(child)).toEqual({ code: 0, stdout: "", stderr: "" });
  });
});
