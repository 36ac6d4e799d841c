/** What a root disk that bootshare did not make itself boots first, by the same rules as at every start. */
import { lookAtNext } from "../boot/look-next.ts";
import { select } from "../boot/select.ts";
import type { UserError } from "../errors.ts";
import { catalogue } from "../kernel/catalogue.ts";
import type { DomainMachine } from "../kernel/features.ts";
import type { MachineShape } from "../machine/shape.ts";
import { readBootFolder } from "../share/folder.ts";
import type { ShareTransport } from "../share/transport.ts";
import { printable } from "../text.ts";

/** The machine of a guest as a kernel has to fit it. */
export function domainOf(shape: MachineShape, transport: ShareTransport): DomainMachine {
  const { kernelArch, arch, bus, highmem, accel } = shape;
  const diskBus = `virtio-${bus}`;
  return {
    ...{ arch: kernelArch, userland: arch, bus, highmem, modernMmio: true, diskBus, accel },
    transport: transport.name,
  };
}

/**
 * The release of that kernel.
 *
 * @param refusal makes what is thrown where there is none; `tried` says why, a printable line for each kernel
 */
export function firstBootable(
  bootDir: string,
  machine: DomainMachine,
  refusal: (tried: string) => UserError,
): string {
  const found = catalogue(readBootFolder(bootDir), machine.arch);
  const { selection } = lookAtNext(
    bootDir,
    select({ catalogue: found, pin: undefined, good: undefined, machine }),
    machine,
  );
  const [first] = selection.candidates;
  if (first !== undefined) return first.release;
  throw refusal(
    selection.skipped
      .map(({ release, reason }) => `${printable(release)}: ${printable(reason, 500)}`)
      .join("\n"),
  );
}
