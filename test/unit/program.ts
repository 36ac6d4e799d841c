/**
 * The command line program itself, as the build makes it, with a program of the test's in the place of ssh, and one that refuses in
 * that of virsh: where a test fails, this machine's guests are left alone. Not for commands that see to the service.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "esbuild";

export class Bootshare {
  readonly folder = mkdtempSync(join(tmpdir(), "bootshare-program-"));

  /** @param ssh a shell script */
  static async withSsh(ssh: string): Promise<Bootshare> {
    const made = new Bootshare();
    await build({
      entryPoints: [join(import.meta.dirname, "../../src/cli.ts")],
      outfile: join(made.folder, "bootshare.mjs"),
      bundle: true,
      platform: "node",
      format: "esm",
      // As in build.mjs: libraries in CommonJS use require() for Node's own modules.
      banner: {
        js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
      },
    });
    for (const [name, script] of [
      ["ssh", ssh],
      ["virsh", "exit 1"],
    ]) {
      writeFileSync(join(made.folder, name ?? ""), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    }
    return made;
  }

  start(...args: string[]): ChildProcess {
    return spawn(process.execPath, [join(this.folder, "bootshare.mjs"), ...args], {
      env: { ...process.env, PATH: `${this.folder}:${process.env["PATH"] ?? ""}` },
      cwd: this.folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  /** Runs it to its end. */
  async run(...args: string[]): Promise<Outcome> {
    return await outcome(this.start(...args));
  }

  remove(): void {
    rmSync(this.folder, { recursive: true });
  }
}

export interface Outcome {
  /** null where a signal ended it. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a program printed by its end. */
export async function outcome(child: ChildProcess): Promise<Outcome> {
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (text) => {
    stdout += String(text);
  });
  child.stderr?.on("data", (text) => {
    stderr += String(text);
  });
  return await new Promise((resolve) => child.on("close", (code) => resolve({ code, stdout, stderr })));
}
