// The rooms of src/ and the one direction in which they may import (docs/internals.md).
// A room may import itself, the ground floor (errors, mode, paths, process, text), and the rooms named for it here.
const ground = "^src/(errors|folders|mode|paths|process|text|version)\\.ts$";
const rooms = {
  kernel: [],
  share: ["kernel"],
  preflight: ["kernel"],
  boot: ["preflight", "share", "kernel"],
  machine: ["share", "kernel"],
  libvirt: ["machine", "share", "kernel"],
  provision: ["libvirt", "machine", "share", "kernel"],
  guest: ["provision", "libvirt", "machine", "boot", "share", "kernel"],
  builder: ["guest", "provision", "libvirt", "machine", "boot", "share", "kernel"],
  hosts: ["guest"],
  serve: ["builder", "guest", "libvirt", "boot"],
  doctor: ["serve", "guest", "provision", "libvirt", "machine", "boot", "share", "kernel"],
  commands: [
    "preflight",
    "doctor",
    "serve",
    "builder",
    "hosts",
    "guest",
    "provision",
    "libvirt",
    "machine",
    "boot",
    "share",
    "kernel",
  ],
};
const roomRules = Object.entries(rooms).map(([room, below]) => ({
  name: `${room}-imports-down-only`,
  severity: "error",
  from: { path: `^src/${room}/` },
  to: { path: "^src/", pathNot: [ground, `^src/(${[room, ...below].join("|")})/`] },
}));
module.exports = {
  forbidden: [
    ...roomRules,
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    {
      name: "ground-imports-nothing-above",
      severity: "error",
      from: { path: ground },
      to: { path: "^src/", pathNot: ground },
    },
    {
      name: "hook-stays-small",
      comment:
        "libvirt waits for the hook and it runs as root: it may reach boot/, share/, kernel/ and the XML reader only",
      severity: "error",
      from: { path: "^src/hook\\.ts$" },
      to: {
        path: "^src/",
        pathNot: [ground, "^src/(boot|share|kernel)/", "^src/libvirt/domain-parse\\.ts$"],
      },
    },
    {
      name: "preflight-stays-small",
      comment:
        "it meets a guest's bytes and is handed over as text: it may reach preflight/ and kernel/ only",
      severity: "error",
      from: { path: "^src/preflight\\.ts$" },
      to: { path: "^src/", pathNot: [ground, "^src/(preflight|kernel)/"] },
    },
    {
      name: "one-module-for-child-processes",
      severity: "error",
      from: { path: "^src/", pathNot: ["^src/process\\.ts$"] },
      to: { path: "(^(node:)?child_process$|node_modules/execa)" },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
  },
};
