/** Which of an image's volumes is the root file system. Pure but for the look that the caller takes. */
import { EXIT, UserError } from "../../errors.ts";
import { printable } from "../../text.ts";
import type { Volume } from "../image/volumes.ts";
import type { Mount } from "./fstab.ts";

const EXT = new Set(["ext2", "ext3", "ext4"]);

/** Volumes that can be read, the largest first: a root is larger than a /boot. */
export function extVolumes(volumes: readonly Volume[]): Volume[] {
  return volumes.filter(({ type }) => EXT.has(type ?? "")).toSorted((a, b) => b.bytes - a.bytes);
}

/** What people call volumes that hold a root, and that are not read here. */
const OTHERS: Readonly<Record<string, string>> = {
  LVM2_member: "LVM",
  crypto_LUKS: "an encrypted volume (LUKS)",
  xfs: "XFS",
  btrfs: "Btrfs",
  zfs_member: "ZFS",
  linux_raid_member: "RAID",
};

/** The error for an image in which no volume holds a system. */
export function noRoot(file: string, volumes: readonly Volume[]): UserError {
  const other = volumes.flatMap(({ type }) => OTHERS[type ?? ""] ?? [])[0];
  const found = volumes.map(
    ({ number, type }) => `${number ?? "whole disk"}: ${printable(type ?? "nothing known")}`,
  );
  const sentence =
    other === undefined
      ? `There is no installed system on the image ${printable(file)}.`
      : `The root of the image ${printable(file)} is on ${other}, and only ext2, 3 and 4 are imported.`;
  return new UserError("IMAGE_ROOT_NOT_FOUND", sentence, {
    exitCode: EXIT.usage,
    detail: found.join("\n"),
    hint:
      other === undefined
        ? "Is it the image of a disk, and not of an installation medium?"
        : "Give it direct kernel boot by hand (docs/adopting.md says what that takes), and adopt the domain.",
  });
}

/** The volume that a line of fstab means; undefined where no volume is it, or a device's name says nothing. */
export function volumeOf({ spec }: Mount, volumes: readonly Volume[]): Volume | undefined {
  const [, tag, quoted] = /^(UUID|LABEL|PARTUUID)=(.+)$/.exec(spec) ?? [];
  const value = quoted?.replace(/^"(.*)"$/, "$1");
  if (value === undefined) {
    const byId = /^\/dev\/disk\/by-(uuid|label|partuuid)\/(.+)$/.exec(spec);
    return byId === null
      ? undefined
      : volumeOf({ spec: `${byId[1]?.toUpperCase()}=${byId[2]}`, file: "", type: "" }, volumes);
  }
  return volumes.find(({ uuid, label, partUuid }) => {
    if (tag === "UUID") return uuid?.toLowerCase() === value.toLowerCase();
    return tag === "LABEL" ? label === value : partUuid === value.toLowerCase();
  });
}
