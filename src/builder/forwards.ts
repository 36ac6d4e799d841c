/**
 * Letting OBS call its workers back: on QEMU's user-mode networking nothing reaches a guest, so QEMU is asked to forward each
 * worker's port, the same number on both sides. That lives as long as QEMU does, so it is looked at again and again by the
 * service, whoever started the guest. On a bridge there is nothing to do.
 */
import { createSocket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { definitionOf, type Guest } from "../guest/inventory.ts";
import { type Forward, parseForwards } from "../guest/ssh.ts";
import { instancesOf, readWorker, type Worker } from "../guest/worker.ts";
import { monitorCommand } from "../libvirt/virsh.ts";
import { printable } from "../text.ts";

const LOOPBACK = "127.0.0.1";

/** What is to be changed about a guest's forwards. */
export interface ForwardChanges {
  readonly remove: readonly Forward[];
  readonly add: readonly Forward[];
}

/**
 * Each worker's port on each address. A worker waits until it reaches itself through the host's loopback interface
 * (in-guest/usr/lib/bootshare/obs-worker), so that address is the last to be added.
 *
 * @param addresses of this host, in which {@link LOOPBACK} need not be
 */
export function forwardChanges(
  worker: Worker,
  addresses: readonly string[],
  present: readonly Forward[],
): ForwardChanges {
  const ports = instancesOf(worker).map(({ port }) => port);
  const ordered = [...new Set(addresses.filter((address) => address !== LOOPBACK)), LOOPBACK];
  const wanted = ordered.flatMap((address) => ports.map((port) => ({ address, port, guestPort: port })));
  const same = (a: Forward) => (b: Forward) =>
    a.address === b.address && a.port === b.port && a.guestPort === b.guestPort;
  return {
    // This host had another address when it was added.
    remove: present.filter((one) => ports.includes(one.guestPort) && !wanted.some(same(one))),
    add: wanted.filter((one) => !present.some(same(one))),
  };
}

/**
 * Sees to it that a running guest's workers can be called back.
 *
 * @returns why they cannot, a sentence, printable; undefined when all is well, or the guest needs nothing
 */
export async function ensureForwards(guest: Guest): Promise<string | undefined> {
  if (guest.status.state !== "running") return undefined;
  const worker = readWorker(guest.paths);
  if (worker === undefined) return undefined;
  const { network } = await definitionOf(guest);
  if (network?.kind !== "user") return undefined;
  const address = await localAddress(worker.repo.host, worker.repo.port);
  const present = parseForwards(await monitorCommand(guest.uuid, "info usernet"));
  const { remove, add } = forwardChanges(worker, [address], present);
  for (const one of remove) await monitorCommand(guest.uuid, `hostfwd_remove tcp:${one.address}:${one.port}`);
  for (const one of add) {
    // QEMU says something only when it could not.
    const answer = await monitorCommand(
      guest.uuid,
      `hostfwd_add tcp:${one.address}:${one.port}-:${one.guestPort}`,
    );
    if (answer.trim() !== "") {
      return `port ${one.port} of ${one.address} cannot be forwarded to its worker: ${printable(answer.trim(), 200)}`;
    }
  }
  return undefined;
}

/**
 * The address of this host that a server sees when a guest on user-mode networking calls it, and so calls back: that of the
 * interface that leads there. Nothing is sent for this.
 */
async function localAddress(host: string, port: number): Promise<string> {
  const { address } = await lookup(host, { family: 4 });
  return await new Promise((resolve, reject) => {
    const socket = createSocket("udp4");
    socket.on("error", (error) => {
      socket.close();
      reject(error);
    });
    socket.connect(port, address, () => {
      const local = socket.address().address;
      socket.close();
      resolve(local);
    });
  });
}
