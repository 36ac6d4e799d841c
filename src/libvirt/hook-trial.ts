/**
 * Proves that libvirt's daemon really calls the hook: it is asked to start a domain that the hook must refuse.
 *
 * The domain carries bootshare's metadata and a new UUID, for which there is no guest's folder; the hook refuses such a
 * domain (GUEST_WITHOUT_FOLDER in ../hook.ts) before QEMU is run. It is *created*, never defined, so libvirt forgets it
 * when the start fails and nothing is left behind even if this process is killed. Where nobody calls the hook, the start
 * fails a little later, since the kernel that the domain names does not exist; and if libvirt's settings let it go on even
 * so, the domain is paused, and destroyed as soon as virsh ends (`--paused --autodestroy`).
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UserError } from "../errors.ts";
import type { MachineShape } from "../machine/shape.ts";
import { guestPathsOf, METADATA_NAMESPACE, qemuLog } from "../paths.ts";
import { printable } from "../text.ts";
import { destroyDomain, virsh } from "./virsh.ts";
import { element, printXml } from "./xml.ts";

export interface HookTrial {
  /** `unknown`: libvirt failed before, or for a reason that has nothing to do with our hook. */
  readonly outcome: "called" | "broken" | "not-called" | "unknown";
  /** What libvirt or the hook said where it was not what it should be; printable, at most a line. */
  readonly said: string;
}

/** What the trial may take, in milliseconds: libvirt may have to examine QEMU first, and the hook to start, on a slow machine. */
const TIMEOUT_MS = 240_000;

/** Tries it with a machine of this shape, of which only type, architecture and emulator matter. */
export async function tryHook(shape: MachineShape): Promise<HookTrial> {
  const uuid = randomUUID();
  const name = `bootshare-doctor-${process.pid}`;
  const dir = await mkdtemp(join(tmpdir(), "bootshare-doctor-"));
  try {
    const file = join(dir, "domain.xml");
    await writeFile(file, trialDomainXml(uuid, name, shape), { mode: 0o600 });
    await virsh(["create", "--paused", "--autodestroy", file], { timeoutMs: TIMEOUT_MS });
    return judgeHookTrial(undefined, uuid);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    // virsh was ended, and with its connection the domain is gone; a daemon that hangs may be late with that.
    if (error.code === "LIBVIRT_TIMEOUT") await destroyDomain(uuid).catch(() => undefined);
    return judgeHookTrial(error, uuid);
  } finally {
    await rm(dir, { recursive: true, force: true });
    // libvirt begins a log for every domain that it is asked to start.
    await rm(qemuLog(name), { force: true }).catch(() => undefined);
  }
}

/** The domain of the trial: as little as libvirt takes. */
export function trialDomainXml(uuid: string, name: string, shape: MachineShape): string {
  return printXml(
    element(
      "domain",
      { type: "qemu" },
      element("name", {}, name),
      element("uuid", {}, uuid),
      element(
        "metadata",
        {},
        element(
          "bootshare:guest",
          { "xmlns:bootshare": METADATA_NAMESPACE, uuid, schema: "1" },
          element("bootshare:arch", {}, shape.arch),
        ),
      ),
      element("memory", { unit: "MiB" }, "64"),
      element("vcpu", {}, "1"),
      element(
        "os",
        {},
        element("type", { arch: shape.libvirtArch, machine: shape.machine }, "hvm"),
        element("kernel", {}, guestPathsOf(uuid).runKernel),
      ),
      element("on_reboot", {}, "destroy"),
      element(
        "devices",
        {},
        element("emulator", {}, shape.emulator),
        element("controller", { type: "usb", model: "none" }),
        element("memballoon", { model: "none" }),
      ),
    ),
  );
}

/** @param error what came of starting the domain; undefined when it was started */
export function judgeHookTrial(
  error: Pick<UserError, "code" | "message" | "detail"> | undefined,
  uuid: string,
): HookTrial {
  if (error === undefined) return { outcome: "not-called", said: "libvirt started the trial domain" };
  const text = `${error.message}\n${error.detail ?? ""}`;
  const lines = (error.detail ?? "").split("\n").filter((line) => !line.includes("Failed to create domain"));
  const said = printable(
    (lines[0] || error.message).replace(/^error: |^.*unexpected exit status \d+: /, ""),
    120,
  );
  if (error.code === "HOOK_REFUSED_START") {
    if (error.message.includes(uuid) && error.message.includes("does not exist")) {
      return { outcome: "called", said: "" };
    }
    // Our guard's own words ("The hook's program … is missing"), or somebody else's hook, which came first.
    const ours = !error.message.startsWith("A libvirt hook refused");
    return ours ? { outcome: "broken", said: printable(error.message, 120) } : { outcome: "unknown", said };
  }
  // The missing kernel: libvirt came past the hook.
  if (text.includes(guestPathsOf(uuid).runKernel)) return { outcome: "not-called", said };
  return { outcome: "unknown", said };
}
