/** The user that QEMU runs as: in session mode one's own, in system mode the one that Debian's libvirt has for it. */
import { userInfo } from "node:os";
import { EXIT, UserError } from "../errors.ts";
import { workMode } from "../mode.ts";
import { run } from "../process.ts";

export interface QemuUser {
  readonly uid: number;
  /**
   * The group that guests' folders are open to: the one that has the user's own name where there is one, for the user's
   * primary group is `kvm`, which ordinary people may be in.
   */
  readonly gid: number;
}

const NAME = "libvirt-qemu";

/** @throws {UserError} `QEMU_USER_MISSING` */
export async function qemuUser(): Promise<QemuUser> {
  if (workMode().name === "session") {
    const { uid, gid } = userInfo();
    return { uid, gid };
  }
  const user = (await run("getent", ["passwd", NAME])).stdout.split(":");
  const group = (await run("getent", ["group", NAME])).stdout.split(":");
  const uid = Number(user[2]);
  const gid = Number(group[2] ?? user[3]);
  if (user.length > 3 && Number.isInteger(uid) && Number.isInteger(gid)) return { uid, gid };
  throw new UserError("QEMU_USER_MISSING", `This machine has no user ${NAME}, which libvirt runs QEMU as.`, {
    exitCode: EXIT.unusable,
    hint: "Install libvirt: apt-get install libvirt-daemon-system.",
  });
}
