import { constants } from "node:os";
import { describe, expect, it } from "vitest";
import { isDiskTrouble, isOutOfSpace, ofGuest, onDisk } from "../../../src/boot/disk.ts";
import { UserError } from "../../../src/errors.ts";

/** As Node.js throws it. */
function systemError(name: "ENOSPC" | "EDQUOT" | "EROFS" | "EIO" | "EACCES"): Error {
  const number = constants.errno[name];
  const code = name === "EDQUOT" ? `Unknown system error -${number}` : name;
  return Object.assign(new Error(`${code}: …, write`), { code, errno: -number, syscall: "write" });
}

function fail(error: Error): never {
  throw error;
}

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}

describe("onDisk", () => {
  it.each([
    ["ENOSPC", "DISK_FULL", "The file system of /srv/g is full.", true],
    [
      "EDQUOT",
      "DISK_QUOTA",
      "The file system of /srv/g gives its owner no more space: the quota is used up.",
      true,
    ],
    ["EROFS", "DISK_READ_ONLY", "The file system of /srv/g can only be read.", false],
    ["EIO", "DISK_FAILING", "The file system of /srv/g reported an input/output error.", false],
  ] as const)("says in words what %s means", (name, code, message, outOfSpace) => {
    const cause = systemError(name);
    const error = thrownBy(() => onDisk("/srv/g", () => fail(cause)));
    expect(error).toMatchObject({ code, message, cause, hint: expect.stringMatching(/\.$/) });
    expect([isDiskTrouble(error), isOutOfSpace(error)]).toEqual([true, outOfSpace]);
  });

  it("lets everything else pass as it is", () => {
    for (const error of [systemError("EACCES"), new UserError("PAIR_LOST", "Lost."), new Error("a bug")]) {
      expect(thrownBy(() => onDisk("/srv/g", () => fail(error)))).toBe(error);
      expect(isDiskTrouble(error)).toBe(false);
    }
    expect(onDisk("/srv/g", () => 17)).toBe(17);
  });
});

it("names the guest that cannot be started, harmless for a terminal", () => {
  const full = thrownBy(() => onDisk("/srv/g", () => fail(systemError("ENOSPC"))));
  if (!isDiskTrouble(full)) throw new Error("not what it should be");
  expect(ofGuest("work\u001ber", full)).toMatchObject({
    code: "DISK_FULL",
    message: "No kernel can be staged for the guest work\\x1ber: the file system of /srv/g is full.",
    hint: full.hint,
  });
});
