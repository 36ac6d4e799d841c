// Bundles the command line program and the hook into one file each, so that a machine that runs them needs
// Node.js and nothing from npm. The files that land in a guest are copied beside them as they are.
import { chmod, cp, readFile, rm } from "node:fs/promises";
import { build } from "esbuild";

const { version } = JSON.parse(await readFile("package.json", "utf8"));
await rm("dist", { recursive: true, force: true });
const common = {
  bundle: true,
  platform: "node",
  target: "node20.19",
  format: "esm",
  define: { BOOTSHARE_VERSION: JSON.stringify(version) },
  // Bundled CommonJS libraries use require() for Node's own modules, and __filename.
  banner: {
    js: [
      "#!/usr/bin/env node",
      "import { createRequire as bootshareCreateRequire } from 'node:module';",
      "import { fileURLToPath as bootshareFileURLToPath } from 'node:url';",
      "const require = bootshareCreateRequire(import.meta.url);",
      "const __filename = bootshareFileURLToPath(import.meta.url);",
    ].join("\n"),
  },
  logLevel: "warning",
};
// The program that looks into initrds is no file: it is handed to Node.js as text by the two that start it, so that it is
// always theirs, and a user without rights needs no way to it.
const preflight = await build({ ...common, banner: {}, entryPoints: ["src/preflight.ts"], write: false });
common.define.BOOTSHARE_PREFLIGHT = JSON.stringify(preflight.outputFiles[0].text);
await build({ ...common, entryPoints: ["src/cli.ts"], outfile: "dist/bootshare.mjs" });
await build({ ...common, entryPoints: ["src/hook.ts"], outfile: "dist/hook.mjs" });
await chmod("dist/bootshare.mjs", 0o755);
await cp("src/libvirt/hook-guard.sh", "dist/hook-guard.sh");
await cp("src/builder/upgrade-in-guest.sh", "dist/upgrade-in-guest.sh");
await cp("in-guest", "dist/in-guest", { recursive: true });
await cp("initrd", "dist/initrd", { recursive: true });
await cp("guest-package", "dist/guest-package", { recursive: true });
await cp("builder", "dist/builder", { recursive: true });
await cp("import", "dist/import", { recursive: true });
await cp("export", "dist/export", { recursive: true });
await cp("installer", "dist/installer", { recursive: true });
