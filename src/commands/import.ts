import { z } from "zod";
import { Creation } from "../guest/create.ts";
import { ImageDisk } from "../guest/image-disk.ts";
import { printable } from "../text.ts";
import { defineCommand } from "./command.ts";
import { guestWishes, MACHINE_OPTIONS, MAKING_OPTIONS, makeGuest, newGuestShape } from "./new-guest.ts";
import { printLines } from "./output.ts";

export const import_ = defineCommand({
  name: "import",
  summary: "make a guest of a disk image that Debian or Ubuntu is installed on",
  about:
    "Makes a guest of a copy of a disk image, raw or qcow2, partitioned or not, with an installed Debian or one of its kin: an image for clouds, of debvm, of autopkgtest. Its /boot comes onto a folder of this host, its boot loader is not used any more, and in its first boot it installs the parts that report its boots. The image itself is only read; this host's kernel never mounts it (docs/importing.md).",
  arguments: [["<image>", "the disk image"]],
  options: [{ flags: "--name <name>", text: "name of the new guest" }, ...MACHINE_OPTIONS, ...MAKING_OPTIONS],
  examples: [
    ["bootshare import debian-12-genericcloud-amd64.qcow2 --name cloud1", "an image for clouds"],
    ["bootshare import rootfs.ext4 --name vm1 --memory 1G", "an image that debvm-create made"],
  ],
  schema: z.object({ ...newGuestShape, name: z.string({ error: "the new guest needs one" }) }),
  action: async ([image = ""], options) => {
    const wishes = guestWishes(options.name, options);
    const disk = new ImageDisk(image, wishes);
    await makeGuest(new Creation(wishes, disk), wishes);
    const { name } = wishes;
    printLines([
      `${name} is up, a guest made of ${printable(image)}, which stays as it was.`,
      ...disk.notes.map((note) => `Note: ${note}`),
      `Log in with 'bootshare ${disk.hasSshd ? "ssh" : "console"} ${name}'; see its kernels with 'bootshare kernels ${name}'.`,
    ]);
    return undefined;
  },
});
