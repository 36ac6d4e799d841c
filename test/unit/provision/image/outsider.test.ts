import { expect, it } from "vitest";
import { asOutsider } from "../../../../src/provision/image/outsider.ts";

it("an outsider has no rights but its own, and is given none", () => {
  const { file, args } = asOutsider({ uid: 64055, gid: 103 }, "debugfs", ["-R", "ls", "disk.raw"], true);
  expect([file, ...args].join(" ")).toBe(
    "prlimit --as=4294967296 --core=0 -- setpriv --reuid=64055 --regid=103 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs -- debugfs -R ls disk.raw",
  );
});

it("a user's programs stay the user's", () => {
  const { file, args } = asOutsider({ uid: 1000, gid: 1000 }, "qemu-img", ["info"], false);
  expect([file, ...args].join(" ")).toBe(
    "prlimit --as=4294967296 --core=0 -- setpriv --no-new-privs -- qemu-img info",
  );
});
