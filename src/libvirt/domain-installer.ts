/**
 * The definition of the machine that Debian's installer runs in: no guest yet, so it has no share, no report port and no metadata of
 * ours, and bootshare's hook leaves it alone. Pure.
 */
import type { MachineShape } from "../machine/shape.ts";
import {
  address,
  type DomainSpec,
  domainElement,
  emulationWords,
  networkInterface,
} from "./domain-create.ts";
import { element, printXml, type XmlElement } from "./xml.ts";

/** Serial numbers that the scripts in the installer know the disks by (installer/): virtio-mmio devices come in any order. */
export const ROOT_SERIAL = "bootshare-root";
export const RESULT_SERIAL = "bootshare-result";

/** Paths are absolute, and of the host. */
export interface InstallerDomain extends Pick<DomainSpec, "uuid" | "name" | "cpus" | "mac" | "network"> {
  /** Of the installer's own kernel. */
  readonly shape: MachineShape;
  readonly memoryMiB: number;
  readonly kernel: string;
  readonly initrd: string;
  readonly serialLog: string;
  /** The guest's root disk, a qcow2 image. */
  readonly disk: string;
  /** The raw image that the installer hands the kernel out on. */
  readonly result: string;
  readonly interactive: boolean;
}

/**
 * The kernel's command line. What it does not know itself goes to the installer's programs as their environment.
 *
 * - Nobody there: the text frontend, which prints a question that has no answer, and waits (installer/console.ts sees it).
 * - `net.ifnames=0`: the network interface is eth0 in the guest, too, whose devices are at other places than the installer's.
 */
export function installerCmdline({
  shape,
  interactive,
}: Pick<InstallerDomain, "shape" | "interactive">): string {
  const frontend = interactive ? [] : ["priority=critical", "DEBIAN_FRONTEND=text"];
  return [`console=${shape.console}`, "panic=10", ...emulationWords(shape), ETH0, ...frontend].join(" ");
}

/** The kernel's own names of network interfaces, whatever place the device has. */
export const ETH0 = "net.ifnames=0";

/** The domain's XML. @throws {UserError} `TEXT_NOT_XML` */
export function installerDomainXml(spec: InstallerDomain): string {
  const { shape } = spec;
  const place = { shape };
  return printXml(
    // Off at a reboot as well: a panic, or a person who chooses it. What boots next is not the installer.
    domainElement(spec, {
      cmdline: installerCmdline(spec),
      devices: [
        element("emulator", {}, shape.emulator),
        disk({ file: spec.disk, format: "qcow2", target: "vda", serial: ROOT_SERIAL, place }),
        disk({ file: spec.result, format: "raw", target: "vdb", serial: RESULT_SERIAL, place }),
        // As in a guest's domain: libvirt adds one else.
        shape.bus === "ccw" ? undefined : element("controller", { type: "usb", model: "none" }),
        networkInterface(spec),
        element(
          "serial",
          { type: "pty" },
          element("log", { file: spec.serialLog, append: "on" }),
          element("target", { port: "0" }),
        ),
        element("console", { type: "pty" }, element("target", { type: "serial", port: "0" })),
        element("memballoon", { model: "none" }),
        element(
          "rng",
          { model: "virtio" },
          element("backend", { model: "random" }, "/dev/urandom"),
          address(place),
        ),
      ],
    }),
  );
}

interface DiskWishes {
  readonly file: string;
  readonly format: "qcow2" | "raw";
  readonly target: string;
  readonly serial: string;
  readonly place: { readonly shape: MachineShape };
}

/** Should the host crash, all begins anew: so no flush of the guest's is waited for, which makes dpkg several times as fast. */
function disk({ file, format, target, serial, place }: DiskWishes): XmlElement {
  return element(
    "disk",
    { type: "file", device: "disk" },
    element("driver", {
      name: "qemu",
      type: format,
      cache: "unsafe",
      discard: "unmap",
      detect_zeroes: "unmap",
    }),
    element("source", { file }),
    element("target", { dev: target, bus: "virtio" }),
    element("serial", {}, serial),
    address(place),
  );
}
