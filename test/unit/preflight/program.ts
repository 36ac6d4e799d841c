/** The program that looks into initrds, as the build makes it. */
import { join } from "node:path";
import { build } from "esbuild";

export async function preflightProgram(): Promise<string> {
  const entryPoints = [join(import.meta.dirname, "../../../src/preflight.ts")];
  const { outputFiles } = await build({
    entryPoints,
    bundle: true,
    platform: "node",
    format: "esm",
    write: false,
  });
  const [file] = outputFiles;
  if (file === undefined) throw new Error("nothing was built");
  return file.text;
}
