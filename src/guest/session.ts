/** What a user's own libvirt cannot do, and root's can. */
import { statSync } from "node:fs";
import { EXIT, UserError } from "../errors.ts";
import type { NetworkSpec } from "../libvirt/domain-create.ts";
import { daemonVersion } from "../libvirt/virsh.ts";
import { type WorkMode, workMode } from "../mode.ts";

/** The first libvirt that runs virtiofsd as an ordinary user (https://libvirt.org/news.html, 10.0.0). */
const USERS_VIRTIOFS = 10;

/** Why libvirt cannot have virtiofsd serve this user's share, as half a sentence; undefined where it can. */
export function virtiofsObstacle(
  version: readonly [major: number, minor: number] | undefined,
): string | undefined {
  if (version !== undefined && version[0] >= USERS_VIRTIOFS) return undefined;
  const found = version === undefined ? "libvirt" : `libvirt ${version.join(".")}`;
  return `${found} serves virtiofs to root's guests alone (libvirt ${USERS_VIRTIOFS}.0 to anybody's)`;
}

/** {@link virtiofsObstacle} of this machine and mode. */
export async function presentVirtiofsObstacle(): Promise<string | undefined> {
  return workMode().name === "system" ? undefined : virtiofsObstacle(await daemonVersion());
}

/** Where Debian has QEMU's helper that attaches guests to bridges. */
export const BRIDGE_HELPER = "/usr/lib/qemu/qemu-bridge-helper";

/**
 * @param bridges whether QEMU's bridge helper has root's rights, as an administrator may have given it
 * @throws {UserError} `NETWORK_NEEDS_ROOT` for a network that a user's guest cannot be connected to
 */
export function requireNetwork(
  network: NetworkSpec,
  mode: WorkMode["name"] = workMode().name,
  bridges: boolean = hasBridgeHelper(),
): void {
  if (mode === "system" || network.kind === "user" || (network.kind === "bridge" && bridges)) return;
  const isBridge = network.kind === "bridge";
  throw new UserError(
    "NETWORK_NEEDS_ROOT",
    isBridge
      ? `An ordinary user's guest cannot be connected to the bridge ${network.name}: QEMU's helper has no rights here.`
      : `An ordinary user's guest cannot be connected to libvirt's network ${network.name}.`,
    {
      exitCode: EXIT.unusable,
      hint: isBridge
        ? `Take --network user; or, as root: chmod u+s ${BRIDGE_HELPER}, and 'allow ${network.name}' in /etc/qemu/bridge.conf.`
        : "Take --network user.",
    },
  );
}

function hasBridgeHelper(): boolean {
  const stats = statSync(BRIDGE_HELPER, { throwIfNoEntry: false });
  return stats !== undefined && stats.uid === 0 && (stats.mode & 0o4000) !== 0;
}
