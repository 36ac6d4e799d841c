/** Installs the hook at the places that its argument names: a program of its own, so that it can be killed. */
import { installHook } from "../../src/libvirt/hook-install.ts";

await installHook({ restart: false }, JSON.parse(process.argv[2] ?? ""));
