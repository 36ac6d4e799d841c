/** Does one thing that it is told by its arguments: a program of its own, so that it can be killed. */
import { changePolicy } from "../../src/boot/policy.ts";
import { makeStateFolder } from "../../src/folders.ts";
import { installHook } from "../../src/libvirt/hook-install.ts";
import { guestPaths } from "../../src/paths.ts";

const [what, where = ""] = process.argv.slice(2);
process.umask(0o077);
if (what === "install") await installHook({ restart: false }, JSON.parse(where));
if (what === "policy") changePolicy(guestPaths(where), { pin: "6.1.0-10-amd64" });
if (what === "folder") makeStateFolder(where);
