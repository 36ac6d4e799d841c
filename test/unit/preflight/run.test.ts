// The look as it is really done: by another process, without rights, under limits. What runs here in place of the program
// stands for one that a hostile initrd has taken over.
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, test } from "vitest";
import { type Looked, type LookOptions, lookIntoInitrd } from "../../../src/preflight/run.ts";
import { runConfined } from "../../../src/process.ts";
import { cpio, pack, RELEASE, tree } from "../kernel/initrds.ts";
import { preflightProgram } from "./program.ts";

const BOUNDS = { cpuSeconds: 20, memoryBytes: 2 * 1024 ** 3, timeoutMs: 50_000, maxOutput: 10_000 };
const AS_ROOT = process.getuid?.() === 0;

let program: string;
let dir: string;
beforeAll(async () => {
  program = await preflightProgram();
  // Nobody else may enter it, as with the store of a guest's pairs.
  dir = mkdtempSync(join(tmpdir(), "bootshare-run-"));
});
afterAll(() => rmSync(dir, { recursive: true }));

function look(bytes: Buffer, options: LookOptions = {}): Looked {
  const file = join(dir, "initrd");
  writeFileSync(file, bytes, { mode: 0o600 });
  const fd = openSync(file, "r");
  try {
    return lookIntoInitrd(fd, { program, ...options });
  } finally {
    closeSync(fd);
  }
}

const INITRD = pack("zstd", cpio(tree()));

describe("lookIntoInitrd", () => {
  it("tells what is in an initrd that only its owner may open", () => {
    expect(look(INITRD)).toEqual({
      ok: true,
      lasting: true,
      facts: expect.objectContaining({
        formats: ["zstd"],
        archives: 1,
        init: true,
        madeBy: "initramfs-tools",
        releases: [expect.objectContaining({ release: RELEASE })],
      }),
    });
  });

  it("stops a bomb at the limit", () => {
    const bomb = pack("xz", cpio([{ name: "big", content: Buffer.alloc(16 * 1024 * 1024) }]));
    expect(bomb.length).toBeLessThan(10_000);
    expect(look(bomb, { limits: { maxBytes: 1024 * 1024 } })).toMatchObject({
      ok: true,
      lasting: true,
      facts: { problem: "too-large" },
    });
  });

  it("ends what computes for too long", () => {
    const confinement = { ...BOUNDS, cpuSeconds: 1 };
    expect(look(INITRD, { program: "for (;;);", confinement })).toMatchObject({
      ok: true,
      lasting: false,
      facts: { problem: "too-long" },
    });
  });

  it("ends what waits for too long, and does not blame the initrd for it", () => {
    const confinement = { ...BOUNDS, timeoutMs: 1500 };
    expect(look(INITRD, { program: "setInterval(() => {}, 1000);", confinement })).toEqual({
      ok: false,
      reason: "this machine is busy, and it took more than 1.5 s",
    });
  });

  const whole = { formats: [], archives: 1, bytes: 1, init: true, madeBy: "dracut", releases: [] };
  const lies: [string, string][] = [
    ["nothing", ""],
    ["no JSON", "console.log('yes')"],
    ["another shape", "console.log('{}')"],
    ["more than is asked for", `console.log(${JSON.stringify(JSON.stringify({ ...whole, more: 1 }))})`],
    [
      "a problem of its own",
      `console.log(${JSON.stringify(JSON.stringify({ ...whole, problem: "\x1b[2J" }))})`,
    ],
    [
      "a long name",
      `console.log(${JSON.stringify(JSON.stringify({ ...whole, releases: [{ release: "x".repeat(65), listsBuiltIn: true, drivers: {} }] }))})`,
    ],
    ["without end", "for (;;) process.stdout.write('x'.repeat(65536));"],
    ["and fails", `console.log(${JSON.stringify(JSON.stringify(whole))}); process.exitCode = 1;`],
  ];
  test.each(lies)("believes none that prints %s", (_what, text) => {
    expect(look(INITRD, { program: text })).toMatchObject({ ok: false });
  });

  it("tells the last line of one that fails, harmless", () => {
    const text = "console.error('first\\nlast \\x1b[2J'); process.exitCode = 3;";
    expect(look(INITRD, { program: text })).toEqual({
      ok: false,
      reason: "the program for it failed (last \\x1b[2J)",
    });
  });

  it("without the program says so", () => {
    expect(look(INITRD, { program: undefined })).toEqual({
      ok: false,
      reason: "bootshare is run from its sources",
    });
  });
});

describe("runConfined", () => {
  const confined = (code: string, bounds = BOUNDS) => {
    const fd = openSync("/dev/null", "r");
    try {
      return runConfined(process.execPath, ["--input-type=module", "-"], code, fd, bounds);
    } finally {
      closeSync(fd);
    }
  };

  it("takes rights, groups, environment and working directory away", () => {
    process.env["BOOTSHARE_TEST_SECRET"] = "secret";
    const asked =
      "process.getuid(), process.getgid(), process.getgroups(), process.cwd(), Object.keys(process.env)";
    const { stdout } = confined(`console.log(JSON.stringify([${asked}]))`);
    delete process.env["BOOTSHARE_TEST_SECRET"];
    const [uid, gid, groups, cwd, names] = JSON.parse(stdout) as [number, number, number[], string, string[]];
    expect(names.sort()).toEqual(["LC_ALL", "PATH"]);
    expect(cwd).toBe("/");
    if (AS_ROOT) expect([uid, gid, groups.filter((group) => group !== 65534)]).toEqual([65534, 65534, []]);
  });

  it("limits processor time, memory, core files, what it writes and opens", () => {
    const { stdout } = confined(
      "import { readFileSync } from 'node:fs'; console.log(readFileSync('/proc/self/limits', 'utf8'))",
    );
    for (const line of [
      /^Max cpu time +20 +21 /m,
      /^Max address space +2147483648 +2147483648 /m,
      /^Max core file size +0 +0 /m,
      /^Max file size +0 +0 /m,
      /^Max open files +64 +64 /m,
    ]) {
      expect(stdout).toMatch(line);
    }
  });

  it("comes to no other rights by a set-uid program", () => {
    const { stdout } = confined(
      "import { readFileSync } from 'node:fs'; console.log(readFileSync('/proc/self/status', 'utf8'))",
    );
    expect(stdout).toMatch(/^NoNewPrivs:\t1$/m);
    expect(stdout).toMatch(/^CapEff:\t0+$/m);
  });

  it("lets no file grow, not even one that everybody may write", () => {
    const open = mkdtempSync(join(tmpdir(), "bootshare-open-"));
    const file = join(open, "file");
    try {
      writeFileSync(file, "", { mode: 0o666 });
      const { exitCode, stderr } = confined(
        `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(file)}, 'x')`,
      );
      expect(exitCode).not.toBe(0);
      expect(stderr).toMatch(/EFBIG|EACCES/);
    } finally {
      rmSync(open, { recursive: true });
    }
  });

  it("ends what takes more memory than it may", () => {
    const { exitCode } = confined("const all = []; for (;;) all.push(Buffer.alloc(64 * 1024 * 1024, 1));", {
      ...BOUNDS,
      memoryBytes: 1.5 * 1024 ** 3,
    });
    expect(exitCode).not.toBe(0);
  });
});
