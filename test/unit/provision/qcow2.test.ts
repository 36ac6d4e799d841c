import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { UserError } from "../../../src/errors.ts";
import { readQcow2 } from "../../../src/provision/qcow2.ts";

let folder: string;
const file = (name: string): string => join(folder, name);
const create = (...args: string[]): void => {
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", ...args]);
};

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "bootshare-qcow2-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("readQcow2", () => {
  it("reads what qemu-img writes", () => {
    create(file("base"), "20G");
    create("-u", "-b", file("base"), "-F", "qcow2", file("overlay"), "30G");
    expect(readQcow2(file("base"))).toEqual({
      size: 20 * 2 ** 30,
      backing: undefined,
      external: false,
      untouched: true,
    });
    expect(readQcow2(file("overlay"))).toEqual({
      size: 30 * 2 ** 30,
      backing: file("base"),
      external: false,
      untouched: true,
    });
  });

  it("sees that something was written", () => {
    create(file("written"), "1G");
    execFileSync("qemu-io", ["-f", "qcow2", "-c", "write 512M 4k", file("written")], { stdio: "ignore" });
    expect(readQcow2(file("written")).untouched).toBe(false);
  });

  it("sees that the data is elsewhere", () => {
    create("-o", `data_file=${file("data")},data_file_raw=on`, file("split"), "1G");
    expect(readQcow2(file("split")).external).toBe(true);
  });

  it("reads the older version of the format", () => {
    create("-o", "compat=0.10", file("old"), "1G");
    expect(readQcow2(file("old"))).toMatchObject({ size: 2 ** 30, external: false, untouched: true });
  });

  it("refuses anything else, whatever it is, in one sentence", () => {
    const magic = fc
      .tuple(fc.uint8Array({ minLength: 8, maxLength: 200 }), fc.constantFrom(2, 3))
      .map(([bytes, version]) => {
        const head = Buffer.from(bytes);
        head.writeUInt32BE(0x514649fb);
        head.writeUInt32BE(version, 4);
        return head;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), magic), (bytes) => {
        writeFileSync(file("any"), bytes);
        try {
          expect(readQcow2(file("any")).size).toBeGreaterThanOrEqual(0);
        } catch (error) {
          expect(error).toBeInstanceOf(UserError);
          expect(error).toMatchObject({ code: "DISK_NOT_QCOW2" });
        }
      }),
    );
  });
});
